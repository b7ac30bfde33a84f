"""What becomes of signals and gradients in deep networks before they learn.

T1   Schemes of initial values for 30 layers of ReLU: the gradient at the first layer over that at the last.
T2   Mean-field theory of tanh (Schoenholz et al. 2017): the edge of chaos, and how far from it signals die out.
T3   SELU keeps mean 0 and variance 1 through 100 layers (Klambauer et al. 2017).
T5   Four hidden layers of sigmoids: gradients shrink by about 4 per layer (Nielsen 2015, chapter 5).
P13  LSUV scales the outputs of every layer to 1 (Mishkin & Matas 2016), and 20 layers learn.
P14  Delta-orthogonal kernels carry signals through 500 convolutions, and 16 learn (Xiao et al. 2018).

The gradient of a sum z + 0, with 0 a leaf, is the gradient of the pre-activation z.
"""

import math

import numpy as np
from rows import Row, real, rms, train

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, digits, mnist
from minidl.data.uci import digit_images
from minidl.nn import init


def drawn(shape, draw, *arguments, **options):
    return draw(dl.tensor(np.zeros(shape)), *arguments, **options)


def profile(layer, x, depth):
    """Signals behind each of `depth` layers ``layer(x, shift)``, and sizes of the gradients there."""
    shifts, signals = [], []
    for _ in range(depth):
        shifts.append(dl.tensor(np.zeros(x.shape), requires_grad=True))
        x = layer(x, shifts[-1])
        signals.append(x.numpy())
    (x * np.random.default_rng(0).standard_normal(x.shape)).sum().backward()
    return signals, np.array([rms(shift.grad.numpy()) for shift in shifts])


def relu_layers():
    """T1: width 128, batch 64; theory: the square root of (128 var(w) / 2)^29."""
    for name, draw, options, expected in (
        ("N(0, 0.01)", init.normal_, {"std": 0.01}, 0.08**29),
        ("Xavier", init.xavier_normal_, {}, 2**-14.5),
        ("He", init.kaiming_normal_, {"nonlinearity": "relu"}, 1.0),
        ("orthogonal x sqrt 2", init.orthogonal_, {"gain": math.sqrt(2)}, 1.0),
    ):
        dl.manual_seed(0)
        x = dl.tensor(np.random.default_rng(1).standard_normal((64, 128)))

        def layer(x, shift, draw=draw, options=options):
            return F.relu(F.linear(x, drawn((128, 128), draw, **options)) + shift)

        gradients = profile(layer, x, 30)[1]
        ratio = gradients[0] / gradients[-1]
        ok = expected / 3 < ratio < expected * 3
        yield Row(f"30 ReLU layers, {name}: delta_1 / delta_30", f"{expected:.2g}", f"{ratio:.2g}", ok)


def tanh_mean_field():
    """T2: a bias variance of 0.05."""
    bias_std = math.sqrt(0.05)
    edge = init.critical("tanh", bias_std)
    measured = f"{edge.weight_var:.4f}, {edge.q:.4f}"
    yield Row("tanh: critical sigma_w^2, q*", "1.7610, 0.5700", measured, measured == "1.7610, 0.5700")
    for weight_var, expected in ((1.3, "0.8802"), (2.0, "1.0477"), (3.0, "1.2089")):
        found = init.mean_field("tanh", math.sqrt(weight_var), bias_std)
        ok = f"{found.chi:.4f}" == expected and math.isclose(found.depth, 1 / abs(math.log(found.chi)))
        measured = f"{found.chi:.4f}, {found.depth:.1f}"
        depth = 1 / abs(math.log(float(expected)))
        yield Row(f"tanh, sigma_w^2 = {weight_var}: chi_1, depth scale", f"{expected}, {depth:.1f}", measured, ok)


def selu_layers():
    """T3: LeCun's values, 100 layers of 256."""
    dl.manual_seed(0)
    x = dl.tensor(np.random.default_rng(0).standard_normal((64, 256)))
    signals, _ = profile(lambda x, shift: F.selu(F.linear(x, drawn((256, 256), init.lecun_normal_)) + shift), x, 100)
    mean, std = np.mean([s.mean() for s in signals]), np.mean([s.std() for s in signals])
    ok = abs(mean + 0.004) < 0.01 and abs(std - 0.989) < 0.03 and abs(signals[-1].std() - 1) < 0.1
    yield Row("SELU, 100 layers: mean, std", "-0.004, 0.989", f"{mean:.3f}, {std:.3f}", ok)


