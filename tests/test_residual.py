"""Forms of residual layers and highways: values, gradients, initial values, deep networks that train."""

import math

import numpy as np
import pytest
from ops.highway import highway

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import digits
from minidl.nn import init


def sample(*shape, dtype="float32"):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def loss_after(model, steps, lr=0.05):
    """Of recorded steps on digits: their last loss."""
    x, y = digits(train=True)[:256]
    opt = optim.SGD(model.parameters(), lr, momentum=0.9)

    @dl.record
    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        return loss

    return [step(x, y).item() for _ in range(steps)][-1]


def deep(make, blocks):
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), *[make() for _ in range(blocks)], nn.Linear(32, 10))


# Scale, Bias, LayerScale ----------------------------------------------------------------------------------------------


def test_scale_and_bias():
    x = sample(4, 3, dtype="float64")
    scale, bias = nn.Scale(0.5).double(), nn.Bias(-2.0).double()
    y = bias(scale(x))
    np.testing.assert_allclose(y.numpy(), 0.5 * x - 2)
    y.backward(np.ones((4, 3)))
    assert scale.weight.grad.item() == pytest.approx(x.sum()) and bias.bias.grad.item() == 12
    assert scale.weight.shape == bias.bias.shape == () and nn.Scale().weight.item() == 1 and nn.Bias().bias.item() == 0
    scale.weight.array[...] = 7
    scale.reset_parameters()
    assert scale.weight.item() == 0.5 and repr(nn.Sequential(scale, nn.Bias()).eval()).count("0.5") == 1


@pytest.mark.parametrize(
    "shape, dim", [((4, 3), -1), ((4, 3), 1), ((5, 4, 3), -1), ((4, 3, 2, 5), 1), ((4, 3, 5), -2), ((3,), 0)]
)
def test_layer_scale(shape, dim):
    x, layer = dl.tensor(sample(*shape, dtype="float64"), requires_grad=True), nn.LayerScale(3, 0.1, dim).double()
    np.testing.assert_allclose(layer(x).numpy(), 0.1 * x.numpy(), rtol=1e-7)
    layer.weight.array[...] = weights = np.array([1.0, -2.0, 3.0])
    dy = sample(*shape, dtype="float64")[::-1].copy()
    y = layer(x)
    y.backward(dy)
    place = dim % len(shape)
    row = weights.reshape([-1 if i == place else 1 for i in range(len(shape))])
    np.testing.assert_allclose(y.numpy(), row * x.numpy())
    np.testing.assert_allclose(x.grad.numpy(), row * dy)
    others = tuple(i for i in range(len(shape)) if i != place)
    np.testing.assert_allclose(layer.weight.grad.numpy(), (x.numpy() * dy).sum(others), rtol=1e-12)


def test_forms_of_a_residual_layer_in_one_line_each():
    x, body = sample(5, 4), nn.Linear(4, 4)
    inside = body(x).numpy()
    for block, factor in (
        (nn.Residual(body), 0),
        (nn.Residual(body, scale=0.3), 0.3),
        (nn.Residual(body, scale=nn.LayerScale(4, 0.2)), 0.2),
        (nn.Residual(body, scale=nn.Scale(0.7)), 0.7),
        (nn.FixupBlock(body), 1),
    ):
        np.testing.assert_allclose(block(x).numpy(), x + factor * inside, rtol=1e-5, atol=1e-6)
        repr(block)
    layered = nn.Residual(body, scale=nn.LayerScale(4))
    assert set(layered.state_dict()) == {"body.0.weight", "body.0.bias", "scale.weight"}


# Fixup ----------------------------------------------------------------------------------------------------------------


def fixup_block():
    return nn.FixupBlock(nn.Linear(32, 32, bias=False), nn.ReLU(), nn.Linear(32, 32, bias=False), activation=F.relu)


def test_fixup_block():
    block, x = (
        nn.FixupBlock(nn.Linear(3, 3, bias=False), nn.Tanh(), activation=F.relu, shortcut=nn.Linear(3, 3)),
        sample(5, 3),
    )
    parameters = dict(block.named_parameters())
    assert [name for name, p in parameters.items() if not p.ndim] == [
        "body.0.bias", "body.2.bias", "body.4.weight", "body.5.bias",
    ]  # fmt: skip
    for i, p in enumerate(parameters.values()):
        p.array[...] = sample(*p.shape) + 0.1 * i
    w, s = parameters["body.1.weight"].numpy(), {name: p.numpy() for name, p in parameters.items()}
    body = np.tanh((x + s["body.0.bias"]) @ w.T + s["body.2.bias"]) * s["body.4.weight"] + s["body.5.bias"]
    shortcut = x @ s["shortcut.weight"].T + s["shortcut.bias"]
    np.testing.assert_allclose(block(x).numpy(), np.maximum(shortcut + body, 0), rtol=1e-5, atol=1e-6)


