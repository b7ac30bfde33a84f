"""Initial values of whole networks: what becomes of signals and gradients in deep ones. IDs as in the published tests.

A gradient of a sum z + 0, with 0 a leaf, is the gradient of the pre-activation z.
"""

import math

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, digits
from minidl.nn import init


def rms(values):
    return math.sqrt(np.mean(np.square(values, dtype=np.float64)))


def profile(layer, x, depth):
    """Size of signals and of gradients behind each of `depth` layers ``layer(x, shift)``."""
    shifts, sizes = [], []
    for _ in range(depth):
        shifts.append(dl.tensor(np.zeros(x.shape, x.dtype), requires_grad=True))
        x = layer(x, shifts[-1])
        sizes.append(rms(x.numpy()))
    (x * np.random.default_rng(0).standard_normal(x.shape).astype(x.dtype)).sum().backward()
    return np.array(sizes), np.array([rms(shift.grad.numpy()) for shift in shifts])


def drawn(shape, draw, *arguments, **options):
    return draw(dl.tensor(np.zeros(shape)), *arguments, **options)


def train(model, steps, lr=0.01, loss=F.cross_entropy):
    """Mean loss over the last ten steps on the digits."""
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    @dl.record
    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value

    losses = []
    while len(losses) < steps:
        for x, y in DataLoader(digits(train=True), 32, shuffle=True, seed=len(losses)):
            losses.append(step(x, y).item())
    return np.mean(losses[:steps][-10:])


# signals


@pytest.mark.parametrize(
    "draw, options, expected",
    [
        (init.normal_, {"std": 0.01}, 0.08**29),  # std sqrt(128 / 2) per layer
        (init.xavier_normal_, {}, 2**-14.5),
        (init.kaiming_normal_, {"nonlinearity": "relu"}, 1),
        (init.orthogonal_, {"gain": math.sqrt(2)}, 1),
    ],
)
def test_gradients_in_30_relu_layers(draw, options, expected):
    """T1: the gradient at the first layer over that at the last, width 128, batch 64."""
    x = dl.tensor(np.random.default_rng(1).standard_normal((64, 128)))
    _, gradients = profile(lambda x, shift: F.relu(F.linear(x, drawn((128, 128), draw, **options)) + shift), x, 30)
    assert expected / 3 < gradients[0] / gradients[-1] < expected * 3


def test_selu_normalises_itself():
    """T3: LeCun's values, 100 layers of 256."""
    x = dl.tensor(np.random.default_rng(0).standard_normal((64, 256)))
    means, deviations = [], []
    for _ in range(100):
        x = F.selu(F.linear(x, drawn((256, 256), init.lecun_normal_)))
        means.append(x.numpy().mean())
        deviations.append(x.numpy().std())
    assert abs(np.mean(means) - -0.004) < 0.01 and abs(np.mean(deviations) - 0.989) < 0.03
    assert abs(means[-1]) < 0.05 and abs(deviations[-1] - 1) < 0.1


def test_signals_in_500_convolutions():
    """P14: delta-orthogonal kernels at the critical point of Xiao et al. (2018); Gaussian ones lose the gradient."""
    bias_std = math.sqrt(2.01e-5)
    gain = math.sqrt(init.critical("tanh", bias_std).weight_var)
    ratios = {}
    for name, draw, scale in (
        ("delta", init.delta_orthogonal_, gain),
        ("gauss", lambda w, s: init.normal_(w, std=s / 12), gain),
    ):

        def layer(x, shift, draw=draw, scale=scale):
            weight, bias = drawn((16, 16, 3, 3), draw, scale), drawn(16, init.normal_, std=bias_std)
            return F.tanh(F.conv2d(x, weight, bias, padding=1) + shift)

        x = dl.tensor(np.random.default_rng(0).standard_normal((2, 16, 6, 6)))
        sizes, gradients = profile(layer, x, 500)
        ratios[name] = gradients[50] / gradients[-1], sizes[-1] / sizes[50]
    assert all(0.5 < ratio < 2 for ratio in ratios["delta"])
    assert ratios["gauss"][0] < 0.01


