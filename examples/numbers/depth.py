"""What lets networks of many layers learn. All but P8 learn the digits that come with minidl.

P7      30 layers of ReLU stay at chance from Xavier's initial values, and learn from He's (He et al. 2015).
P8      Batch normalisation in a network of sigmoids (Ioffe & Szegedy 2015, figure 1): higher accuracy after the same
        steps, and the inputs of sigmoids that move less.
P9      Residual and plain networks of 50 and 100 layers (He et al. 2016).
P10     The same with highway layers (Srivastava et al. 2015).
P11     Fixup (Zhang et al. 2019): hundreds of residual blocks learn without normalisation; with He's initial values
        signals double in each.
"""

import functools
import itertools

import numpy as np
from rows import CHANCE, Row, real, train

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset, digits, mnist
from minidl.nn import init


class Highway(nn.Module):
    """y = t * tanh(W x + b) + (1 - t) * x with the gate t = sigmoid(V x + c), which starts nearly closed."""

    def __init__(self, width, bias=-3.0):
        super().__init__()
        self.body, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        init.constant_(self.gate.bias, bias)

    def forward(self, x):
        return x + F.sigmoid(self.gate(x)) * (F.tanh(self.body(x)) - x)


LAST = 20  # steps that a reported loss is the mean of


def span(values):
    return f"{min(values):.2f} to {max(values):.2f}"


def batches(size, seed):
    return DataLoader(digits(), size, shuffle=True, drop_last=True, seed=seed)


def he_and_xavier(seeds=5, steps=300):
    """P7: width 128, batches of 64, SGD with a rate of 0.003 and momentum."""
    for name, draw, options, expected in (
        ("Xavier", init.xavier_normal_, {}, "ln 10 = 2.30"),
        ("He", init.kaiming_normal_, {"nonlinearity": "relu"}, "below 1.0"),
    ):
        losses = []
        for seed in range(seeds):
            dl.manual_seed(seed)
            layers = [nn.Linear(a, b) for a, b in itertools.pairwise([64, *[128] * 29, 10])]
            for layer in layers:
                draw(layer.weight, **options)
            model = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])
            optimizer = optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
            losses.append(train(model, optimizer, batches(64, seed), steps)[-LAST:].mean())
        good = [abs(loss - CHANCE) < 0.02 if name == "Xavier" else loss < 1 for loss in losses]
        measured = f"{span(losses)}, {sum(good)} of {seeds} seeds"
        yield Row(f"30 ReLU layers, {name}: loss after {steps} steps", expected, measured, all(good))


def sigmoid_net(norm):
    """Three hidden layers of 100; `norm` makes what is in front of each sigmoid."""
    sizes = zip((784, 100, 100), (100, 100, 100), strict=True)
    hidden = [part for a, b in sizes for part in (nn.Linear(a, b), norm(b), nn.Sigmoid())]
    for layer in hidden[::3]:
        init.normal_(layer.weight, std=0.1)
    return nn.Sequential(*hidden, nn.Linear(100, 10))


