"""Arithmetic and reductions beyond the declarations in `ops`: dtypes, operands, limits, sizes, bad input."""

import math

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F

F32 = dl.tensor([1.0, 2.0])
F64 = dl.tensor(np.array([1.0, 2.0]))
I64 = dl.tensor([1, 2])
BOOL = dl.tensor([True, False])


@pytest.mark.parametrize(
    "left, right, dtype",
    [
        (F32, F64, "float64"),
        (F32, I64, "float32"),
        (F64, I64, "float64"),
        (I64, BOOL, "int64"),
        (F32, 0.1, "float32"),
        (F32, np.float64(0.1), "float32"),
        (F64, 0.1, "float64"),
        (I64, 2, "int64"),
        (I64, 0.5, "float32"),
        (BOOL, 2, "int64"),
        (F32, dl.tensor(np.array(0.1)), "float32"),  # a 0-d tensor is as weak as a number
        (I64, dl.tensor(np.array(0.1)), "float64"),
        (F32, np.array([1.0, 2.0]), "float64"),
        (F32, np.array([1, 2], np.int32), "float32"),
        (F32, [1, 2], "float32"),
    ],
)
def test_promotion(left, right, dtype):
    expected = np.add(np.asarray(left), np.asarray(right))
    for y in (left + right, right + left):
        assert isinstance(y, dl.Tensor)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__mul__", "__truediv__", "__pow__", "__lt__", "__eq__"])
def test_numpy_on_the_left(operator):
    import operator as operators

    apply = getattr(operators, operator)
    for left in (np.array([3.0, 5.0]), np.float64(3), np.float32(3), 3, 3.0, np.int64(3)):
        y = apply(left, F64)
        assert isinstance(y, dl.Tensor), type(left)
        np.testing.assert_array_equal(y.numpy(), apply(np.asarray(left, np.float64), F64.numpy()))


def test_true_division_of_integers_is_float():
    y = I64 / 2
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), [0.5, 1])


def test_a_number_keeps_its_precision():
    np.testing.assert_array_equal((F64 * 0.1).numpy(), F64.numpy() * 0.1)
    np.testing.assert_array_equal((F32 * 0.1).numpy(), F32.numpy() * np.float32(0.1))


def test_integers_stay_integers():
    x = dl.tensor([-3, 0, 2**53 + 1])
    for y, expected in [
        (-x, [3, 0, -(2**53) - 1]),
        (abs(x), [3, 0, 2**53 + 1]),
        (x.square().clamp(max=9), [9, 0, 9]),
        (x.sign(), [-1, 0, 1]),
        (x.sum(), 2**53 - 2),
        (x.max(), 2**53 + 1),
        (x.amin(), -3),
        (dl.tensor([True, True, False]).sum(), 2),
    ]:
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y.numpy(), expected)
    assert F.exp(x.clamp(-1, 1)).dtype == np.float32


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_comparisons(name, dtype):
    import operator

    a, b = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype), np.array([1, 1, 0]).astype(dtype)
    y = getattr(operator, name)(dl.tensor(a), dl.tensor(b))
    assert y.dtype == bool
    np.testing.assert_array_equal(y.numpy(), getattr(operator, name)(a, b))
    np.testing.assert_array_equal(getattr(F, name)(dl.tensor(a), 1).numpy(), getattr(operator, name)(a, 1))


def test_equality_with_other_things_is_pythons():
    assert F32 not in (None, "text")
    assert F32 != "text"
    assert len({F32, F64, F32}) == 2


def test_logic():
    a, b = dl.tensor([True, True, False]), dl.tensor([True, False, False])
    np.testing.assert_array_equal((a & b).numpy(), [True, False, False])
    np.testing.assert_array_equal((a | b).numpy(), [True, True, False])
    np.testing.assert_array_equal((~a).numpy(), [False, False, True])
    with pytest.raises(TypeError, match="&: got dtype int64, expected bool"):
        I64 & 1


