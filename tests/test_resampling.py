"""Padding, interpolation, unfold and fold: bad input, special numbers, threads, integers and modules."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: F.pad(x, (1,)), ValueError, r"pad: pad: got \(1,\), expected pairs"),
        (lambda x: F.pad(x, (1, 1) * 5), ValueError, "at most the 4 dimensions"),
        (lambda x: F.pad(x, 1), TypeError, "pad: pad: got 1, expected a sequence of integers"),
        (lambda x: F.pad(x, (0.5, 1)), TypeError, "expected a sequence of integers"),
        (lambda x: F.pad(x, (1, 1), "mirror"), ValueError, "'mirror'"),
        (lambda x: F.pad(x, (1, 1), "reflect", 1.0), ValueError, "value: got 1.0 with mode 'reflect'"),
        (lambda x: F.pad(x, (5, 0), "reflect"), ValueError, r"\(5, 0\) for dim 3 of size 5, expected at most 4"),
        (lambda x: F.pad(x, (0, 0, 1, 6), "circular"), ValueError, r"\(1, 6\) for dim 2 of size 4, expected at most 4"),
        (lambda x: F.pad(x, (3, -3), "circular"), ValueError, r"\(3, -3\) for dim 3 of size 5, expected at most 2"),
        (lambda x: F.pad(x[..., :0], (1, 0), "replicate"), ValueError, "for dim 3 of size 0, expected at most 0"),
        (lambda x: F.pad(x, (-3, -3)), ValueError, "cuts more than dim 3"),
        (lambda x: F.pad(x, (-6, 9), "replicate"), ValueError, "cuts more than dim 3"),
        (lambda x: F.interpolate(x), ValueError, "got size None and scale_factor None, expected one of them"),
        (lambda x: F.interpolate(x, 3, 2), ValueError, "got size 3 and scale_factor 2, expected one of them"),
        (lambda x: F.interpolate(x, 3, mode="cubic"), ValueError, "mode: got 'cubic', expected one of 'nearest'"),
        (lambda x: F.interpolate(x, 3, align_corners=True), ValueError, "align_corners: got True, expected None"),
        (lambda x: F.interpolate(x, 3, mode="linear"), ValueError, r"expected \(N, C, L\) in mode 'linear'"),
        (lambda x: F.interpolate(x[0], 3, mode="bilinear"), ValueError, r"\(3, 4, 5\), expected \(N, C, H, W\)"),
        (lambda x: F.interpolate(x[0, 0], 3), ValueError, r"expected \(N, C, L\) or \(N, C, H, W\)"),
        (lambda x: F.interpolate(x, (3, 3, 3)), ValueError, r"size: got \(3, 3, 3\), expected 2"),
        (lambda x: F.interpolate(x, 2.5), TypeError, "size: got 2.5, expected integers"),
        (lambda x: F.interpolate(x, (0, 3)), ValueError, "expected at least 1"),
        (lambda x: F.interpolate(x, scale_factor=0.1), ValueError, r"spatial shape \(0, 0\), expected at least 1"),
        (lambda x: F.interpolate(x, scale_factor=-1), ValueError, "expected finite numbers > 0"),
        (lambda x: F.interpolate(x, scale_factor=float("nan")), ValueError, "expected finite numbers > 0"),
        (lambda x: F.interpolate(x[..., :0], 3), ValueError, r"spatial shape \(4, 0\), expected at least 1"),
        (lambda x: F.interpolate(x, 3, recompute_scale_factor=True), ValueError, "only with scale_factor"),
        (lambda x: F.interpolate(x.array.astype(int), 3, mode="bilinear"), TypeError, "input is int64"),
        (lambda x: F.unfold(x[0, 0], 2), ValueError, r"unfold: input has shape \(4, 5\), expected \(N, C, H, W\)"),
        (lambda x: F.unfold(x, 5), ValueError, "got 5 with dilation 1, which spans 5; expected at most 4, the height"),
        (lambda x: F.unfold(x, 3, dilation=4, padding=(3, 1)), ValueError, "spans 9; expected at most 7, the width"),
        (lambda x: F.unfold(x, 0), ValueError, "unfold: kernel_size: got 0, expected one or two integers >= 1"),
        (lambda x: F.unfold(x, 2, stride=(1, 0)), ValueError, r"stride: got \(1, 0\)"),
        (lambda x: F.unfold(x, (1, 2, 3)), ValueError, "one or two integers"),
        (lambda x: F.unfold(x, 2, padding=-1), ValueError, "padding: got -1, expected one or two integers >= 0"),
        (lambda x: F.unfold(x, 1.5), TypeError, "kernel_size: got 1.5, expected an integer or two"),
        (lambda x: F.fold(x, 3, 2), ValueError, r"fold: input has shape \(2, 3, 4, 5\)"),
        (lambda x: F.fold(x[0], 3, 2), ValueError, r"fold: input has 5 columns \(shape \(3, 4, 5\)\), expected 4"),
        (lambda x: F.fold(x[0], (3, 4), 2), ValueError, "has 5 columns .* expected 6: 2 x 3 windows in 3 x 4"),
        (lambda x: F.fold(x[0], 3, 3), ValueError, r"has 4 rows \(shape \(3, 4, 5\)\), expected a multiple of 9"),
        (lambda x: F.fold(x[0], 3, 4), ValueError, "fold: kernel_size: got 4"),
        (lambda x: nn.Upsample(), ValueError, "Upsample: got size None and scale_factor None"),
        (lambda x: nn.ReflectionPad1d((1, 2, 3)), ValueError, r"ReflectionPad1d: padding: got \(1, 2, 3\)"),
        (lambda x: nn.ConstantPad2d(0.5, 1), TypeError, "ConstantPad2d: padding: got 0.5, expected integers"),
        (lambda x: nn.CircularPad1d(1)(x), ValueError, r"CircularPad1d\(\(1, 1\)\): input has shape \(2, 3, 4, 5\)"),
    ],
)  # fmt: skip
def test_bad_input(call, error, text):
    x = dl.tensor(X, requires_grad=True)
    with pytest.raises(error, match=text):
        call(x)
    x.clone().backward(np.ones(x.shape))
    np.testing.assert_array_equal(x.grad.numpy(), 1)


LAYERS = [
    (nn.ConstantPad1d((1, 2), 3.0), lambda x: F.pad(x, (1, 2), value=3.0)),
    (nn.ConstantPad2d(1, -2.0), lambda x: F.pad(x, (1, 1, 1, 1), value=-2.0)),
    (nn.ZeroPad1d(2), lambda x: F.pad(x, (2, 2))),
    (nn.ZeroPad2d((1, 0, 2, -1)), lambda x: F.pad(x, (1, 0, 2, -1))),
    (nn.ReflectionPad2d((3, 1, 0, 2)), lambda x: F.pad(x, (3, 1, 0, 2), "reflect")),
    (nn.ReplicationPad2d(3), lambda x: F.pad(x, (3, 3, 3, 3), "replicate")),
    (nn.CircularPad2d([1, 2, 3, 4]), lambda x: F.pad(x, (1, 2, 3, 4), "circular")),
    (nn.Upsample(7), lambda x: F.interpolate(x, 7)),
    (nn.Upsample(scale_factor=(1.5, 2)), lambda x: F.interpolate(x, scale_factor=(1.5, 2))),
    (nn.Upsample((3, 9), None, "bilinear", True), lambda x: F.interpolate(x, (3, 9), None, "bilinear", True)),
    (
        nn.Upsample(None, 1.7, "bilinear", recompute_scale_factor=True),
        lambda x: F.interpolate(x, None, 1.7, "bilinear", recompute_scale_factor=True),
    ),
    (nn.Unfold((2, 3), 1, (1, 0), 2), lambda x: F.unfold(x, (2, 3), 1, (1, 0), 2)),
]
SEQUENCES = [
    (nn.ReflectionPad1d((1, 2)), lambda x: F.pad(x, (1, 2), "reflect")),
    (nn.ReplicationPad1d(6), lambda x: F.pad(x, (6, 6), "replicate")),
    (nn.CircularPad1d((5, 0)), lambda x: F.pad(x, (5, 0), "circular")),
    (nn.Upsample(9, mode="linear"), lambda x: F.interpolate(x, 9, mode="linear")),
    (nn.Fold((4, 3), (1, 2), padding=1, stride=2), lambda x: F.fold(x, (4, 3), (1, 2), 1, 1, 2)),
]


@pytest.mark.parametrize("layer, function", [pytest.param(*row, id=repr(row[0])) for row in LAYERS])
def test_layer_calls_its_function(layer, function):
    np.testing.assert_array_equal(layer(dl.tensor(X)).numpy(), function(X).numpy())


@pytest.mark.parametrize("layer, function", [pytest.param(*row, id=repr(row[0])) for row in SEQUENCES])
def test_layer_for_sequences_calls_its_function(layer, function):
    x = np.random.default_rng(0).standard_normal((2, 4, 6))
    np.testing.assert_array_equal(layer(dl.tensor(x)).numpy(), function(x).numpy())


LARGE = {
    "reflect": lambda x: F.pad(x, (3, 1, 2, 5), "reflect"),
    "circular": lambda x: F.pad(x, (3, 1), "circular"),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "unfold": lambda x: F.unfold(x, 3, padding=1),
    "fold": lambda x: F.fold(F.reshape(x, (2, 12, -1)), (41, 51), 2),
}


@pytest.mark.parametrize("name", LARGE)
def test_threads_do_not_change_bits(name):
    values = np.random.default_rng(0).standard_normal((2, 12, 40, 50)).astype("float32")

    def run(threads):
        dl.set_num_threads(threads)
        x = dl.tensor(values, requires_grad=True)
        y = LARGE[name](x)
        y.backward(np.sin(np.arange(y.array.size, dtype="float32")).reshape(y.shape))
        return y.numpy(), x.grad.numpy()

    for one, two in zip(run(1), run(2), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("dtype", ["int64", "bool"])
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_integers_and_masks_are_padded_and_enlarged(dtype, mode):
    x = (np.arange(12).reshape(1, 1, 3, 4) % 5).astype(dtype)
    y = F.pad(x, (1, 2, 1, 0), mode)
    numpys = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), np.pad(x, [(0, 0), (0, 0), (1, 0), (1, 2)], numpys))
    np.testing.assert_array_equal(F.interpolate(x, scale_factor=2).numpy(), x.repeat(2, 2).repeat(2, 3))


def test_a_nan_spoils_only_what_it_weighs_in():
    x = np.zeros((1, 1, 1, 6))
    x[..., 3] = np.nan
    y = F.interpolate(x, (2, 6), mode="bilinear").numpy()
    np.testing.assert_array_equal(np.isnan(y[0, 0]), [[False] * 3 + [True] + [False] * 2] * 2)
    assert np.isnan(F.fold(F.unfold(x, (1, 3)), (1, 6), (1, 3)).numpy()).sum() == 1


def test_every_source_gets_the_gradient_of_its_copies():
    x = dl.tensor(np.ones((1, 1, 3)), requires_grad=True)
    F.pad(x, (2, 1), "replicate").sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[3, 1, 2]]])
    x.grad = None
    F.fold(F.unfold(F.reshape(x, (1, 1, 1, 3)), (1, 2)), (1, 3), (1, 2)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[1, 2, 1]]])
