"""Folding batch normalisation into the layer before it."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn

LAYERS = [
    (lambda: nn.Conv2d(4, 6, 3, groups=2, dtype="float64"), nn.BatchNorm2d, (3, 4, 5, 5)),
    (lambda: nn.Conv1d(4, 6, 3, bias=False, dtype="float64"), nn.BatchNorm1d, (3, 4, 7)),
    (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, dtype="float64"), nn.BatchNorm2d, (3, 4, 5, 5)),
    (lambda: nn.Linear(4, 6, dtype="float64"), nn.BatchNorm1d, (5, 4)),
]


def trained(layer, norm, x):
    """A pair in evaluation whose statistics, scale and shift are not those of the start."""
    pair = nn.Sequential(layer, norm)
    rng = np.random.default_rng(0)
    if norm.weight is not None:
        norm.load_state_dict({**norm.state_dict(), "weight": rng.uniform(0.5, 2, 6), "bias": rng.standard_normal(6)})
    for _ in range(3):
        pair(2 + 3 * x)
    return pair.eval()


@pytest.mark.parametrize(("make", "norm", "shape"), LAYERS)
@pytest.mark.parametrize("affine", [True, False])
def test_fused(make, norm, shape, affine):
    layer, norm = make(), norm(6, affine=affine, dtype="float64")
    x = np.random.default_rng(1).standard_normal(shape)
    pair = trained(layer, norm, x)
    before = layer.weight.numpy().copy()
    fuse = nn.utils.fuse_linear_bn_eval if isinstance(layer, nn.Linear) else nn.utils.fuse_conv_bn_eval
    fused = fuse(layer, norm)
    np.testing.assert_allclose(fused(x).numpy(), pair(x).numpy(), atol=1e-12)
    assert type(fused) is type(layer) and "bias" in fused.state_dict()
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_errors():
    conv, norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
    with pytest.raises(ValueError, match="fuse_conv_bn_eval: got modules in training"):
        nn.utils.fuse_conv_bn_eval(conv, norm)
    with pytest.raises(ValueError, match="bn is over 3 channels, expected 2"):
        nn.utils.fuse_conv_bn_eval(conv.eval(), nn.BatchNorm2d(3).eval())
    with pytest.raises(ValueError, match="no running statistics"):
        nn.utils.fuse_conv_bn_eval(conv, nn.BatchNorm2d(2, track_running_stats=False).eval())
    assert conv(dl.zeros((1, 1, 4, 4))).shape == (1, 2, 2, 2)
