"""Matrix products against NumPy in float64, and the promise that bits depend on K alone."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minidl.kernels import gemm
from minidl.kernels.kernel import get_num_threads, set_num_threads

FORMS = {"nn": gemm.matmul_nn, "nt": gemm.matmul_nt, "tn": gemm.matmul_tn}
FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
ADD_PACKED = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_ssize_t] * 4)(gemm.add_packed_address)

# Around one vector (16), the tile (14 rows or 6, 32 or 16 columns), more than one block of K (256) and of M and N.
RAGGED = [
    (0, 5, 3),
    (5, 0, 3),
    (5, 7, 0),
    (1, 1, 1),
    (13, 31, 4),
    (14, 32, 16),
    (15, 33, 17),
    (5, 15, 2),
    (6, 16, 8),
    (7, 17, 9),
    (32, 3, 32),
    (32, 10, 64),
    (64, 64, 32),
    (29, 70, 255),
    (14, 40, 257),
    (3, 100, 784),
    (530, 40, 70),
    (20, 1100, 40),
    (260, 530, 270),
    (130, 1024, 300),
]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def restore_threads():
    before = get_num_threads()
    yield
    set_num_threads(before)


def call(kernel, arrays, sizes):
    pointers = (ctypes.c_void_p * len(arrays))(*[None if x is None else x.ctypes.data for x in arrays])
    numbers = (ctypes.c_ssize_t * len(sizes))(*sizes)
    assert FUNCTION(kernel.address(arrays[0].dtype))(pointers, numbers, None) == 0


def matmul(form, a, b, c=None, accumulate=False):
    """c (+)= op(a) op(b) for one matrix, or a batch of them along the first axis; a batch of 1 is repeated."""
    M, K = a.shape[-2:] if form[0] == "n" else a.shape[:-3:-1]
    N = b.shape[-2 if form[1] == "t" else -1]
    batch = max((len(x) for x in (a, b) if x.ndim == 3), default=1)
    if c is None:
        c = np.full((batch, M, N) if a.ndim == 3 else (M, N), np.nan, a.dtype)
    strides = [x.shape[-1] * x.shape[-2] if x.ndim == 3 and len(x) > 1 else 0 for x in (c, a, b)]
    call(FORMS[form], [c, a, b], [M, N, K, accumulate, batch, *strides])
    return c


def operands(random, form, M, N, K, dtype):
    a = random.standard_normal((M, K) if form[0] == "n" else (K, M)).astype(dtype)
    b = random.standard_normal((K, N) if form[1] == "n" else (N, K)).astype(dtype)
    return a, b


def reference(form, a, b):
    a, b = a.astype("float64"), b.astype("float64")
    return (a if form[0] == "n" else a.swapaxes(-1, -2)) @ (b if form[1] == "n" else b.swapaxes(-1, -2))


def assert_close(got, wanted, K):
    """Of normal numbers: each of K roundings adds at most eps / 2 of a sum that grows like sqrt(K)."""
    np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * np.finfo(got.dtype).eps * (K + 4))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("M, N, K", RAGGED)
def test_product(random, form, M, N, K, dtype):
    a, b = operands(random, form, M, N, K, dtype)
    assert_close(matmul(form, a, b), reference(form, a, b), K)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("M, N", [(15, 3), (29, 37), (300, 530)])
def test_nothing_beyond_the_output_is_written(random, form, M, N, dtype):
    a, b = operands(random, form, M, N, 20, dtype)
    guarded = np.full(M * N + 200, 7, dtype)
    matmul(form, a, b, guarded[100:-100].reshape(M, N))
    assert (guarded[:100] == 7).all() and (guarded[-100:] == 7).all()


@pytest.mark.parametrize("form", FORMS)
def test_python_threads_do_not_share_scratch(random, form, dtype):
    set_num_threads(1)
    pairs = [operands(random, form, 250, 530, 300, dtype) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: matmul(form, *pair), pairs))
    for pair, result in zip(pairs, together, strict=True):
        np.testing.assert_array_equal(result, matmul(form, *pair))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("K", [0, 5, 600])
def test_accumulate(random, form, K, dtype):
    a, b = operands(random, form, 33, 35, K, dtype)
    c = random.standard_normal((33, 35)).astype(dtype)
    wanted = c + reference(form, a, b)
    assert_close(matmul(form, a, b, c, accumulate=True), wanted, K)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lengths", [(5, 5), (5, 1), (1, 5)])
@pytest.mark.parametrize("threads", [1, 2])
def test_batch(random, form, lengths, threads, dtype):
    a = np.stack([operands(random, form, 70, 33, 40, dtype)[0] for _ in range(lengths[0])])
    b = np.stack([operands(random, form, 70, 33, 40, dtype)[1] for _ in range(lengths[1])])
    set_num_threads(threads)
    assert_close(matmul(form, a, b), reference(form, a, b), 40)


@pytest.mark.parametrize("accumulate", [False, True])
def test_batch_is_summed_into_one_output(random, accumulate, dtype):
    a, b = random.standard_normal((4, 9, 20)).astype(dtype), random.standard_normal((4, 20, 7)).astype(dtype)
    c = np.ones((1, 9, 7), dtype)
    wanted = (c if accumulate else 0) + reference("nn", a, b).sum(0, keepdims=True)
    assert_close(matmul("nn", a, b, c, accumulate), wanted, 80)


@pytest.mark.parametrize("M, N, K", [(32, 10, 64), (33, 65, 300), (5, 7, 0), (300, 600, 70)])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_linear(random, M, N, K, relu, bias, dtype):
    x, w = operands(random, "nt", M, N, K, dtype)
    y, b = np.empty((M, N), dtype), random.standard_normal(N).astype(dtype) if bias else None
    call(gemm.linear, [y, x, w, b], [M, N, K, relu])
    wanted = reference("nt", x, w) + (b if bias else 0)
    assert_close(y, np.maximum(wanted, 0) if relu else wanted, K)


@pytest.mark.parametrize("form", ["nn", "nt"])
@pytest.mark.parametrize("M, N, K", RAGGED)
def test_packed_once(random, form, M, N, K, dtype):
    a, b = operands(random, form, M, N, K, dtype)
    packed = np.full(gemm.packed_size(N, K, dtype.itemsize), np.nan, dtype)
    call(gemm.pack_once, [packed, b], [N, K, form == "nt"])
    guarded = np.full(M * N + 200, 7, dtype)
    c = guarded[100:-100].reshape(M, N)
    ADD_PACKED(c.ctypes.data, a.ctypes.data, packed.ctypes.data, M, N, K, dtype.itemsize)
    assert_close(c, 7 + reference(form, a, b), K + 50)
    assert (guarded[:100] == 7).all() and (guarded[-100:] == 7).all()


def test_relu_keeps_nan_and_infinity(dtype):
    x = np.array([[np.nan], [np.inf], [-np.inf], [-1], [2]], dtype)
    y = np.empty((5, 1), dtype)
    call(gemm.linear, [y, x, np.ones((1, 1), dtype), None], [5, 1, 1, 1])
    np.testing.assert_array_equal(y[:, 0], [np.nan, np.inf, 0, 0, 2])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("M, N, K", [(64, 128, 784), (600, 70, 64), (70, 600, 64), (257, 1100, 300)])
def test_bits_do_not_depend_on_threads(random, form, M, N, K, dtype):
    a, b = operands(random, form, M, N, K, dtype)
    results = []
    for threads in (1, 2, 3, 4):
        set_num_threads(threads)
        results.append(matmul(form, a, b).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("M, N, K", [(50, 70, 300), (300, 600, 40)])
def test_bits_of_an_element_depend_on_its_row_and_column_alone(random, M, N, K, dtype):
    """Guaranteed: neither the other rows and columns nor the layout of the operands change an element."""
    a, b = operands(random, "nn", M, N, K, dtype)
    whole = matmul("nn", a, b)
    np.testing.assert_array_equal(matmul("nt", a, np.ascontiguousarray(b.T)), whole)
    np.testing.assert_array_equal(matmul("tn", np.ascontiguousarray(a.T), b), whole)
    for i, j in [(0, 0), (13, 31), (20, 33), (M - 1, N - 1)]:
        np.testing.assert_array_equal(matmul("nn", a[i : i + 1], b)[0], whole[i])
        np.testing.assert_array_equal(matmul("nn", a, np.ascontiguousarray(b[:, j : j + 1]))[:, 0], whole[:, j])
