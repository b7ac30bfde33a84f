"""Every operation: values, gradients, layouts, accumulation, replay; all made from the declarations in `ops`."""

import numpy as np
import pytest
from op_table import cases
from ops import OPS

import minidl as dl

DIFFERENTIABLE = [op for op in OPS if op.differentiable]


def tensors(arrays, dtype="float64"):
    return [dl.tensor(array.astype(dtype), requires_grad=True) for array in arrays]


def cotangent(shape):
    return np.random.default_rng(1).standard_normal(shape)


def gradients(op, arrays):
    """Gradients of sum(cotangent * op(...)) in float64."""
    inputs = tensors(arrays)
    y = op.function(*inputs)
    y.backward(cotangent(y.shape))
    return [x.grad.numpy().copy() for x in inputs]


def strided(array):
    """The same values with other strides."""
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


@pytest.mark.parametrize("op, shapes", cases(OPS))
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-12)])
def test_forward(op, shapes, dtype, tolerance):
    arrays = [array.astype(dtype) for array in op.inputs(shapes)]
    y = op.function(*map(dl.tensor, arrays))
    expected = op.reference(*[array.astype(np.float64) for array in arrays])
    assert y.shape == np.shape(expected)
    if y.dtype.kind == "f":
        assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("op, shapes", cases(DIFFERENTIABLE))
def test_gradient(op, shapes):
    arrays = op.inputs(shapes)
    computed = gradients(op, arrays)
    v = cotangent(op.function(*map(dl.tensor, arrays)).shape)

    def objective():
        return float((op.function(*map(dl.tensor, arrays)).numpy() * v).sum())

    step = 1e-5
    for array, gradient in zip(arrays, computed, strict=True):
        numeric = np.empty_like(array)
        for i in np.ndindex(array.shape):
            value = array[i]
            array[i] = value + step
            above = objective()
            array[i] = value - step
            below = objective()
            array[i] = value
            numeric[i] = (above - below) / (2 * step)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=2e-9)


@pytest.mark.parametrize("op, shapes", cases(DIFFERENTIABLE))
def test_strided_inputs(op, shapes):
    arrays = op.inputs(shapes)
    y = op.function(*[dl.tensor(strided(array)) for array in arrays])
    np.testing.assert_array_equal(y.numpy(), op.function(*map(dl.tensor, arrays)).numpy())
    for one, other in zip(gradients(op, arrays), gradients(op, [strided(array) for array in arrays]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("op, shapes", cases(DIFFERENTIABLE))
def test_used_twice(op, shapes):
    arrays = op.inputs(shapes)
    once = gradients(op, arrays)
    inputs = tensors(arrays)
    for _ in range(2):
        y = op.function(*inputs)
        y.backward(cotangent(y.shape))
    for x, gradient in zip(inputs, once, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), 2 * gradient, rtol=1e-15)


@pytest.mark.parametrize("op, shapes", cases(DIFFERENTIABLE))
def test_recorded_equals_eager(op, shapes):
    first, second = op.inputs(shapes, seed=0), op.inputs(shapes, seed=1)
    leaves = tensors(first)
    v = cotangent(op.function(*map(dl.tensor, first)).shape)

    def step():
        for leaf in leaves:
            leaf.grad = None
        y = op.function(*leaves)
        y.backward(v)
        return y

    recorded = dl.record(step)
    recorded()
    for leaf, array in zip(leaves, second, strict=True):
        leaf.array[...] = array
    y = recorded()
    assert len(recorded.recordings) == 1
    np.testing.assert_array_equal(y.numpy(), op.function(*map(dl.tensor, second)).numpy())
    for leaf, gradient in zip(leaves, gradients(op, second), strict=True):
        np.testing.assert_array_equal(leaf.grad.numpy(), gradient)


@pytest.mark.parametrize("op, shapes", cases(DIFFERENTIABLE))
def test_threads_do_not_change_bits(op, shapes):
    arrays = op.inputs(shapes)
    two = gradients(op, arrays)
    dl.set_num_threads(1)
    for one, other in zip(gradients(op, arrays), two, strict=True):
        np.testing.assert_array_equal(one, other)
