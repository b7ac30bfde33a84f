"""The activation kernels against float64 formulas, and the bits they promise."""

import ctypes
import math

import numpy as np
import pytest

from minidl.kernels import activation, kernel

FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
SELU = 1.0507009873554805, 1.6732632423543772
DTYPES = ["float32", "float64"]


def call(name, buffers, n, a=()):
    """Runs a kernel; None is a NULL pointer."""
    assert all(b is None or b.flags.c_contiguous for b in buffers)
    dtype = buffers[0].dtype
    p = (ctypes.c_void_p * len(buffers))(*(None if b is None else b.ctypes.data for b in buffers))
    sizes = (ctypes.c_ssize_t * len(n))(*n)
    scalars = (ctypes.c_double * max(1, len(a)))(*a)
    assert FUNCTION(getattr(activation, name).address(dtype))(p, sizes, scalars) == 0


def forward(name, x, derivative=False):
    """y, or y and d."""
    y, d = np.empty_like(x), np.full_like(x, 7) if derivative else None
    buffers = [y, d, x] if OPS[name][1] else [y, x]
    call(name, buffers, [x.size], OPS[name][2])
    return (y, d) if derivative else y


def results(name, x):
    """All that the kernel returns, in rows."""
    return np.stack(forward(name, x, True)) if OPS[name][1] else forward(name, x)[None]


def bits(array):
    return array.view(f"i{array.itemsize}")


erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x, beta=1.0, threshold=20.0):
    t = beta * x
    return np.where(t > threshold, x, (np.maximum(t, 0) + np.log1p(np.exp(-np.abs(t)))) / beta)


def elu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_derivative(x):
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)


def mish_derivative(x):
    t = np.tanh(softplus(x))
    return t + x * (1 - t * t) * sigmoid(x)


# name: function, derivative if the kernel returns it, scalars
OPS = {
    "relu": (lambda x: np.maximum(x, 0), None, ()),
    "leaky_relu": (lambda x, slope: np.where(x > 0, x, slope * x), None, (0.01,)),
    "elu": (elu, lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))), (1.3,)),
    "celu": (
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)),
        lambda x, alpha: np.where(x > 0, 1, np.exp(np.minimum(x, 0) / alpha)),
        (1.3,),
    ),
    "selu": (
        lambda x: SELU[0] * elu(x, SELU[1]),
        lambda x: SELU[0] * np.where(x > 0, 1, SELU[1] * np.exp(np.minimum(x, 0))),
        (),
    ),
    "gelu": (
        lambda x: x / 2 * (1 + erf(x / np.sqrt(2))),
        lambda x: (1 + erf(x / np.sqrt(2))) / 2 + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
        (),
    ),
    "gelu_tanh": (gelu_tanh, gelu_tanh_derivative, ()),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))), ()),
    "softplus": (
        softplus,
        lambda x, beta, threshold: np.where(beta * x > threshold, 1, sigmoid(beta * x)),
        (2.0, 15.0),
    ),
    "sigmoid": (sigmoid, None, ()),
    "tanh": (np.tanh, None, ()),
    "hardtanh": (np.clip, None, (-1.5, 2.0)),
    "hardsigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, None, ()),
    "hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, None, ()),
    "softsign": (lambda x: x / (1 + np.abs(x)), None, ()),
    "mish": (lambda x: x * np.tanh(softplus(x)), mish_derivative, ()),
    "log_sigmoid": (lambda x: -softplus(-x, 1, np.inf), lambda x: sigmoid(-x), ()),
    "exp": (np.exp, None, ()),
    "log": (np.log, None, ()),
    "sqrt": (np.sqrt, None, ()),
    "abs": (np.abs, None, ()),
    "neg": (np.negative, None, ()),
    "reciprocal": (np.reciprocal, None, ()),
    "square": (np.square, None, ()),
    "sin": (np.sin, np.cos, ()),
    "cos": (np.cos, lambda x: -np.sin(x), ()),
    "log1p": (np.log1p, None, ()),
    "expm1": (np.expm1, None, ()),
    "erf": (erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x), ()),
    "sign": (np.sign, None, ()),
    "clamp": (np.clip, None, (-0.5, 0.5)),
}
DUAL = [name for name, op in OPS.items() if op[1]]

# Largest error over every 1009th float32, in units of the last place.
ULP = {"exp": 1.2, "expm1": 2, "log": 1, "log1p": 1.6, "tanh": 2.6, "sigmoid": 2.5, "erf": 2.2}


def inputs(dtype):
    """Both signs of a fine grid, 80 decades, the kinks, the denormals and the specials."""
    tiny = np.finfo(dtype).smallest_subnormal
    special = [0, tiny, 1e3 * tiny, 0.5, 1, 1.5, 2, 3, 6, 7.5, 20, 88.7, 104, 710, 745, np.inf]
    x = np.concatenate([np.linspace(0, 30, 3001), np.logspace(-36, 36, 721), special]).astype(dtype)
    return np.concatenate([x, -x, np.array([np.nan], dtype)])


