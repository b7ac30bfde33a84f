"""Values and gradients of every operation that PyTorch also has."""

import numpy as np
import pytest
from op_table import cases
from ops import OPS

import minidl as dl

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")


@pytest.mark.parametrize("op, shapes", cases([op for op in OPS if op.torch]))
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-11)])
def test_parity(op, shapes, dtype, tolerance):
    arrays = [array.astype(dtype) for array in op.inputs(shapes)]
    ours = [dl.tensor(array, requires_grad=op.differentiable) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=op.differentiable) for array in arrays]
    y, expected = op.function(*ours), op.torch(*theirs)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    if not op.differentiable:
        return
    v = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    y.backward(v)
    expected.backward(torch.tensor(v))
    for x, other in zip(ours, theirs, strict=True):
        wanted = np.zeros(x.shape) if other.grad is None else other.grad.numpy()
        np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=tolerance, atol=tolerance)