def test_fixup_blocks_start_as_their_shortcuts_and_train():
    """P11: a hundred blocks without normalisation."""
    model = deep(fixup_block, 100)
    block = model[50]
    block.body[0].bias.array[...] = block.body[6].weight.array[...] = 5
    init.fixup_(model)
    assert block.body[0].bias.item() == 0 and block.body[6].weight.item() == 1
    assert block.body[1].weight.numpy().std() == pytest.approx(math.sqrt(2 / 32) / 10, rel=0.1)  # 100^(-1/2)
    x = digits(train=True)[:8][0]
    np.testing.assert_array_equal(model[:-1](x).numpy(), model[:2](x).numpy())
    assert loss_after(model, 60) < 0.8


# Highways -------------------------------------------------------------------------------------------------------------


def test_highway():
    layer, x = nn.Highway(3, gate_bias=-1.5), sample(5, 3)
    w, h = layer.gate.weight.numpy(), np.maximum(x @ layer.body[0].weight.numpy().T, 0)
    np.testing.assert_allclose(layer(x).numpy(), highway(x @ w.T - 1.5, h, x), rtol=1e-5, atol=1e-6)
    assert set(layer.state_dict()) == {"body.0.weight", "body.0.bias", "gate.weight", "gate.bias"}
    np.testing.assert_array_equal(nn.Highway(3).gate.bias.numpy(), [-1, -1, -1])
    assert "gate_bias=-1.5" in repr(layer)
    tanh = nn.Highway(3, nn.Sequential(nn.Linear(3, 3), nn.Tanh()))
    assert tanh(x).shape == (5, 3)


def test_a_highway_of_convolutions():
    layer = nn.Highway(4, gate_bias=-100.0, layer=lambda i, o: nn.Conv2d(i, o, 3, padding=1))
    x = sample(2, 4, 5, 5)
    np.testing.assert_array_equal(layer(x).numpy(), x)  # the gate is closed
    layer.gate.bias.array[...] = 100
    np.testing.assert_allclose(layer(x).numpy(), layer.body(x).numpy(), rtol=1e-6)


def test_a_frozen_highway_and_a_large_one_on_any_number_of_threads():
    z, h, x = (sample(300, 200) * scale for scale in (3, 1, -2))
    found = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        tensors = [dl.tensor(array, requires_grad=True) for array in (z, h, x)]
        y = F.highway(*tensors)
        y.backward(h)
        found.append([y.numpy(), *(tensor.grad.numpy() for tensor in tensors)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    tensors[0].requires_grad, tensors[0].grad, tensors[2].grad = False, None, None
    F.highway(*tensors).backward(h)
    assert tensors[0].grad is None
    np.testing.assert_array_equal(tensors[2].grad.numpy(), found[0][3])


def test_plain_residual_and_highway_of_fifty_layers():
    """P9: a plain net of fifty layers stalls, the others train."""
    plain = deep(lambda: nn.Sequential(nn.Linear(32, 32), nn.ReLU()), 50)
    residual = deep(lambda: nn.Residual(nn.Linear(32, 32), nn.ReLU()), 50)
    highways = deep(lambda: nn.Highway(32, gate_bias=-4.0), 50)
    stalled = loss_after(plain, 60)
    assert loss_after(residual, 60) < stalled / 3 and loss_after(highways, 60) < stalled / 3


X = sample(2, 3)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: nn.LayerScale(0), ValueError, "LayerScale: num_features: got 0, expected an integer >= 1"),
        (lambda: nn.LayerScale(3, float("nan")), ValueError, "LayerScale: init_value: got nan, expected a finite"),
        (lambda: nn.Scale(float("inf")), ValueError, "Scale: init_value: got inf"),
        (lambda: nn.Bias(dtype="int64"), TypeError, "Bias: dtype: got int64"),
        (
            lambda: nn.LayerScale(4)(X),
            ValueError,
            r"LayerScale\(4, .*\): input has shape \(2, 3\), expected 4 features",
        ),
        (lambda: nn.LayerScale(4)(dl.tensor(1.0)), ValueError, r"input has shape \(\), expected 4 features in dim -1"),
        (lambda: nn.LayerScale(3, dim=2)(X), IndexError, "dim: got 2, expected -2 <= dim < 2"),
        (lambda: nn.Highway(0), ValueError, "Highway: features: got 0"),
        (lambda: nn.Highway(3, gate_bias=0.5), ValueError, "Highway: gate_bias: got 0.5, expected a finite number < 0"),
        (
            lambda: nn.Highway(3, layer=lambda i, o: nn.Linear(i, o, bias=False)),
            ValueError,
            "Highway: layer: got one .*",
        ),
        (
            lambda: nn.Highway(3, nn.Linear(3, 4))(X),
            ValueError,
            r"body has shape \(2, 4\), expected \(2, 3\) as of the",
        ),
        (lambda: F.highway(X[0], X, X), ValueError, r"highway: gate has shape \(3,\), expected \(2, 3\)"),
        (lambda: F.highway(X, X.astype("float64"), X), TypeError, "highway: input is float32, but body is float64"),
        (lambda: F.highway([1], [2], [3]), TypeError, "highway: input: got dtype int64"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