def sigmoid_layers(seeds=9):
    """T5: norms of delta, averaged over the first 1000 images of MNIST; cross entropy of ten sigmoids."""
    x, y = mnist(real("mnist"))[:1000]
    x, y = x.reshape(1000, -1), np.eye(10, dtype=np.float32)[y]
    norms = []
    for seed in range(seeds):
        dl.manual_seed(seed)
        layers = [nn.Linear(a, b) for a, b in zip((784, 30, 30, 30, 30), (30, 30, 30, 30, 10), strict=True)]
        for layer in layers:
            init.lecun_normal_(layer.weight)
            init.normal_(layer.bias)
        model = nn.Sequential(*[part for layer in layers for part in (layer, nn.Sigmoid())][:-1])
        (F.binary_cross_entropy_with_logits(model(x), y, reduction="sum") / 1000).backward()
        norms.append([np.linalg.norm(layer.bias.grad.numpy()) for layer in layers[:4]])
    typical, expected = np.median(norms, axis=0), np.array([0.003, 0.017, 0.070, 0.285])
    ok = bool(np.all((typical > expected / 2) & (typical < expected * 2)))
    yield Row(
        f"4 layers of 30 sigmoids: norms of delta, median of {seeds} seeds",
        ", ".join(f"{value:.3f}" for value in expected),
        ", ".join(f"{value:.3f}" for value in typical),
        ok,
    )


def lsuv():
    """P13: 20 layers of 64, scaled on 64 digits, from PyTorch's initial values."""
    dl.manual_seed(0)
    model = nn.Sequential(*(part for _ in range(20) for part in (nn.Linear(64, 64), nn.ReLU())), nn.Linear(64, 10))
    init.torch_(model)
    x = digits()[:64][0]
    init.lsuv_(model, x)
    sizes = []
    for module in model:
        x = module(x)
        if isinstance(module, nn.Linear):
            sizes.append(x.numpy().std())
    ok = min(sizes) >= 0.9 and max(sizes) <= 1.1
    yield Row("LSUV, 20 layers: std of outputs", "0.9 to 1.1", f"{min(sizes):.2f} to {max(sizes):.2f}", ok)
    batches = DataLoader(digits(), 32, shuffle=True, seed=0)
    loss = train(model, optim.SGD(model.parameters(), lr=0.01, momentum=0.9), batches, 200)[-10:].mean()
    yield Row("LSUV, 20 layers: loss after 200 steps", "below 1", f"{loss:.2f}", loss < 1)


def convolutions():
    """P14: the critical point of Xiao et al.: a bias variance of 2.01e-5."""
    bias_std = math.sqrt(2.01e-5)
    gain = math.sqrt(init.critical("tanh", bias_std).weight_var)
    for name, draw, scale, expected in (
        ("delta-orthogonal", init.delta_orthogonal_, gain, "0.5 to 2"),
        ("Gaussian", init.normal_, gain / 12, "below 0.01"),
    ):
        dl.manual_seed(0)

        def layer(x, shift, draw=draw, scale=scale):
            weight, bias = dl.tensor(np.zeros((16, 16, 3, 3))), drawn(16, init.normal_, std=bias_std)
            draw(weight, **{"std" if draw is init.normal_ else "gain": scale})
            return F.tanh(F.conv2d(x, weight, bias, padding=1) + shift)

        x = dl.tensor(np.random.default_rng(0).standard_normal((2, 16, 6, 6)))
        gradients = profile(layer, x, 500)[1]
        ratio = gradients[50] / gradients[-1]
        ok = 0.5 < ratio < 2 if expected == "0.5 to 2" else ratio < 0.01
        yield Row(f"500 tanh convolutions, {name}: delta_50 / delta_500", expected, f"{ratio:.2g}", ok)
    dl.manual_seed(0)
    layers = [nn.Conv2d(channels, 16, 3, padding=1) for channels in (1, *[16] * 15)]
    for layer in layers:
        init.delta_orthogonal_(layer.weight, gain)
    body = [part for layer in layers for part in (layer, nn.Tanh())]
    model = nn.Sequential(*body, nn.Flatten(), nn.Linear(16 * 64, 10))
    batches = DataLoader(digit_images(), 32, shuffle=True, seed=0)
    loss = train(model, optim.SGD(model.parameters(), lr=0.01, momentum=0.9), batches, 200)[-10:].mean()
    yield Row("16 tanh convolutions: loss after 200 steps", "below 0.5", f"{loss:.2f}", loss < 0.5)


ROWS = {
    "T1": relu_layers,
    "T2": tanh_mean_field,
    "T3": selu_layers,
    "T5": sigmoid_layers,
    "P13": lsuv,
    "P14": convolutions,
}