def test_casts():
    x = dl.tensor(np.array([-1.7, 0.0, 2.9]), requires_grad=True)
    assert x.to("float64") is x
    np.testing.assert_array_equal(x.long().numpy(), [-1, 0, 2])
    np.testing.assert_array_equal(x.bool().numpy(), [True, False, True])
    assert not x.long().requires_grad
    y = x.float()
    assert y.dtype == np.float32
    (y * y).sum().backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy(), rtol=1e-6)
    assert F32.to(F64).dtype == np.float64
    assert BOOL.double().tolist() == [1.0, 0.0]


def test_mixed_dtypes_get_gradients_of_their_own():
    x, z = dl.tensor([1.0, 2.0], requires_grad=True), dl.tensor(np.array([3.0, 4.0]), requires_grad=True)
    (x * z).sum().backward()
    assert (x.grad.dtype, z.grad.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(x.grad.numpy(), [3, 4])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.add(np.zeros((3, 4)), np.zeros(5)), ValueError, r"add: shapes \(3, 4\) and \(5,\) do not broadcast"),
        (lambda: F64 * np.zeros((3, 1, 3)), ValueError, r"mul: shapes \(2,\) and \(3, 1, 3\) do not broadcast"),
        (lambda: F.where(BOOL, F64, np.zeros(3)), ValueError, r"where: shapes \(2,\), \(2,\) and \(3,\) do not"),
        (lambda: F.where(F64, F64, F64), TypeError, "where: condition: got dtype float64, expected bool"),
        (lambda: np.zeros(3) < F64, ValueError, "gt: shapes"),
        (lambda: BOOL + BOOL, TypeError, "add: got bool"),
        (lambda: F64 + "a", TypeError, "got dtype <U1"),
        (lambda: F64 + None, TypeError, "got dtype object"),
        (lambda: F64.clamp(), ValueError, "clamp: got neither min nor max"),
        (lambda: F64.clamp(min=math.nan), ValueError, "clamp: got min nan"),
        (lambda: F64.to("float16"), TypeError, "to: dtype: got 'float16', expected float32"),
        (lambda: F64.to("what"), TypeError, "to: dtype: got 'what', expected float32"),
        (lambda: F64.sum(1), IndexError, "sum: dim: got 1, expected -1 <= dim < 1"),
        (lambda: F64.mean(-2), IndexError, "mean: dim: got -2"),
        (lambda: F64.sum((0, -1)), ValueError, r"sum: dim: got \(0, -1\), a dimension appears twice"),
        (lambda: F64.sum(0.5), TypeError, "sum: dim: got 0.5, expected an integer"),
        (lambda: F64.max((0,)), TypeError, r"max: dim: got \(0,\), expected an integer"),
        (lambda: F64.argmax("a"), TypeError, "argmax: dim: got 'a'"),
        (lambda: I64.mean(), TypeError, "mean: got dtype int64, expected float32 or float64"),
        (lambda: I64.var(), TypeError, "var: got dtype int64"),
        (lambda: F64.norm("nuc"), ValueError, "norm: p: got 'nuc'"),
        (lambda: F64.norm(math.nan), ValueError, "norm: p: got nan"),
        (lambda: F.max(np.zeros((0, 3))), ValueError, r"amax: shape \(0, 3\) has no elements"),
        (lambda: F.max(np.zeros((0, 3)), 0), ValueError, r"max: shape \(0, 3\) has no elements along dim 0"),
        (lambda: F.argmin(np.zeros((0, 3))), ValueError, "argmin: shape"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
    np.testing.assert_array_equal((F64 + 1).numpy(), [2, 3])


def test_nan_is_never_swallowed():
    x = dl.tensor(np.array([[1.0, math.nan, 3.0, math.nan], [1, 5, 5, 4]]))
    for y in (
        F.maximum(x, 2.0),
        F.minimum(x, 2.0),
        F.maximum(2.0, x),
        F.minimum(2.0, x),
        x.clamp(0, 2),
        abs(x),
        x.sign(),
    ):
        np.testing.assert_array_equal(np.isnan(y.numpy()), np.isnan(x.numpy()))
    for reduce in (F.max, F.min):
        values, indices = reduce(x, 1)
        assert math.isnan(values.numpy()[0]) and indices.numpy()[0] == 1
        assert math.isnan(reduce(x).item())
        assert math.isnan(reduce(x, 0)[0].numpy()[1])
    assert x.argmax().item() == 1
    assert math.isnan(x.sum().item()) and math.isnan(x.norm().item()) and math.isnan(x.prod().item())


def test_ties():
    x = dl.tensor(np.array([[2.0, 5, 5, 1], [7, 7, 7, 0]]), requires_grad=True)
    result = x.max(dim=1)
    assert result.indices.tolist() == [1, 0]
    result.values.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 1, 0, 0], [1, 0, 0, 0]])
    x.grad = None
    x.max().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 0, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0]])
    a, b = (dl.tensor(np.array([1.0, 2, 3]), requires_grad=True) for _ in range(2))
    F.maximum(a, b).sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(b.grad.numpy(), [0.5, 0.5, 0.5])


