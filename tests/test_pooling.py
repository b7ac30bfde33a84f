"""Pooling: places of the largest elements, NaN and infinities, bad arguments, threads, modules."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn

rng = np.random.default_rng(0)
NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "function, arguments",
    [
        (F.max_pool2d, (2,)),
        (F.max_pool2d, (3, 2, 1)),
        (F.max_pool2d, (2, 1, 1, 2)),
        (F.max_pool2d, ((9, 70),)),
        (F.adaptive_max_pool2d, ((4, 9),)),
        (F.adaptive_max_pool2d, (1,)),
    ],
)
def test_indices_are_places_in_the_plane(function, arguments, dtype):
    x = rng.standard_normal((2, 3, 9, 70)).astype(dtype)
    values, indices = function(x, *arguments, return_indices=True)
    assert indices.dtype == np.int64 and indices.shape == values.shape
    flat = np.take_along_axis(x.reshape(2, 3, -1), indices.numpy().reshape(2, 3, -1), 2)
    np.testing.assert_array_equal(flat.reshape(values.shape), values.numpy())
    np.testing.assert_array_equal(function(x, *arguments).numpy(), values.numpy())


@pytest.mark.parametrize("kernel", [2, (2, 3)])
def test_gradient_goes_to_the_index(kernel):
    x = dl.tensor(rng.standard_normal((2, 6, 6)).round(), dtype="float32", requires_grad=True)  # with ties
    values, indices = F.max_pool2d(x, kernel, return_indices=True)
    v = rng.standard_normal(values.shape).astype("float32")
    values.backward(v)
    expected = np.zeros((2, 36), "float32")
    np.put_along_axis(expected, indices.numpy().reshape(2, -1), v.reshape(2, -1), 1)
    np.testing.assert_array_equal(x.grad.numpy().reshape(2, -1), expected)
    x.grad = None
    F.max_pool2d(x, kernel).backward(v)
    np.testing.assert_array_equal(x.grad.numpy().reshape(2, -1), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "window, place",
    [
        ([1, 1, 1, 1], 0),
        ([0, 1, 1, 1], 1),
        ([0, 0, 1, 1], 2),
        ([0, 0, 0, 1], 3),
        ([-INF] * 4, 0),
        ([-INF, -INF, 3, -INF], 2),
        ([NAN, 1, INF, 2], 0),
        ([1, NAN, 2, 0], 1),
        ([NAN, 1, NAN, 0], 2),
        ([0, NAN, NAN, 5], 2),
        ([NAN] * 4, 3),
    ],
)
def test_ties_and_nan(window, place, dtype):
    """The first of equal ones, the last NaN: in the general loops (indices) and in those for 2 x 2."""
    x = dl.tensor(np.tile(np.array(window, dtype).reshape(2, 2), (1, 3, 20)))
    largest = np.full((1, 3, 20), NAN if np.isnan(window).any() else max(window), dtype)
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), largest)
    corners = 80 * np.arange(3)[:, None] + 2 * np.arange(20)
    np.testing.assert_array_equal(indices.numpy()[0], corners + place // 2 * 40 + place % 2)
    np.testing.assert_array_equal(F.max_pool2d(x, 2).numpy(), largest)
    leaf = dl.tensor(x.numpy(), requires_grad=True)
    y = F.max_pool2d(leaf, 2)
    np.testing.assert_array_equal(y.numpy(), largest)
    y.backward(np.ones(y.shape, dtype), on_nonfinite="ignore")
    np.testing.assert_array_equal(leaf.grad.numpy()[0], np.tile((np.arange(4) == place).reshape(2, 2), (3, 20)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_padding_never_wins_and_nan_stays(dtype):
    x = np.full((1, 5, 5), -INF, dtype)
    y, indices = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert (y.numpy() == -INF).all()
    np.testing.assert_array_equal(indices.numpy()[0], [[0, 1, 3], [5, 6, 8], [15, 16, 18]])
    x[0, 2, 2] = NAN
    assert np.isnan(F.max_pool2d(x, 3, 2, 1).numpy()[0, 1, 1])
    assert np.isnan(F.adaptive_max_pool2d(x, 1).numpy()).all()
    assert np.isnan(F.avg_pool2d(x, 3, 2, 1).numpy()[0, 1, 1])


def test_means_of_float32_are_added_in_float64():
    x = np.full((1, 1, 300, 301), 0.1, "float32")
    x[..., -1] = 0
    for y in (F.adaptive_avg_pool2d(x, 1), F.avg_pool2d(x, (300, 301)), F.adaptive_avg_pool2d(x[..., :-1], (1, 2))):
        expected = np.float32(0.1) * (300 / 301 if y.shape[-1] == 1 else 1)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-7)


LARGE = [
    lambda x: F.max_pool2d(x, 2),
    lambda x: F.max_pool2d(x, 3, 2, 1),
    lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[0],
    lambda x: F.max_pool2d(x, 17, 3),
    lambda x: F.avg_pool2d(x, 2),
    lambda x: F.avg_pool2d(x, 3, 1, 1),
    lambda x: F.adaptive_avg_pool2d(x, 5),
    lambda x: F.adaptive_avg_pool2d(x, 1),
    lambda x: F.adaptive_max_pool2d(x, 1),
]


@pytest.mark.parametrize("pool", LARGE)
def test_threads_do_not_change_bits(pool):
    x = rng.standard_normal((9, 4, 41, 40)).astype("float32")
    found = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        t = dl.tensor(x, requires_grad=True)
        y = pool(t)
        y.backward(np.linspace(-1, 1, y.array.size, dtype="float32").reshape(y.shape))
        found.append((y.numpy().copy(), t.grad.numpy().copy()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("pool", LARGE)
def test_large_equals_its_planes(pool):
    """Parallel loops, and chunks that cross planes, against one plane at a time."""
    x = rng.standard_normal((9, 4, 41, 40)).astype("float32")
    t = dl.tensor(x, requires_grad=True)
    y = pool(t)
    y.backward(np.ones(y.shape, "float32"))
    for n, c in ((0, 0), (4, 3), (8, 3)):
        one = dl.tensor(x[n, c : c + 1].copy(), requires_grad=True)
        z = pool(one)
        z.backward(np.ones(z.shape, "float32"))
        np.testing.assert_allclose(z.numpy()[0], y.numpy()[n, c], rtol=1e-6)
        np.testing.assert_allclose(one.grad.numpy()[0], t.grad.numpy()[n, c], rtol=1e-6)


IMAGE = np.zeros((2, 3, 6, 6), "float32")

BAD = [
    (lambda: F.max_pool2d(IMAGE, 7), ValueError, "max_pool2d: kernel_size: got (7, 7)"),
    (lambda: F.avg_pool1d(IMAGE[0], 9), ValueError, "avg_pool1d: kernel_size: got (9,)"),
    (lambda: F.max_pool2d(IMAGE, 2, dilation=6), ValueError, "dilation (6, 6)"),
    (lambda: F.max_pool2d(IMAGE[..., :2], (1, 2), 1, (0, 1), 3), ValueError, "hold an element"),
    (lambda: F.max_pool2d(IMAGE, 2, padding=2), ValueError, "max_pool2d: padding: got (2, 2), expected at most half"),
    (lambda: F.avg_pool2d(IMAGE, 3, padding=(1, 2)), ValueError, "avg_pool2d: padding: got (1, 2)"),
    (lambda: F.max_pool2d(IMAGE, 2, 0), ValueError, "max_pool2d: stride: got 0, expected at least 1"),
    (lambda: F.max_pool2d(IMAGE, 2, (1, -1)), ValueError, "stride: got (1, -1)"),
    (lambda: F.max_pool2d(IMAGE, 0), ValueError, "kernel_size: got 0"),
    (lambda: F.max_pool2d(IMAGE, 2, padding=-1), ValueError, "padding: got -1"),
    (lambda: F.max_pool2d(IMAGE, 2, dilation=0), ValueError, "dilation: got 0"),
    (lambda: F.max_pool2d(IMAGE, 2.0), TypeError, "kernel_size: got 2.0, expected an integer"),
    (lambda: F.max_pool2d(IMAGE, (2, 2, 2)), ValueError, "kernel_size: got (2, 2, 2), expected one integer or 2"),
    (lambda: F.max_pool1d(IMAGE[0], (2, 2)), ValueError, "max_pool1d: kernel_size: got (2, 2)"),
    (lambda: F.max_pool2d(IMAGE[0, 0], 2), ValueError, "input: got shape (6, 6), expected (N, C, H, W) or (C, H, W)"),
    (lambda: F.max_pool1d(IMAGE, 2), ValueError, "max_pool1d: input: got shape (2, 3, 6, 6), expected (N, C, L)"),
    (lambda: F.max_pool2d(IMAGE[..., :0], 2), ValueError, "with elements in every plane"),
    (lambda: F.avg_pool2d(IMAGE.astype(int), 2), TypeError, "avg_pool2d: input: got dtype int64"),
    (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), ValueError, "divisor_override: got 0"),
    (lambda: F.adaptive_avg_pool2d(IMAGE, -1), ValueError, "adaptive_avg_pool2d: output_size: got (-1, -1)"),
    (lambda: F.adaptive_max_pool2d(IMAGE, (1, 2, 3)), ValueError, "output_size: got (1, 2, 3)"),
    (lambda: F.adaptive_max_pool1d(IMAGE[0], 1.5), TypeError, "adaptive_max_pool1d: output_size: got (1.5,)"),
    (lambda: nn.MaxPool2d(7)(IMAGE), ValueError, "MaxPool2d(kernel_size=7, stride=7, padding=0"),
]


@pytest.mark.parametrize("call, error, text", BAD)
def test_errors_name_the_argument(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


MODULES = [
    (nn.MaxPool2d(3, 2, 1, 1, False, True), F.max_pool2d, (3, 2, 1, 1, True), IMAGE.shape),
    (nn.MaxPool2d((2, 3)), F.max_pool2d, ((2, 3),), IMAGE.shape),
    (nn.MaxPool1d(3, 2, 1, 2, ceil_mode=True), F.max_pool1d, (3, 2, 1, 2, True), (3, 9)),
    (nn.AvgPool2d(3, 2, 1, True, False), F.avg_pool2d, (3, 2, 1, True, False), IMAGE.shape),
    (nn.AvgPool2d(2, divisor_override=3), F.avg_pool2d, (2, None, 0, False, True, 3), IMAGE.shape),
    (nn.AvgPool1d(3, 2, 1, True, False), F.avg_pool1d, (3, 2, 1, True, False), (2, 3, 8)),
    (nn.AdaptiveAvgPool2d((None, 4)), F.adaptive_avg_pool2d, ((None, 4),), IMAGE.shape),
    (nn.AdaptiveAvgPool1d(4), F.adaptive_avg_pool1d, (4,), (2, 3, 9)),
    (nn.AdaptiveMaxPool2d(4), F.adaptive_max_pool2d, (4,), IMAGE.shape),
    (nn.AdaptiveMaxPool1d(1), F.adaptive_max_pool1d, (1,), (2, 3, 9)),
]


@pytest.mark.parametrize("layer, function, arguments, shape", [pytest.param(*row, id=repr(row[0])) for row in MODULES])
def test_layer_calls_its_function(layer, function, arguments, shape):
    x = rng.standard_normal(shape).astype("float32")
    np.testing.assert_array_equal(layer(x).numpy(), function(x, *arguments).numpy())


def test_layers_return_indices():
    x = rng.standard_normal((2, 3, 9)).astype("float32")
    for layer in (nn.MaxPool1d(3, return_indices=True), nn.AdaptiveMaxPool1d(3, return_indices=True)):
        values, indices = layer(x)
        np.testing.assert_array_equal(np.take_along_axis(x, indices.numpy(), 2), values.numpy())


def test_repr_is_pytorchs():
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    assert repr(nn.AvgPool2d((2, 3), 1)) == "AvgPool2d(kernel_size=(2, 3), stride=1, padding=0)"
    assert repr(nn.AdaptiveAvgPool2d((None, 3))) == "AdaptiveAvgPool2d(output_size=(None, 3))"
