"""Convolutions beyond the table of operations: sizes that are cut into strips, threads, NaN, layers, errors."""

import numpy as np
import pytest
from ops.convolution import convolved, spread

import minidl as dl
from minidl import functional as F
from minidl import nn


def values(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.fixture
def threads():
    before = dl.get_num_threads()
    yield dl.set_num_threads
    dl.set_num_threads(before)


SIZES = [
    # images wider than several vectors, higher than a strip of this many channels
    ((1, 70, 41, 40), (9, 70, 3, 3), {"padding": 1}),
    ((2, 200, 23, 21), (3, 200, 5, 3), {"stride": 2, "padding": (2, 0)}),
    # short rows, over whose ends vectors run
    ((5, 6, 14, 14), (16, 6, 5, 5), {}),
    ((3, 20, 4, 4), (20, 20, 3, 3), {"padding": 1}),
    ((4, 3, 9, 9), (5, 3, 3, 3), {"stride": 2}),
    ((2, 16, 33, 35), (32, 4, 3, 3), {"groups": 4, "dilation": 2, "padding": 2}),
]


@pytest.mark.parametrize(("x", "w", "options"), SIZES)
def test_large(x, w, options):
    x, w, b = values(x, w, w[:1])
    np.testing.assert_allclose(F.conv2d(x, w, b, **options).numpy(), convolved(x, w, b, **options), atol=1e-11)


@pytest.mark.parametrize(("x", "w", "options"), SIZES)
def test_large_gradients(x, w, options):
    """Both gradients from their definitions: <dy, conv(x)> is linear in x and in w."""
    x, w, b = (dl.tensor(value, requires_grad=True) for value in values(x, w, w[:1]))
    y = F.conv2d(x, w, b, **options)
    (dy,) = values(y.shape, seed=1)
    y.backward(dl.tensor(dy))
    zero = np.zeros(len(b))
    for tensor, moved in ((x, lambda step: (step, w.numpy())), (w, lambda step: (x.numpy(), step))):
        (step,) = values(tensor.shape, seed=2)
        change = np.sum(dy * convolved(*moved(step), zero, **options))
        np.testing.assert_allclose(np.sum(tensor.grad.numpy() * step), change, rtol=1e-10)
    np.testing.assert_allclose(b.grad.numpy(), dy.sum((0, 2, 3)), atol=1e-10)


@pytest.mark.parametrize(("x", "w", "options"), SIZES)
def test_threads_do_not_change_bits(threads, x, w, options):
    x, w, b = values((8 * x[0], *x[1:]), w, w[:1], dtype="float32")
    found = []
    for count in (1, 2, 5):
        threads(count)
        tensors = [dl.tensor(value, requires_grad=True) for value in (x, w, b)]
        y = F.conv2d(*tensors, **options, activation="relu")
        y.backward(dl.ones(y.shape))
        found.append([y.numpy(), *(tensor.grad.numpy() for tensor in tensors)])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_no_gradient_for_the_input():
    """The first layer's dx is not even computed."""
    x, w = values((2, 3, 8, 8), (4, 3, 3, 3))
    w = dl.tensor(w, requires_grad=True)

    @dl.record
    def step(x):
        F.conv2d(x, w).sum().backward()

    step(x)
    assert [call.kernel.name for call in step.last.calls].count("correlate") == 1


def test_transposed_undoes_the_sizes():
    x, w, b = values((2, 6, 17, 9), (6, 2, 3, 3), (4,))
    y = F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=(1, 0), groups=2)
    wanted = spread(x, w, b, stride=2, padding=1, output_padding=(1, 0), groups=2)
    np.testing.assert_allclose(y.numpy(), wanted, atol=1e-12)


def test_nan_reaches_exactly_the_windows_that_see_it():
    x, w = values((1, 1, 9, 20), (1, 1, 3, 3), dtype="float32")
    x[0, 0, 4, 7] = np.nan
    y = F.conv2d(x, w, padding=1, activation="relu").numpy()
    wanted = np.zeros((9, 20), bool)
    wanted[3:6, 6:9] = True
    np.testing.assert_array_equal(np.isnan(y[0, 0]), wanted)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 1), "same"])
def test_padding_modes(mode, padding):
    layer = nn.Conv2d(2, 3, 3, padding=padding, padding_mode=mode, dtype="float64")
    (x,) = values((2, 2, 6, 5))
    ph, pw = (1, 1) if padding in (1, "same") else padding
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), names[mode])
    wanted = convolved(padded, layer.weight.numpy(), layer.bias.numpy())
    np.testing.assert_allclose(layer(x).numpy(), wanted, atol=1e-12)