def test_what_lies_on_a_limit_keeps_its_gradient():
    x = dl.tensor(np.array([1.0, 2, 3, math.nan]), requires_grad=True)
    low = dl.tensor(np.array([1.0, 3, 1, 1]), requires_grad=True)
    high = dl.tensor(np.array([5.0, 5, 3, 5]), requires_grad=True)
    y = x.clamp(low, high)
    np.testing.assert_array_equal(y.numpy(), [1, 3, 3, math.nan])
    y.backward(np.ones(4), on_nonfinite="ignore")
    assert x.grad.tolist()[:3] == [1, 0, 1]
    assert low.grad.tolist()[:3] == [0, 1, 0] and high.grad.tolist()[:3] == [0, 0, 0]
    assert x.detach().clamp(max=dl.tensor(2.0)).tolist()[:3] == [1, 2, 2]


def test_an_empty_dim_means_all():
    x = dl.tensor(np.arange(6.0).reshape(2, 3))
    assert x.sum(()).item() == 15 and x.mean(()).item() == 2.5 and x.amax(()).item() == 5
    assert x.sum((), keepdim=True).shape == (1, 1)


@pytest.mark.parametrize("p", [0.5, 3, -1])
def test_general_norms(p):
    x = dl.tensor(np.array([[0.0, 0, 0], [1, -3, 2]]), requires_grad=True)
    y = x.norm(p, 1)
    expected = (np.abs(x.numpy()[1]) ** p).sum() ** (1 / p)
    np.testing.assert_allclose(y.numpy(), [0, expected])
    if p > 0:
        y.sum().backward()
        slope = np.sign(x.numpy()[1]) * (np.abs(x.numpy()[1]) / expected) ** (p - 1)
        np.testing.assert_allclose(x.grad.numpy(), [[0, 0, 0], slope])


def test_norm_0_counts():
    assert dl.tensor([[0.0, 0], [2, 0]]).norm(0, 1).tolist() == [0, 1]


def test_arange_of_numpy_numbers():
    assert dl.arange(np.float32(3)).dtype == np.float32 and dl.arange(np.int32(3)).dtype == np.int64


def test_nothing_to_reduce():
    x = dl.tensor(np.zeros((0, 3), np.float32))
    assert x.sum().item() == 0 and x.prod().item() == 1 and x.norm().item() == 0
    assert math.isnan(x.mean().item()) and math.isnan(x.var().item()) and math.isnan(x.std().item())
    assert x.bool().all().item() is True and x.bool().any().item() is False
    assert x.sum(0).tolist() == [0, 0, 0] and x.sum(1).shape == (0,)
    assert math.isnan(dl.tensor([1.0]).var().item())


def test_limits_of_the_gradient():
    x = dl.tensor(np.array([0.0, 0.0]), requires_grad=True)
    x.norm().backward()
    assert x.grad.tolist() == [0, 0]
    x.grad = None
    x.std().backward()
    assert x.grad.tolist() == [0, 0]
    x.grad = None
    (x**2 + x**0).sum().backward()
    assert x.grad.tolist() == [0, 0]
    e = dl.tensor(np.array([0.0, 2.0]), requires_grad=True)
    (dl.tensor(np.zeros(2)) ** e).sum().backward()
    assert e.grad.tolist() == [0, 0]