# LSUV


def hidden(model, x):
    """Standard deviations of what the layers of a Sequential give, in front of activations."""
    found = []
    for module in model:
        x = module(x)
        if hasattr(module, "weight"):
            found.append(x.numpy().std())
    return np.array(found)


def test_lsuv_scales_every_layer():
    """P13: outputs within 0.1 of 1, for 20 layers with ReLU and for a network of convolutions; they are orthogonal."""
    images = np.random.default_rng(0).standard_normal((16, 3, 12, 12)).astype("float32") * 5 + 1
    convolutions = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Tanh(), nn.ConvTranspose2d(8, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=2),
        nn.Flatten(), nn.ReLU(), nn.Linear(6 * 19 * 19, 40), nn.Sigmoid(), nn.Linear(40, 5),
    )  # fmt: skip
    deep = nn.Sequential(*(layer for _ in range(20) for layer in (nn.Linear(64, 64), nn.ReLU())))
    for model, x in ((convolutions, images), (deep, digits(train=True)[:64][0])):
        init.torch_(model)
        assert np.abs(hidden(model, x) - 1).max() > 0.1
        assert init.lsuv_(model, x) is model
        assert np.abs(hidden(model, x) - 1).max() < 0.011
        for module in model:
            if hasattr(module, "weight"):
                w = module.weight.numpy().astype("float64").reshape(len(module.weight), -1)
                product = w @ w.T if len(w) <= w.shape[1] else w.T @ w
                np.testing.assert_allclose(product / product[0, 0], np.eye(len(product)), atol=1e-5)
                assert not module.bias.numpy().any()
    assert train(nn.Sequential(*deep, nn.Linear(64, 10)), 200) < 1.0


class Reused(nn.Module):
    """Layers in another order than they are made in, one of them called twice, one never."""

    def __init__(self):
        super().__init__()
        self.last, self.never = nn.Linear(8, 4), nn.Linear(8, 8)
        self.first, self.often = nn.Linear(6, 8), nn.Linear(8, 8)
        self.seen = []

    def forward(self, x, factor):
        x = self.first(x) * factor
        for _ in range(2):
            self.seen.append(x.numpy().std())
            x = self.often(F.tanh(x))
        return self.last(input=x)


def test_lsuv_follows_the_call():
    model = Reused()
    never = model.never.weight.numpy().copy()
    x = np.random.default_rng(0).standard_normal((200, 6)).astype("float32")
    init.lsuv_(model, (x, 3.0))
    np.testing.assert_array_equal(model.never.weight.numpy(), never)
    model.seen.clear()
    assert model(x, 3.0).numpy().std() == pytest.approx(1, abs=0.011)
    assert model.seen[0] == pytest.approx(3, abs=0.04) and model.seen[1] == pytest.approx(1, abs=0.011)
    assert "forward" not in vars(model.first)


def test_lsuv_leaves_no_trace_after_an_error():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model.add_module("4", head := nn.Linear(2, 2))
    vars(head)["forward"] = mine = lambda input: input  # put there by the user
    with pytest.raises(ValueError, match="lsuv_: 0: outputs with standard deviation 0, which no weights scale to 1"):
        init.lsuv_(model, np.zeros((5, 3), "float32"))
    assert "forward" not in vars(model[0]) and vars(head)["forward"] is mine
    with pytest.raises(ValueError, match="lsuv_: 0: outputs with standard deviation nan"):
        init.lsuv_(model, np.full((5, 3), np.nan, "float32"))
    with pytest.raises(RuntimeError, match="lsuv_: called while recording"):
        dl.record(lambda x: init.lsuv_(model, x))(np.ones((5, 3), "float32"))


# Fixup


def residual_net(blocks, **options):
    body = [
        nn.Residual(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), activation=F.relu, **options)
        for _ in range(blocks)
    ]
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), *body, nn.Linear(32, 10))


