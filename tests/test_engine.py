"""The engine itself: graphs, gradients, freed graphs, non-finite numbers, threads."""

import gc
import weakref

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F


def leaf(*shape, dtype="float64"):
    return dl.tensor(np.random.default_rng(0).standard_normal(shape), dtype=dtype, requires_grad=True)


def test_gradient_of_a_chain_of_ten_thousand_nodes():
    x = y = leaf(3)
    for _ in range(10_000):
        y = F.relu(y)
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), (x.array > 0).astype(float))


def test_backward_twice_says_that_the_graph_was_freed():
    y = F.relu(leaf(3))
    y.backward(np.ones(3))
    with pytest.raises(RuntimeError, match="relu was freed.*retain_graph"):
        y.backward(np.ones(3))


def test_retain_graph_allows_a_second_backward():
    x = leaf(3)
    y = F.relu(x)
    y.backward(np.ones(3), retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)


def test_a_freed_graph_cannot_be_extended():
    hidden = F.relu(leaf(3))
    F.relu(hidden).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="freed"):
        F.relu(hidden).backward(np.ones(3))


def test_backward_needs_a_scalar_or_a_gradient():
    y = F.relu(leaf(2, 3))
    with pytest.raises(RuntimeError, match=r"shape \(2, 3\)"):
        y.backward()
    with pytest.raises(ValueError, match=r"got shape \(3,\), expected \(2, 3\)"):
        y.backward(np.ones(3))


def test_backward_on_what_needs_no_gradient():
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        dl.tensor([1.0]).backward()
    with dl.no_grad():
        y = F.relu(leaf(1))
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_gradients_accumulate_until_cleared():
    x = leaf(3)
    for _ in range(3):
        F.relu(x).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), 3.0 * (x.array > 0))
    x.grad = None
    assert x.grad is None
    F.relu(x).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), 1.0 * (x.array > 0))


def test_only_floats_require_gradients():
    with pytest.raises(TypeError, match="int64"):
        dl.tensor([1, 2], requires_grad=True)


def test_graph_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        y = F.relu(leaf(3))
        node = weakref.ref(y.node)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_nonfinite_root_names_the_first_producer():
    w = dl.tensor(np.full((4, 3), 1e308), requires_grad=True)
    y = F.relu(F.linear(np.ones((2, 3)), w))
    with pytest.raises(FloatingPointError, match=r"First produced by linear, forward.*\(2, 4\)"):
        y.backward(np.ones((2, 4)))


def test_detect_anomaly_stops_at_the_producer():
    w = dl.tensor(np.full((4, 3), 1e308), requires_grad=True)
    with dl.detect_anomaly(), pytest.raises(FloatingPointError, match="linear, forward: made"):
        F.relu(F.linear(np.ones((2, 3)), w))


def test_a_failed_call_leaves_the_engine_usable():
    x = leaf(2, 3)
    with pytest.raises(ValueError, match=r"linear: input has 3 features \(shape \(2, 3\)\), expected 5"):
        F.linear(x, leaf(4, 5))
    F.relu(x).backward(np.ones((2, 3)))
    assert x.grad is not None


def test_number_of_threads():
    dl.set_num_threads(1)
    assert dl.get_num_threads() == 1
    with pytest.raises(ValueError, match="got 0"):
        dl.set_num_threads(0)


def test_seed_is_checked():
    with pytest.raises(ValueError, match="-1"):
        dl.manual_seed(-1)


def test_values_are_shared_with_numpy():
    array = np.zeros(3, np.float32)
    t = dl.from_numpy(array)
    array[1] = 5
    assert t.numpy()[1] == 5
    assert np.shares_memory(np.asarray(t), array)
    assert not np.shares_memory(dl.tensor(array).numpy(), array)


@pytest.mark.parametrize(
    "value, dtype", [(1.5, "float32"), ([1, 2], "int64"), ([True], "bool"), (np.float64(1), "float64"), (3, "int64")]
)
def test_dtypes_of_what_users_give(value, dtype):
    assert dl.tensor(value).dtype == dtype


def test_strange_dtypes_are_refused():
    for value in ("text", np.zeros(2, complex), np.zeros(2, np.float16)):
        with pytest.raises(TypeError, match="expected float32, float64"):
            dl.tensor(value)


def test_read_only_memory_is_not_shared():
    with pytest.raises(ValueError, match="writeable=False"):
        dl.from_numpy(np.broadcast_to(np.float32(1), (1,)))


def test_float64_tensors_stay_so_wherever_arrays_are_taken():
    x = leaf(3)
    (x * 2).backward(dl.tensor(np.ones(3)))
    x.grad = x.grad * 2
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 4.0))
    data = dl.data.TensorDataset(dl.tensor(np.zeros((4, 2))))
    assert data.batch(np.arange(2))[0].dtype == np.float64
    assert dl.data.Dataset.batch([(dl.tensor(np.zeros(2)),)] * 2, np.arange(2))[0].dtype == np.float64
    model = dl.nn.Linear(2, 1).double()
    vector = dl.tensor(np.full(3, 1 / 3))
    dl.nn.utils.vector_to_parameters(vector, model.parameters())
    assert model.bias.item() == 1 / 3


def test_a_gradient_that_is_no_longer_wanted():
    x, w = leaf(2, 3), leaf(4, 3)
    y = F.relu(F.relu(x) @ w.T)
    x.requires_grad = False
    y.backward(np.ones((2, 4)))
    assert x.grad is None and w.grad is not None


def test_format_of_a_number():
    assert f"{dl.tensor(0.5):.3f} {dl.tensor(3)}" == "0.500 3"
    assert f"{dl.tensor([1])}" == str(dl.tensor([1]))
    with pytest.raises(TypeError):
        f"{dl.tensor([1.0, 2.0]):.3f}"


def test_operations_by_the_names_that_pytorch_has_at_its_top():
    for name in ("where", "exp", "log", "sum", "mean", "maximum", "sqrt", "softmax", "sigmoid", "clamp", "argmax"):
        assert getattr(dl, name) is getattr(F, name) and name in dl.__all__
