"""Shared memory, creation, in-place operations and bad input of the shape family."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F


@pytest.fixture
def x():
    return dl.tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True)


def test_reshaping_shares_memory(x):
    for y in (x.reshape(6, 4), x.view(-1), x.flatten(), x.unsqueeze(0), x.reshape((2, 12)), x.squeeze()):
        assert np.shares_memory(y.array, x.array)
    for y in (x.T, x.mT, x.permute(0, 2, 1), x[0], x.clone(), x.expand(5, 2, 3, 4)):
        assert not np.shares_memory(y.array, x.array)
    assert x.contiguous() is x


def test_methods(x):
    a = x.numpy()
    pairs = [
        (x.T, a.T),
        (x.mT, a.swapaxes(1, 2)),
        (x.flatten(1), a.reshape(2, 12)),
        (x.flatten(0, 1), a.reshape(6, 4)),
        (x.unsqueeze(1).squeeze(1), a),
        (x[0].t(), a[0].T),
        (x.repeat(2, 1, 1), np.tile(a, (2, 1, 1))),
        (x.flip(0, 2), a[::-1, :, ::-1]),
        (x[:1].expand_as(x), np.broadcast_to(a[:1], a.shape)),
        (x.split(2, -1)[1], a[..., 2:]),
        (x.chunk(2)[1], a[1:]),
        (x.unbind(1)[2], a[:, 2]),
        (x.narrow(2, -3, 2), a[:, :, 1:3]),
        (x @ x.mT, a @ a.swapaxes(1, 2)),
        (a[0] @ x[1].T, a[0] @ a[1].T),
        (x[0, 0].dot(x[0, 1]), a[0, 0] @ a[0, 1]),
        (x[0, 0].outer(x[0, 1]), np.outer(a[0, 0], a[0, 1])),
        (x.masked_fill(a > 3, 0), np.where(a > 3, 0, a)),
    ]
    for ours, wanted in pairs:
        np.testing.assert_array_equal(ours.numpy(), wanted)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: x.reshape(5, 5), ValueError, r"\(2, 3, 4\) has 24 elements"),
        (lambda x: x.reshape(-1, -1), ValueError, "at most one -1"),
        (lambda x: x.reshape(-1, 7), ValueError, "24 elements"),
        (lambda x: x[:, :0].reshape(-1, 0), ValueError, "could be any size"),
        (lambda x: x.flatten(2, 1), ValueError, "comes after"),
        (lambda x: x.flatten(3), IndexError, "dim: got 3, expected -3 <= dim < 3"),
        (lambda x: x.transpose(0, 3), IndexError, "transpose: dim: got 3"),
        (lambda x: x.permute(0, 1), ValueError, "every dimension"),
        (lambda x: x.permute(0, 1, 1), ValueError, "every dimension"),
        (lambda x: x.t(), ValueError, "at most 2 dimensions"),
        (lambda x: x[0, 0].mT, ValueError, "at least 2"),
        (lambda x: x.expand(2, 5, 4), ValueError, "does not expand"),
        (lambda x: x.expand(4), ValueError, "does not expand"),
        (lambda x: x.expand(-1, 2, 3, 4), ValueError, "does not expand"),
        (lambda x: x.repeat(2), ValueError, "3 or more"),
        (lambda x: F.cat([]), ValueError, "no tensors"),
        (lambda x: F.cat([x, x[0]]), ValueError, "cat: tensor 1 has shape"),
        (lambda x: F.cat([x, x.numpy().astype(np.float32)]), TypeError, "tensor 1 is float32, but tensor 0 is float64"),
        (lambda x: F.cat([x[0, 0, 0]]), ValueError, "0-d"),
        (lambda x: F.stack([x, x[:1]]), ValueError, "stack: tensor 1"),
        (lambda x: F.stack([]), ValueError, "no tensors"),
        (lambda x: x.split(0), ValueError, "at least 1"),
        (lambda x: x.split([1, 2]), ValueError, "sum 2"),
        (lambda x: x.chunk(0), ValueError, "at least 1"),
        (lambda x: x.narrow(0, 1, 2), IndexError, "of size 2"),
        (lambda x: F.unbind(x[0, 0, 0]), ValueError, "0-d"),
        (lambda x: list(x[0, 0, 0]), TypeError, "0-d"),
        (lambda x: F.tril(x[0, 0]), ValueError, "tril: .* at least 2"),
        (lambda x: x @ x, ValueError, r"\(2, 3, 4\) and \(2, 3, 4\): 4 columns do not meet 3 rows"),
        (lambda x: x @ np.zeros((3, 4, 5)), ValueError, "batches do not broadcast"),
        (lambda x: x @ np.zeros((4, 5), np.float32), TypeError, "float32"),
        (lambda x: x @ x[0, 0, 0], ValueError, "at least 1 dimension"),
        (lambda x: F.bmm(x, x[:1].mT), ValueError, "same number of matrices"),
        (lambda x: F.mm(x, x), ValueError, "expected 2"),
        (lambda x: F.dot(x, x), ValueError, "expected 1"),
        (lambda x: F.outer(x, x), ValueError, "1 dimension each"),
        (lambda x: F.linear(x, np.zeros((5, 4)), activation="tanh"), ValueError, "'tanh'"),
    ],
)
def test_bad_input(x, call, error, text):
    with pytest.raises(error, match=text):
        call(x)
    x.clone().backward(np.ones(x.shape))


def test_split_shares_one_gradient(x):
    a, b, c = x.unbind(1)
    F.cat([c, a], 1).backward(np.ones((2, 8)))
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to([[1.0], [0], [1]], (2, 3, 4)))
    assert b.shape == (2, 4)


@pytest.mark.parametrize("dims", [(1, 0), (0, 2, 1), (2, 1, 0), (1, 2, 0), (3, 1, 2, 0), (0, 3, 1, 2)])
def test_large_permutations(dims):
    array = np.random.default_rng(0).standard_normal([37, 41, 29, 5][: len(dims)]).astype(np.float32)
    np.testing.assert_array_equal(F.permute(array, dims).numpy(), array.transpose(dims))


def test_linear_relu_keeps_nan():
    x, w = np.full((2, 3), np.nan), np.ones((4, 3))
    assert np.isnan(F.linear(x, w, activation="relu").numpy()).all()


# Creation ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [None, "float32", "float64", "int64", "bool"])
def test_creation(dtype):
    wanted = np.dtype(dtype or "float32")
    for ours, theirs in [
        (dl.zeros(2, 3, dtype=dtype), np.zeros((2, 3))),
        (dl.zeros((2, 3), dtype=dtype), np.zeros((2, 3))),
        (dl.ones(4, dtype=dtype), np.ones(4)),
        (dl.ones(dtype=dtype), np.ones(())),
        (dl.eye(2, 3, dtype=dtype), np.eye(2, 3)),
        (dl.full((2,), 1.0, dtype=dtype), np.ones(2)),
        (dl.zeros_like(dl.ones(2, dtype=dtype)), np.zeros(2)),
        (dl.ones_like(dl.zeros(0, 2, dtype=dtype)), np.ones((0, 2))),
    ]:
        assert ours.dtype == wanted
        np.testing.assert_array_equal(ours.numpy(), theirs.astype(wanted))


def test_ranges():
    assert dl.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert dl.arange(5).dtype == np.int64
    assert dl.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert dl.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    assert dl.arange(0, 1, 0.25).dtype == np.float32
    np.testing.assert_array_equal(dl.linspace(0, 1, 5, dtype="float64").numpy(), np.linspace(0, 1, 5))
    assert dl.full((2,), 3).dtype == np.int64
    assert dl.full((), True).dtype == bool
    assert dl.randn(2, 3, requires_grad=True).requires_grad
    for call, error in [
        (lambda: dl.arange(0, 5, -1), ValueError),
        (lambda: dl.arange(0, 5, 0), ValueError),
        (lambda: dl.zeros(-1), ValueError),
        (lambda: dl.zeros(2, dtype="float16"), TypeError),
    ]:
        with pytest.raises(error):
            call()


def test_created_anew_at_every_replay():
    @dl.record
    def step(x):
        total, ramp = dl.zeros(3, dtype="float64"), dl.arange(3, dtype="float64")
        return total.add_(x), ramp.mul_(x)

    for _ in range(3):
        total, product = step(np.array([1.0, 2, 3]))
        assert total.tolist() == [1, 2, 3]
        assert product.tolist() == [0, 2, 6]


# In place ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_in_place(dtype):
    x, a = dl.tensor(np.arange(6).reshape(2, 3).astype(dtype)), np.arange(6).reshape(2, 3).astype(dtype)
    assert x.add_(2) is x
    np.testing.assert_array_equal(x.numpy(), a + 2)
    np.testing.assert_array_equal(x.mul_([1, 2, 3]).numpy(), (a + 2) * [1, 2, 3])
    np.testing.assert_array_equal(x.copy_(a[:1]).numpy(), [a[0]] * 2)
    np.testing.assert_array_equal(x.sub_(a, alpha=2).numpy(), a[0] - 2 * a)
    assert x.fill_(7).tolist() == [[7] * 3] * 2
    assert x.zero_().tolist() == [[0] * 3] * 2
    assert x.copy_(5).tolist() == [[5] * 3] * 2


def test_in_place_where_autograd_needs_the_tensor(x):
    with pytest.raises(RuntimeError, match="zero_: a leaf that requires a gradient .* no_grad"):
        x.zero_()
    y = x.clone()
    with pytest.raises(RuntimeError, match="add_: the tensor was made by clone"):
        y.add_(1)
    with dl.no_grad():
        x.mul_(2)
    y.detach().zero_()
    with pytest.raises(ValueError, match=r"add_: got shape \(5,\), which does not expand to \(2, 3, 4\)"):
        y.detach().add_(np.zeros(5))
    with pytest.raises(TypeError, match="float32"):
        y.detach().copy_(dl.tensor([1.0]))


def test_in_place_is_recorded():
    counter = dl.zeros(2)

    @dl.record
    def step(x):
        counter.add_(x)
        with pytest.raises(RuntimeError):
            counter.numpy()
        return counter.clone()

    for i in range(1, 5):
        assert step(np.ones(2, np.float32)).tolist() == [i, i]
    assert counter.tolist() == [4, 4]


def test_assignment_operators_change_the_tensor(x):
    with dl.no_grad():
        before, same = x.numpy().copy(), x
        x -= 0.5
        x += dl.tensor(np.ones(4))
        x *= 3
        x /= 7
        assert x is same and x.is_leaf
    np.testing.assert_array_equal(x.numpy(), (before - 0.5 + 1) * 3 / 7)
    with pytest.raises(RuntimeError, match="sub_: a leaf that requires a gradient"):
        x -= 1
    with pytest.raises(RuntimeError, match="add_: a leaf that requires a gradient"):
        x += x * 2


def test_assignment_operators_make_new_tensors_where_a_graph_needs_them(x):
    total = 0
    for factor in (1, 2):
        total += (factor * x).sum()
    y = z = x * 2
    y *= x
    total = dl.zeros((), dtype="float64") + total
    total -= y.sum()
    total.backward()
    np.testing.assert_array_equal(z.numpy(), 2 * x.numpy())
    np.testing.assert_allclose(x.grad.numpy(), 3 - 4 * x.numpy())


def test_in_place_with_an_operand_that_needs_a_gradient(x):
    total = dl.zeros((), dtype="float64")
    for change in (total.add_, total.copy_, total.mul_, total.sub_, total.div_):
        with pytest.raises(RuntimeError, match="_: the operand requires a gradient"):
            change((x * 3).sum())
    with dl.no_grad():
        total.add_(x.sum())
    total.add_(x.sum().detach())
    assert total.item() == pytest.approx(2 * x.numpy().sum())


def test_in_place_does_not_cut_numbers():
    x = dl.tensor([1, 2, 3])
    for call in (
        lambda: x.add_(0.5),
        lambda: x.mul_(np.ones(3)),
        lambda: x.copy_([0.5, 1, 2]),
        lambda: x.add_(1, alpha=0.5),
        lambda: x.div_(2),
    ):
        with pytest.raises(TypeError, match=r"_: got .*float.* expected int64|_: got float.* for a tensor of int64"):
            call()
    assert x.tolist() == [1, 2, 3]


def test_bools_are_0_or_1():
    for t in (dl.full((2,), 2, dtype=bool), dl.zeros(2, dtype=bool).fill_(0.5)):
        assert t.numpy().view(np.uint8).tolist() == [1, 1]
        assert t.long().tolist() == [1, 1]