def test_logsumexp_does_not_overflow():
    x = dl.tensor(np.array([[1000.0, 1000.0], [-math.inf, -math.inf], [math.inf, 0]]))
    np.testing.assert_allclose(x.logsumexp(1).numpy(), [1000 + math.log(2), -math.inf, math.inf])


def test_norm_does_not_overflow():
    assert dl.tensor([3e30, 4e30]).norm().item() == pytest.approx(5e30)
    assert dl.tensor([3e-30, 4e-30]).norm().item() == pytest.approx(5e-30)


def test_long_sums_are_accurate():
    values = np.random.default_rng(0).uniform(0, 1, 1_000_003).astype(np.float32)
    exact = math.fsum(values.astype(float))
    assert dl.tensor(values).sum().item() == pytest.approx(exact, rel=1e-7)
    assert dl.tensor(values).mean().item() == pytest.approx(exact / values.size, rel=1e-7)
    columns = values[:1_000_000].reshape(100_000, 10)
    np.testing.assert_allclose(F.sum(columns, 0).numpy(), columns.sum(0, dtype=float), rtol=2e-7)
    deviating = values + np.float32(1000)
    assert dl.tensor(deviating).var().item() == pytest.approx(deviating.astype(float).var(ddof=1), rel=1e-6)


LARGE = [
    ((200, 300), (200, 300)),
    ((200, 300), (300,)),
    ((70_000, 1), (1,)),
    ((300, 1), (1, 200)),
    ((9, 50, 200), (50, 1)),
]


@pytest.mark.parametrize("shapes", LARGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_broadcasts_with_threads(shapes, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0.5, 2, shape).astype(dtype) for shape in shapes)
    results = []
    for threads in (2, 1):
        dl.set_num_threads(threads)
        x, z = dl.tensor(a, requires_grad=True), dl.tensor(b, requires_grad=True)
        y = x * z - x / z
        y.sum().backward()
        results.append([y.numpy(), (x < z).numpy(), x.grad.numpy(), z.grad.numpy()])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    y, less, dx, dz = results[0]
    ones = np.ones_like(y)
    np.testing.assert_allclose(y, a * b - a / b, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(less, a < b)
    np.testing.assert_allclose(dx, total(ones * (b - 1 / b), a.shape), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dz, total(a * ones + a / b**2, b.shape), rtol=1e-4, atol=1e-4)


def total(array, shape):
    """Sum of `array` down to `shape`."""
    aligned = (1,) * (array.ndim - len(shape)) + shape
    return array.sum(tuple(d for d, size in enumerate(aligned) if size == 1), dtype=float).reshape(shape)


@pytest.mark.parametrize(
    "shape, dim",
    [((300_000,), 0), ((20, 3000), 1), ((3000, 20), 0), ((60, 1000), 0), ((4, 90, 200), 1), ((70_000, 3), 1)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_reductions_with_threads(shape, dim, dtype):
    array = np.random.default_rng(0).uniform(0.99, 1.01, shape).astype(dtype)
    results = []
    for threads in (2, 1):
        dl.set_num_threads(threads)
        x = dl.tensor(array, requires_grad=True)
        outputs = [x.sum(dim), x.prod(dim), x.norm(2, dim), *x.max(dim), *x.min(dim)]
        (x.prod(dim) + x.max(dim).values + x.mean(dim) + x.norm(2, dim)).sum().backward()
        results.append([y.numpy() for y in outputs] + [x.grad.numpy()])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    wide = array.astype(float)
    expected = [
        wide.sum(dim), wide.prod(dim), np.sqrt((wide**2).sum(dim)),
        wide.max(dim), wide.argmax(dim), wide.min(dim), wide.argmin(dim),
    ]  # fmt: skip
    for y, other in zip(results[0], expected, strict=False):
        np.testing.assert_allclose(y, other, rtol=1e-6)