def test_layers_without_vanishing_or_exploding_outputs():
    """He's scale keeps the mean square of the pre-activations at 2 E[relu(x)^2] = 1, transposed layers too."""
    dl.manual_seed(0)
    (x,) = values((8, 32, 16, 16), dtype="float32")
    for layer in (
        nn.Conv2d(32, 64, 3),
        nn.Conv2d(32, 64, 3, groups=4),
        nn.ConvTranspose2d(32, 64, 4, stride=2),
        nn.ConvTranspose2d(32, 64, 3, groups=2),
    ):
        y = layer(F.relu(x)).numpy()[..., 4:-4, 4:-4]
        assert 0.8 < np.mean(y * y) < 1.25, layer
        assert not layer.bias.numpy().any()


def test_a_relu_behind_a_layer_runs_inside_it():
    layer, (x,) = nn.Conv2d(2, 3, 3), values((2, 2, 6, 6), dtype="float32")
    fused = nn.Sequential(layer, nn.ReLU(), nn.Conv2d(3, 2, 1))
    y = fused(x)
    np.testing.assert_array_equal(y.numpy(), fused[2](F.relu(layer(x))).numpy())

    class Doubled(nn.Conv2d):
        def forward(self, input):
            return 2 * super().forward(input)

    own = Doubled(2, 3, 3)
    np.testing.assert_array_equal(nn.Sequential(own, nn.ReLU())(x).numpy(), F.relu(own(x)).numpy())


def test_new_initial_values():
    layer = nn.Conv1d(8, 4, 5)
    layer.reset_parameters_torch()
    bound = 1 / np.sqrt(40)
    for parameter in (layer.weight, layer.bias):
        assert 0.3 * bound < np.abs(parameter.numpy()).max() <= bound


def convolve(x=(1, 2, 4, 4), w=(1, 2, 3, 3), function=F.conv2d, **options):
    return lambda: function(dl.zeros(x), dl.zeros(w), **options)


ERRORS = [
    (convolve(w=(1, 2, 5, 3)), "kernel of size .5, 3.*padded input .4, 4."),
    (convolve(dilation=2), "covers .5, 5."),
    (convolve(x=(1, 3, 4, 4)), "input has 3 channels.*expected 2"),
    (convolve(x=(1, 4, 4, 4), w=(3, 2, 3, 3), groups=2), "groups: got 2.*3 output channels"),
    (convolve(bias=dl.zeros(2)), r"bias has shape \(2,\).*\(1,\)"),
    (convolve(x=(4, 4)), "input has shape .4, 4.*4 dimensions, or 3"),
    (convolve(w=(1, 2, 3)), "weight has shape"),
    (convolve(stride=0), "stride: got 0, expected an integer >= 1"),
    (convolve(padding=-1), "padding: got -1"),
    (convolve(stride=2, padding="same"), "'same' needs stride 1"),
    (convolve(padding="full"), "padding: got 'full'"),
    (convolve(activation="tanh"), "activation: got 'tanh'"),
    (convolve(x=(1, 3, 4, 4), w=(2, 2, 3, 3), function=F.conv_transpose2d), "input has 3 channels.*expected 2"),
    (convolve(w=(2, 2, 3, 3), function=F.conv_transpose2d, output_padding=1), "output_padding: got"),
    (convolve(x=(1, 2, 1), w=(2, 2, 2), function=F.conv_transpose1d, padding=1), "output would be of size .0,."),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: groups: got 4, which does not divide out_channels 6"),
    (lambda: nn.Conv2d(0, 6, 3), "Conv2d: in_channels: got 0"),
    (lambda: nn.Conv1d(2, 2, 3, padding="full"), "Conv1d: padding: got 'full'"),
    (lambda: nn.Conv2d(2, 2, 3, padding_mode="mirror"), "Conv2d: padding_mode: got 'mirror'"),
    (lambda: nn.Sequential(nn.Conv2d(3, 2, 3))(dl.zeros((1, 2, 4, 4))), "0: Conv2d.*input has 2 channels"),
]


@pytest.mark.parametrize(("mistake", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_errors(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()
    assert F.conv2d(dl.ones((1, 1, 2, 2)), dl.ones((1, 1, 2, 2))).numpy() == 4


def test_dtypes_must_agree():
    with pytest.raises(TypeError, match="input is float32, but weight is float64"):
        F.conv2d(dl.zeros((1, 1, 3, 3)), dl.zeros((1, 1, 3, 3), dtype="float64"))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.Conv2d(2, 4, 1, stride=3),
        nn.ConvTranspose2d(2, 4, 2, stride=2),
        nn.ConvTranspose2d(2, 4, 1, stride=2, bias=False),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    ],
    ids=str,
)
def test_verify_where_several_calls_make_one_result(layer):
    """Memory that is used again holds old numbers where a call has not written yet; nobody may see them."""

    @dl.record
    def step(x):
        x = F.relu(F.mul(x, scale))
        loss = layer(x).square().sum()
        loss.backward()
        return loss

    scale = dl.tensor(np.ones((1, 2, 1, 1), "float32"), requires_grad=True)
    x = values((2, 2, 7, 8), dtype="float32")[0]
    for _ in range(3):
        step(x)
        step.verify(x)