def test_fixup_values():
    model = residual_net(100)
    assert init.fixup_(model) is model
    stem, head, block = model[0], model[-1], model[50]
    assert stem.weight.numpy().std() == pytest.approx(math.sqrt(2 / 64), rel=0.1)
    assert not head.weight.numpy().any() and not block.body[2].weight.numpy().any() and block.scale.item() == 1
    assert block.body[0].weight.numpy().std() == pytest.approx(math.sqrt(2 / 32) / 10, rel=0.1)  # 100^(-1/2)
    x = digits(train=True)[:8][0]
    np.testing.assert_array_equal(model[:-1](x).numpy(), model[:2](x).numpy())


def test_fixup_of_convolutions():
    block = nn.BasicBlock(4, 8, 2, norm=nn.Identity)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), *[nn.BasicBlock(4, 4, norm=nn.Identity) for _ in range(15)], block)
    shortcut = block.downsample[0].weight.numpy().copy()
    init.fixup_(model)
    assert model[0].weight.numpy().any() and not block.conv2.weight.numpy().any()
    assert block.conv1.weight.numpy().std() == pytest.approx(math.sqrt(2 / 36) / 4, rel=0.2)  # 16^(-1/2)
    np.testing.assert_array_equal(block.downsample[0].weight.numpy(), shortcut)
    three = nn.Residual(nn.Linear(30, 30), nn.Linear(30, 30), nn.Linear(30, 30), scale=1.0)
    init.fixup_(nn.Sequential(*[three] + [nn.Residual(nn.Linear(30, 30), scale=1.0) for _ in range(15)]))
    assert three.body[1].weight.numpy().std() == pytest.approx(math.sqrt(2 / 30) / 2, rel=0.1)  # 16^(-1/4)


def test_fixup_trains_150_blocks():
    """P11: with He's values and a scale of 1, signals double in every block."""
    model = residual_net(150, scale=1.0)
    x, y = digits(train=True)[:32]
    start = F.cross_entropy(model(x), y).item()
    assert start > 1e12 or not math.isfinite(start)
    assert F.cross_entropy(init.fixup_(model)(x), y).item() == pytest.approx(math.log(10))
    assert train(model, 120) < 0.8


# match