def batch_norm(seeds=3, steps=600):
    """P8: batches of 60, SGD with a rate of 0.5.

    Watched is what the last 100 sigmoids get for one batch, every 20 steps: how far its percentiles 15, 50 and 85 move,
    in distances between the outer two.
    """
    train_x, train_y = pixels(real("mnist"), True)
    test_x, test_y = pixels(real("mnist"), False)
    figures = []
    for norm in (nn.BatchNorm1d, nn.Identity):
        for seed in range(seeds):
            dl.manual_seed(seed)
            model = sigmoid_net(norm)
            optimizer = optim.SGD(model.parameters(), lr=0.5)
            loader = DataLoader(TensorDataset(train_x, train_y), 60, shuffle=True, seed=seed)
            track = []
            for _ in range(steps // 20):
                train(model, optimizer, loader, 20)
                with dl.no_grad():
                    track.append(np.percentile(model[:-2](test_x[:1000]).numpy(), [15, 50, 85], axis=0))
            track = np.array(track)
            moves = np.abs(np.diff(track, axis=0)).mean(axis=1) / (track[1:, 2] - track[1:, 0])
            model.eval()
            figures.append((np.mean(model(test_x).numpy().argmax(1) == test_y), moves.mean()))
    (high, calm), (low, restless) = np.array(figures).reshape(2, seeds, 2).transpose(0, 2, 1)
    for what, wanted, normed, other, good in (
        ("test accuracy", ">", high, low, high > low),
        ("move of percentiles", "<", calm, restless, calm < restless),
    ):
        setting, expected = f"3 x 100 sigmoids with BatchNorm: {what}", f"{wanted} {other.mean():.3f}, without"
        yield Row(setting, expected, f"{normed.mean():.3f}, {good.sum()} of {seeds} seeds", bool(good.all()))


def pixels(folder, training):
    images = mnist(folder, train=training)
    return images.images.reshape(len(images), -1).astype(np.float32) / 255, images.labels


def plain(width):
    return nn.Sequential(nn.Linear(width, width), nn.ReLU())


def residual(width):
    return nn.Residual(nn.Linear(width, width), nn.ReLU())


def deep(block, depth, seeds, width=64, steps=440):
    """Losses at the end of some steps of Adam, one per seed."""
    losses = []
    for seed in range(seeds):
        dl.manual_seed(seed)
        model = nn.Sequential(*(block(width) for _ in range(depth - 1)), nn.Linear(width, 10))
        losses.append(train(model, optim.Adam(model.parameters(), lr=1e-3), batches(64, seed), steps)[-LAST:].mean())
    return losses


def against_plain(block, name, depths, seeds):
    """Rows for a kind of block, each with the plain network beside it."""
    for depth in depths:
        worst, losses = min(deep(plain, depth, seeds)), deep(block, depth, seeds)
        setting = f"{depth} layers, {name}: loss, of that of a plain net"
        measured = f"{max(losses) / worst:.4f} ({max(losses):.4f} / {worst:.2f}), {seeds} seeds"
        yield Row(setting, "below 0.1", measured, max(losses) < 0.1 * worst)


def residual_depth(depths=(50, 100), seeds=3):
    """P9: width 64, 440 steps; the worst seed against the best of the plain nets."""
    yield from against_plain(residual, "residual", depths, seeds)


def highway_depth(depths=(50, 100), seeds=3):
    """P10: as P9."""
    yield from against_plain(Highway, "highway", depths, seeds)


def fixup(depths=(100, 300), seeds=3, steps=120):
    """P11: blocks of two layers of width 32, a ReLU behind the sum; SGD with a rate of 0.01, momentum and a clip."""
    for blocks in depths:
        starts, losses = [], []
        for seed in range(seeds):
            dl.manual_seed(seed)
            body = [
                nn.Residual(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), activation=F.relu, scale=1.0)
                for _ in range(blocks)
            ]
            model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), *body, nn.Linear(32, 10))
            x, y = digits()[:64]
            starts.append(F.cross_entropy(model(x), y).item())
            init.fixup_(model)
            optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
            clip = functools.partial(nn.utils.clip_grad_norm_, list(model.parameters()), 1.0)
            losses.append(train(model, optimizer, batches(32, seed), steps, clip)[-LAST:].mean())
        exploded = [not start < 1e12 for start in starts]
        measured = f"{min(starts):.0e}, {sum(exploded)} of {seeds} seeds"
        yield Row(f"{blocks} blocks, He: first loss", "above 1e12", measured, all(exploded))
        good = [loss < 0.8 for loss in losses]
        measured = f"{span(losses)}, {sum(good)} of {seeds} seeds"
        yield Row(f"{blocks} blocks, Fixup: loss after {steps} steps", "below 0.8", measured, all(good))


ROWS = {"P7": he_and_xavier, "P8": batch_norm, "P9": residual_depth, "P10": highway_depth, "P11": fixup}
