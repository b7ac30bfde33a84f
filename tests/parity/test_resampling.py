"""Modules for padding, upsampling and windows beside PyTorch's: repr and values."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

X = np.random.default_rng(0).standard_normal((2, 4, 6))
IMAGES = np.random.default_rng(0).standard_normal((2, 3, 4, 5))

MODULES = [  # how to build it from either library's `nn`, and its input
    (lambda nn: nn.ConstantPad1d((1, 2), 3.5), X),
    (lambda nn: nn.ConstantPad2d(1, 2), IMAGES),
    (lambda nn: nn.ZeroPad1d(2), X[0]),
    (lambda nn: nn.ZeroPad2d((1, 0, 2, -1)), IMAGES),
    (lambda nn: nn.ReflectionPad1d((1, 5)), X),
    (lambda nn: nn.ReflectionPad2d((3, 1, 0, 2)), IMAGES),
    (lambda nn: nn.ReplicationPad1d(3), X[0]),
    (lambda nn: nn.ReplicationPad2d((-1, 7, 2, 0)), IMAGES[0]),
    (lambda nn: nn.CircularPad1d(6), X),
    (lambda nn: nn.CircularPad2d((5, 1, -1, 2)), IMAGES),
    (lambda nn: nn.Upsample(scale_factor=2), IMAGES),
    (lambda nn: nn.Upsample((3, 9), mode="bilinear", align_corners=True), IMAGES),
    (lambda nn: nn.Upsample(scale_factor=(1.5, 0.7), mode="bilinear"), IMAGES),
    (lambda nn: nn.Upsample(scale_factor=1.3, mode="linear", recompute_scale_factor=True), X),
    (lambda nn: nn.Unfold((2, 3), dilation=1, padding=(1, 0), stride=2), IMAGES),
    (lambda nn: nn.Fold((4, 3), (1, 2), padding=1, stride=2), X),
]


@pytest.mark.parametrize("build, x", [pytest.param(*row, id=repr(row[0](nn))) for row in MODULES])
def test_repr_and_values(build, x):
    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    np.testing.assert_allclose(ours(dl.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear"])
def test_the_same_positions_for_many_sizes(mode, dtype):
    for size in [*range(1, 14), 33, 50]:
        x = np.random.default_rng(size).standard_normal((1, 1, size, 2)).astype(dtype)
        for count in [*range(1, 20), 66, 77]:
            for arguments in ({"size": (count, 3)}, {"scale_factor": ((count + 0.3) / size, 1.5)}):
                y = dl.functional.interpolate(x, **arguments, mode=mode).numpy()
                expected = torch.nn.functional.interpolate(torch.tensor(x), **arguments, mode=mode).numpy()
                np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