@pytest.mark.parametrize(
    "activation, gain",
    [
        (nn.ReLU(), math.sqrt(2)),
        (nn.LeakyReLU(0.5), math.sqrt(2 / 1.25)),
        (nn.PReLU(init=0.5), math.sqrt(2 / 1.25)),
        (nn.SELU(), 1.0),
        (nn.Identity(), 1.0),
        (nn.Softmax(1), 1.0),
        (nn.Tanh(), math.sqrt(1.7610)),
        (nn.GELU(), 1.5335),  # 1 / sqrt(E[f(x)^2]), here and below
        (nn.SiLU(), 1.6765),
        (nn.Sigmoid(), 1.8462),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_match_gains(activation, gain):
    linear = nn.Sequential(nn.Linear(300, 400), activation)
    conv = nn.Sequential(nn.Conv2d(30, 300, 3), nn.BatchNorm2d(300), nn.MaxPool2d(2), nn.Dropout(0.5), activation)
    sequence = nn.Sequential(nn.Conv1d(60, 300, 5, groups=2), nn.Flatten(), activation)
    for model, shape, fan_in in ((linear, (2, 300), 300), (conv, (2, 30, 4, 4), 270), (sequence, (2, 60, 6), 150)):
        before = {name: np.array(buffer) for name, buffer in model.named_buffers()}
        assert init.match_(model, np.zeros(shape, "float32")) is model
        weight, bias = model[0].weight.numpy(), model[0].bias.numpy()
        assert weight.std() * math.sqrt(fan_in) == pytest.approx(gain, rel=0.02)
        bias_std = math.sqrt(0.05) if isinstance(activation, nn.Tanh) else 0
        assert bias.std() == pytest.approx(bias_std, rel=0.15)
        assert model.training and all(
            (np.array(buffer) == before[name]).all() for name, buffer in model.named_buffers()
        )


class Branches(nn.Module):
    """What a Sequential cannot say: functions, sums, weights without a layer, a recurrence, two results."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(100, 200), nn.Linear(100, 200), nn.Linear(200, 200)
        self.own = nn.Parameter(np.zeros((200, 200)))
        self.up = nn.ConvTranspose1d(100, 100, 4, stride=2)
        self.rnn = nn.LSTM(200, 3)
        self.frozen = nn.Linear(200, 200).requires_grad_(False)
        self.double()

    def forward(self, x):
        h = F.relu(self.a(x) + self.b(x))
        h = F.tanh(F.linear(h, self.own)) * F.sigmoid(self.frozen(h))
        _, state = self.rnn(self.c(h).reshape(1, *h.shape))
        return {"state": state, "image": F.selu(self.up(x.reshape(1, 100, -1)))}


def test_match_reads_the_graph():
    model = Branches()
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    init.match_(model, np.ones((4, 100)))
    for name, fan_in, gain in (
        ("a.weight", 100, 2), ("b.weight", 100, 2), ("own", 200, 1.7610), ("c.weight", 200, 1), ("up.weight", 200, 1),
    ):  # fmt: skip
        weight = dict(model.named_parameters())[name].numpy()
        assert weight.std() * math.sqrt(fan_in) == pytest.approx(math.sqrt(gain), rel=0.03), name
    for name, p in model.named_parameters():
        if name.startswith(("rnn", "frozen")):
            np.testing.assert_array_equal(p.numpy(), before[name])
    assert not model.a.bias.numpy().any()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SELU, nn.Tanh, nn.Softsign, nn.LeakyReLU])
def test_match_keeps_signals_and_gradients_in_30_layers(activation):
    layers = [layer for _ in range(30) for layer in (nn.Linear(128, 128), activation())]
    model, function = nn.Sequential(*layers).double(), activation()
    init.torch_(model)
    x, weights = dl.tensor(np.random.default_rng(0).standard_normal((64, 128))), iter(())

    def layer(x, shift):
        linear = next(weights)
        return function(linear(x) + shift)

    for matched in (False, True):
        if matched:
            init.match_(model, x)
        weights = iter(list(model)[::2])
        sizes, gradients = profile(layer, x, 30)
        assert (0.2 < sizes[-1] < 2) == matched and (0.1 < gradients[0] / gradients[-1] < 10) == matched


def test_match_errors():
    with pytest.raises(ValueError, match="match_: ReLU: found no linear layer or convolution that is trained"):
        init.match_(nn.ReLU(), np.ones(3))
    with pytest.raises(ValueError, match="match_: Linear: found no"):
        init.match_(nn.Linear(3, 3).requires_grad_(False), np.ones(3, "float32"))
    with pytest.raises(RuntimeError, match="match_: called while recording"):
        dl.record(lambda x: init.match_(nn.ReLU(), x))(np.ones(3, "float32"))
    model = nn.Sequential(nn.Dropout(), nn.Linear(3, 3))
    with pytest.raises(ValueError, match="input has 4 features"):
        init.match_(model, np.ones(4, "float32"))
    assert model.training and model[0].training


def test_fixup_errors():
    with pytest.raises(ValueError, match="fixup_: model: Linear has no residual blocks"):
        init.fixup_(nn.Linear(2, 2))
    model = nn.Sequential(nn.Residual(nn.Linear(2, 2)), nn.Residual(nn.Linear(2, 2), nn.LayerNorm(2)))
    before = model[0].body[0].weight.numpy().copy()
    with pytest.raises(ValueError, match="fixup_: 1: its branch has a LayerNorm, expected no normalisation"):
        init.fixup_(model)
    np.testing.assert_array_equal(model[0].body[0].weight.numpy(), before)
    with pytest.raises(ValueError, match="fixup_: BasicBlock: its branch has a BatchNorm2d"):
        init.fixup_(nn.BasicBlock(2, 2))
