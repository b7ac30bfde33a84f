"""``t[...]``: random index expressions against NumPy and PyTorch; replay; bad indices."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F


def random_slice(rng, size):
    low, high = rng.integers(-size - 2, size + 3, 2).tolist()
    step = int(rng.choice([-3, -2, -1, 1, 1, 2, 3]))
    return slice(*(None if rng.random() < 0.3 else end for end in (low, high)), step)


def random_case(seed):
    """A shape and an index: ints, slices, None, Ellipsis, integer arrays that broadcast, masks."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)).tolist())
    common = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    index, d = [], 0
    while d < len(shape):
        size, kind = (
            shape[d],
            rng.choice(["int", "slice", "array", "mask", "none", "rest"], p=[0.15, 0.3, 0.3, 0.05, 0.1, 0.1]),
        )
        if kind == "rest":
            break
        if kind == "none":
            index.append(None)
            continue
        if kind == "mask" and common == ():
            mask = np.zeros(size, bool)
            mask[rng.integers(size)] = True  # one element, so that it broadcasts against the arrays
            index.append(mask)
        elif kind == "array":
            ones = tuple(1 if rng.random() < 0.2 else n for n in common[rng.integers(len(common) + 1) :])
            index.append(rng.integers(-size, size, ones))
        elif kind == "int":
            index.append(int(rng.integers(-size, size)))
        else:
            index.append(random_slice(rng, size))
        d += 1
    if (d < len(shape) or rng.random() < 0.2) and rng.random() < 0.5:
        index.append(Ellipsis)
    return shape, tuple(index)


def reference(array, index):
    """First all that is no array, then the arrays; NumPy alone would count an integer as an array."""
    index = tuple(int(part) if isinstance(part, np.ndarray) and not part.ndim else part for part in index)
    basic = tuple(slice(None) if isinstance(part, np.ndarray) else part for part in index)
    arrays = [part for part in index if part is not Ellipsis and not isinstance(part, int)]
    return array[basic][tuple(part if isinstance(part, np.ndarray) else slice(None) for part in arrays)]