def assert_matches(got, expected, x, dtype):
    """Equal up to 8 eps, relative or in absolute terms around zero crossings and cancellation, NaN where expected."""
    with np.errstate(over="ignore"):
        expected = np.asarray(expected).astype(dtype).astype(float)
    eps = float(np.finfo(dtype).eps)
    with np.errstate(invalid="ignore"):
        close = np.abs(got - expected) <= 8 * eps * np.abs(expected) + 4 * eps * np.minimum(1 + np.abs(x), 10)
    close |= (got == expected) | (np.isnan(got) & np.isnan(expected))
    assert close.all(), list(zip(x[~close][:5], got[~close][:5], expected[~close][:5], strict=True))


@pytest.fixture
def num_threads():
    """Sets the thread count; put back afterwards."""
    before = kernel.get_num_threads()
    yield kernel.set_num_threads
    kernel.set_num_threads(before)


def test_every_kernel_is_tested():
    found = {name for name, value in vars(activation).items() if isinstance(value, kernel.Kernel)}
    assert found == {*OPS, "prelu"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPS)
def test_forward(name, dtype):
    x = inputs(dtype)
    function, _, a = OPS[name]
    with np.errstate(all="ignore"):
        expected = function(x.astype(float), *a)
    assert_matches(forward(name, x), expected, x, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPS)
def test_nan_stays(name, dtype):
    assert np.isnan(forward(name, np.full(37, np.nan, dtype))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DUAL)
def test_derivative_against_formula(name, dtype):
    x = inputs(dtype)
    x = x[np.abs(x) < 1e4]
    _, derivative, a = OPS[name]
    with np.errstate(all="ignore"):
        expected = derivative(x.astype(float), *a)
    assert_matches(forward(name, x, derivative=True)[1], expected, x, dtype)


@pytest.mark.parametrize("name", DUAL)
def test_derivative_against_differences(name):
    x = np.linspace(-7, 7, 1000)
    h = 1e-5
    numeric = (forward(name, x + h) - forward(name, x - h)) / (2 * h)
    np.testing.assert_allclose(forward(name, x, derivative=True)[1], numeric, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", DUAL)
def test_derivative_far_out_is_finite(name):
    x = np.array([-3e38, -1e20, -1e5, 1e5, 1e20, 3e38], "float32")
    assert np.isfinite(forward(name, x, derivative=True)[1]).all()


@pytest.mark.parametrize(("name", "expected"), [("elu", 1.3), ("selu", SELU[0] * SELU[1])])
def test_derivative_at_the_kink_is_the_left_one(name, expected):
    _, d = forward(name, np.zeros(1), derivative=True)
    assert d[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", ULP)
def test_ulp(name):
    x = np.arange(0, 2**32, 1009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    if name == "erf":
        x = x[::7].copy()
    y = forward(name, x)
    with np.errstate(all="ignore"):
        exact = OPS[name][0](x.astype(float))
        expected = exact.astype(np.float32)
    normal = np.isfinite(expected) & (np.abs(expected) >= np.finfo(np.float32).tiny)
    ulp = np.spacing(np.abs(expected[normal])).astype(float)
    assert (np.abs(y[normal] - exact[normal]) / ulp).max() <= ULP[name]
    np.testing.assert_allclose(y[~normal], expected[~normal], rtol=0, atol=1.2e-38)
    number = ~np.isnan(expected)
    assert (np.signbit(y) == np.signbit(expected))[number].all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPS)
def test_bits_do_not_depend_on_the_position(name, dtype):
    x = (np.random.default_rng(0).normal(size=200) * 3).astype(dtype)
    whole = results(name, x)
    for start in range(33):
        for size in (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65):
            piece = slice(start, start + size)
            np.testing.assert_array_equal(bits(results(name, x[piece])), bits(whole)[:, piece])


@pytest.mark.parametrize("name", OPS)
def test_bits_do_not_depend_on_threads_or_chunks(name, num_threads):
    x = (np.random.default_rng(1).normal(size=50001) * 3).astype("float32")
    pieces = np.concatenate([results(name, part) for part in np.array_split(x, 23)], axis=1)
    for count in (1, 2, 3):
        num_threads(count)
        np.testing.assert_array_equal(bits(results(name, x)), bits(pieces))


@pytest.mark.parametrize("name", OPS)
def test_in_place(name):
    x = (np.random.default_rng(2).normal(size=20011) * 3).astype("float32")
    expected = forward(name, x)
    call(name, [x, None, x] if name in DUAL else [x, x], [x.size], OPS[name][2])
    np.testing.assert_array_equal(bits(x), bits(expected))


@pytest.mark.parametrize("name", DUAL)
def test_output_does_not_depend_on_the_derivative(name):
    x = (np.random.default_rng(3).normal(size=20011) * 3).astype("float32")
    np.testing.assert_array_equal(bits(forward(name, x)), bits(forward(name, x, derivative=True)[0]))


@pytest.mark.parametrize("name", OPS)
def test_empty(name):
    forward(name, np.empty(0, "float32"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5, 1), (3, 5, 7), (1, 1, 9), (40, 33, 40), (2, 40000, 1), (1, 1, 70001)])
def test_prelu(shape, dtype):
    rng = np.random.default_rng(4)
    x = rng.normal(size=shape).astype(dtype)
    x[0, 0, 0] = np.nan
    weight = rng.normal(size=shape[1]).astype(dtype)
    y = np.empty_like(x)
    call("prelu", [y, x, weight], shape)
    np.testing.assert_array_equal(y, np.where(x > 0, x, x * weight[:, None]))