@pytest.mark.parametrize("seed", range(300))
def test_random_index(seed):
    shape, index = random_case(seed)
    array = np.random.default_rng(seed).standard_normal(shape)
    x = dl.tensor(array, requires_grad=True)
    y = x[index]
    expected = reference(array, index)
    np.testing.assert_array_equal(y.numpy(), expected)
    v = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(v)
    positions = reference(np.arange(array.size).reshape(shape), index)
    wanted = np.bincount(positions.ravel(), v.ravel(), array.size).reshape(shape)
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("seed", range(300))
def test_random_index_parity(seed):
    torch = pytest.importorskip("torch")
    shape, index = random_case(seed)
    if any(isinstance(part, slice) and part.step < 0 for part in index):
        index = tuple(slice(None) if isinstance(part, slice) else part for part in index)  # PyTorch has none of these
    x = np.random.default_rng(seed).standard_normal(shape)
    theirs = torch.tensor(x)[tuple(torch.tensor(part) if isinstance(part, np.ndarray) else part for part in index)]
    np.testing.assert_array_equal(dl.tensor(x)[index].numpy(), theirs.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_dtypes(dtype):
    x = np.arange(12).reshape(3, 4).astype(dtype)
    t = dl.tensor(x)
    np.testing.assert_array_equal(t[::-1, [0, 2]].numpy(), x[::-1, [0, 2]])
    np.testing.assert_array_equal(t.T.numpy(), x.T)
    np.testing.assert_array_equal(F.take_along_dim(t, [[1], [0], [-1]], 1).numpy(), x[[0, 1, 2], [1, 0, 3]][:, None])
    np.testing.assert_array_equal(F.tril(t).numpy(), np.tril(x))
    np.testing.assert_array_equal(F.masked_fill(t, x > 3, 1).numpy(), np.where(x > 3, 1, x))
    assert t[1].dtype == dtype


def test_kinds_of_index():
    x = dl.tensor(np.arange(12.0).reshape(3, 4))
    for index in ([0, 2], np.array([0, 2]), np.array([0, 2], np.int32), dl.tensor([0, 2]), range(0, 3, 2)):
        np.testing.assert_array_equal(x[index].numpy(), x.numpy()[[0, 2]])
    assert x[[]].shape == (0, 4)
    assert x[np.int64(1), dl.tensor(2)].item() == 6
    assert x[1:2, 0].shape == (1,)
    assert x[x.numpy() > 100].shape == (0,)
    assert x[[True, False, True]].shape == (2, 4)
    assert [row.shape for row in x] == [(4,)] * 3


@pytest.mark.parametrize(
    "index, error, text",
    [
        (3, IndexError, r"index 3 .*size 3"),
        ((0, -5), IndexError, r"index -5 .*size 4"),
        ((0, 0, 0), IndexError, "3 indices"),
        ((..., 0, ...), IndexError, "more than one"),
        ([0, 3], IndexError, r"index\[1\] is 3, expected -3 <= index < 3"),
        ((slice(None), [[0], [-5]]), IndexError, r"index\[1, 0\] is -5, expected -4 <= index < 4"),
        (([0, 1], [0, 1, 2]), ValueError, "do not broadcast"),
        (np.ones((2, 4), bool), IndexError, r"mask has shape \(2, 4\), expected \(3, 4\)"),
        (1.5, TypeError, "float"),
        ([1.5], TypeError, "float32"),
        ("a", TypeError, "str"),
        (True, TypeError, "bool"),
        (slice(None, None, 0), ValueError, "step"),
    ],
)
def test_bad_index(index, error, text):
    x = dl.tensor(np.zeros((3, 4)), requires_grad=True)
    with pytest.raises(error, match=text):
        x[index]
    assert x[0].shape == (4,)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (
            lambda x: F.gather(x, 1, [[0, 4]]),
            IndexError,
            r"gather: index\[0, 1\] is 4, expected 0 <= index < 4",
        ),
        (lambda x: F.gather(x, 1, [[-1]]), IndexError, "expected 0 <= index"),
        (lambda x: F.gather(x, 2, [[0]]), IndexError, "dim: got 2"),
        (lambda x: F.gather(x, 1, [0]), ValueError, "expected 2 dimensions"),
        (lambda x: F.gather(x, 1, np.zeros((4, 1), int)), ValueError, "at most 3 in dim 0"),
        (lambda x: F.gather(x, 1, [[0.0]]), TypeError, "float32, expected int64"),
        (lambda x: F.index_select(x, 0, [3]), IndexError, r"index\[0\] is 3, expected 0 <= index < 3"),
        (lambda x: F.index_select(x, 0, [[0]]), ValueError, "1-d index"),
        (lambda x: F.take_along_dim(x, [[0, 5]], 1), IndexError, "is 5"),
        (lambda x: F.one_hot([0, 3], 3), IndexError, r"one_hot: index\[1\] is 3, expected 0 <= index < 3"),
        (lambda x: F.one_hot([-1]), ValueError, "num_classes"),
        (lambda x: F.masked_fill(x, x, 0), TypeError, "expected bool"),
        (lambda x: F.masked_fill(x, [True, False], 0), ValueError, "does not fit"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call(dl.tensor(np.zeros((3, 4)), requires_grad=True))


def test_one_hot():
    np.testing.assert_array_equal(F.one_hot([[0, 2]], 4).numpy(), [[[1, 0, 0, 0], [0, 0, 1, 0]]])
    assert F.one_hot([1, 0]).shape == (2, 2)
    assert F.one_hot(np.zeros((0, 2), int), 3).shape == (0, 2, 3)


# Recording -----------------------------------------------------------------------------------------------------------


def test_indices_may_change_between_replays():
    x = dl.tensor(np.arange(20.0).reshape(5, 4), requires_grad=True)

    @dl.record
    def step(rows, columns):
        x.grad = None
        y = x[rows, 1:][:, columns]
        y.backward(np.ones(y.shape))
        return y, F.gather(x, 0, F.unsqueeze(rows, 1)), F.one_hot(rows, 5)

    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows, columns = rng.integers(-5, 5, 6), rng.integers(-3, 3, 2)
        y, _, _ = step(np.abs(rows) % 5, columns)
        np.testing.assert_array_equal(y.numpy(), x.numpy()[np.abs(rows) % 5, 1:][:, columns])
        wanted = np.zeros((5, 3))
        np.add.at(wanted, (np.abs(rows)[:, None] % 5, columns), 1)
        np.testing.assert_array_equal(x.grad.numpy()[:, 1:], wanted)
    assert len(step.recordings) == 1
    with pytest.raises(IndexError, match=r"take: index\[2\] is 5, expected -5 <= index < 5"):
        step(np.array([0, 1, 5, 0, 0, 0]), columns)
    with pytest.raises(IndexError, match=r"index\[2, 0\] is -1, expected 0 <= index < 5"):
        step(np.array([0, 1, -1, 0, 0, 0]), columns)
    step(np.zeros(6, int), columns)


def test_mask_while_recording():
    with pytest.raises(RuntimeError, match="mask.*test_indexing"):
        dl.record(lambda x: x[x])(np.array([True, False]))
    keep = np.array([True, False])
    np.testing.assert_array_equal(dl.record(lambda x: x[keep])(np.array([1.0, 2.0])).numpy(), [1.0])


def test_bad_index_writes_nothing():
    rows = dl.tensor([0, 1])
    x = dl.tensor([1.0, 2.0])
    recorded = dl.record(lambda: F.index_select(x, 0, rows))
    y = recorded()
    rows.array[:] = 1, 2
    with pytest.raises(IndexError):
        recorded()
    np.testing.assert_array_equal(y.numpy(), [1.0, 2.0])


@pytest.mark.parametrize("shape", [(70_000, 3), (7, 9000)])
def test_large_gradients_do_not_depend_on_threads(shape):
    rng = np.random.default_rng(0)
    array, rows = rng.standard_normal(shape), rng.integers(0, shape[0], 5000)
    columns = rng.integers(0, shape[1], (shape[0], 5))
    results = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        x = dl.tensor(array, requires_grad=True)
        for y in (x[rows], F.gather(x, 1, columns), x.T, x.flip(1), x[::2, 1:]):
            y.backward(np.random.default_rng(1).standard_normal(y.shape))
        results.append(x.grad.numpy())
    np.testing.assert_array_equal(*results)


def test_a_mask_without_dimensions():
    with pytest.raises(TypeError, match="mask without dimensions"):
        dl.tensor([1.0])[dl.tensor(True)]
