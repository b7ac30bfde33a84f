"""Recording and replay: what is repeated, what is refused, what is noticed."""

import resource
import tracemalloc

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import optim
from minidl.stabilize import clip_grad_norm_


class Network:
    """A small network with its optimizer, written out by hand."""

    def __init__(self, seed=0, dtype="float32", optimizer=optim.Adam, **settings):
        rng = np.random.default_rng(seed)
        self.w1 = dl.Parameter(rng.standard_normal((16, 5)).astype(dtype))
        self.b1 = dl.Parameter(np.zeros(16, dtype))
        self.w2 = dl.Parameter(rng.standard_normal((3, 16)).astype(dtype))
        self.parameters = [self.w1, self.b1, self.w2]
        self.optimizer = optimizer(self.parameters, **settings)

    def loss(self, x, y):
        return F.cross_entropy(F.linear(F.relu(F.linear(x, self.w1, self.b1)), self.w2), y)

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return loss


def batch(seed=0, size=8, dtype="float32"):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((size, 5)).astype(dtype), rng.integers(0, 3, size)


@pytest.mark.parametrize("threads", [1, 2])
def test_replay_equals_eager_bit_for_bit(threads):
    dl.set_num_threads(threads)
    eager, recorded = Network(), Network()
    step = dl.record(recorded.step)
    for i in range(20):
        data = batch(i)
        assert float(eager.step(*data)) == float(step(*data))
    for one, other in zip(eager.parameters, recorded.parameters, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_one_recording_per_shape():
    network = Network()
    step = dl.record(network.step)
    for size in (8, 8, 3, 8, 3):
        step(*batch(size=size))
    assert [len(recordings) for recordings in step.recordings.values()] == [1, 1]


def test_gradient_accumulation_over_recorded_steps():
    network = Network()

    def accumulate(x, y):
        network.loss(x, y).backward()

    def update():
        network.optimizer.step()
        network.optimizer.zero_grad()

    accumulate, update = dl.record(accumulate), dl.record(update)
    other = Network()
    for i in range(4):
        for k in range(3):
            accumulate(*batch(10 * i + k))
            other.loss(*batch(10 * i + k)).backward()
        update()
        assert network.w1.grad is None
        other.optimizer.step()
        other.optimizer.zero_grad()
    for one, two in zip(network.parameters, other.parameters, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_learning_rate_may_change_between_steps():
    network = Network(optimizer=optim.SGD, lr=0.1)
    step = dl.record(network.step)
    step(*batch())
    before = network.w1.numpy().copy()
    network.optimizer.param_groups[0]["lr"] = 0.0
    step(*batch())
    np.testing.assert_array_equal(network.w1.numpy(), before)


def test_freezing_a_parameter_makes_another_recording():
    network = Network()
    step = dl.record(network.step)
    step(*batch())
    network.w1.requires_grad = False
    before = network.w1.numpy().copy()
    step(*batch())
    np.testing.assert_array_equal(network.w1.numpy(), before)
    network.w1.requires_grad = True
    step(*batch())
    assert (network.w1.numpy() != before).any()
    # two: the first has gone, since freezing gave the frozen parameter a clock of its own
    for frozen in (True, False, True, False):
        network.w1.requires_grad = not frozen
        step(*batch())
    assert [len(recordings) for recordings in step.recordings.values()] == [2]


@pytest.mark.parametrize(
    "read, what",
    [
        (float, r"float\(\)"),
        (bool, "branch"),
        (lambda t: t.item(), r"item\(\)"),
        (lambda t: t.numpy(), r"numpy\(\)"),
        (np.asarray, "NumPy"),
        (lambda t: t.tolist(), r"tolist\(\)"),
    ],
)
def test_reading_a_value_while_recording_names_the_line(read, what):
    network = Network()

    def step(x, y):
        loss = network.loss(x, y)
        read(loss)
        return loss

    with pytest.raises(RuntimeError, match=rf"{what}.*test_record.py:\d+"):
        dl.record(step)(*batch())
    assert np.isfinite(float(network.step(*batch())))  # the engine works on


def test_verify_accepts_an_honest_step_and_changes_nothing():
    network = Network()
    step = dl.record(network.step)
    step(*batch())
    before = [parameter.numpy().copy() for parameter in network.parameters]
    step.verify(*batch(1))
    for parameter, values in zip(network.parameters, before, strict=True):
        np.testing.assert_array_equal(parameter.numpy(), values)


def test_verify_where_results_are_written_piece_by_piece():
    x = dl.tensor(np.linspace(-1, 1, 24).reshape(6, 4), requires_grad=True)

    def step(scale):
        x.grad = None
        one, other = F.split(x * scale, 3)
        y = F.cat([F.exp(one), F.tanh(other)], 1)
        y.backward(np.ones(y.shape))
        return y

    recorded = dl.record(step)
    recorded(np.full(x.shape, 2.0))
    for value in (1.0, 3.0):
        recorded.verify(np.full(x.shape, value))


def test_verify_finds_a_python_number_that_changed():
    network, clip = Network(), [0.1]

    def train(x, y):
        loss = network.loss(x, y)
        network.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(network.parameters, clip[0])
        return loss

    step = dl.record(train)
    step(*batch())
    clip[0] = 0.05
    with pytest.raises(RuntimeError, match="verify: call .*clip_norm"):
        step.verify(*batch())


def test_verify_finds_a_branch_that_went_the_other_way():
    network, deep = Network(), [False]

    def forward(x):
        y = F.linear(x, network.w1)
        return F.relu(y) if deep[0] else y

    step = dl.record(forward)
    step(batch()[0])
    deep[0] = True
    with pytest.raises(RuntimeError, match="calls were recorded, but now there are"):
        step.verify(batch()[0])


def test_a_nonfinite_loss_in_replay_names_the_node_and_changes_no_parameter():
    network = Network()
    step = dl.record(network.step)
    step(*batch())
    before = [parameter.numpy().copy() for parameter in network.parameters]
    x, y = batch()
    x[2, 3] = np.inf
    with pytest.raises(FloatingPointError, match=r"came in from outside: linear read 0 NaN and 1 Inf .* \(8, 5\)"):
        step(x, y)
    for parameter, values in zip(network.parameters, before, strict=True):
        np.testing.assert_array_equal(parameter.numpy(), values)
    assert np.isfinite(float(step(*batch())))


def test_a_bad_label_in_replay_is_an_index_error():
    network = Network()
    step = dl.record(network.step)
    x, y = batch()
    step(x, y)
    y[3] = 7
    with pytest.raises(IndexError, match="7"):
        step(x, y)


def test_lists_and_other_arguments():
    network = Network()
    calls = []

    def forward(x, activate):
        calls.append(activate)
        y = F.linear(x, network.w1)
        return F.relu(y) if activate else y

    step = dl.record(forward)
    x = batch(size=1)[0]
    assert (step(x, True).numpy() >= 0).all()
    assert (step(x, False).numpy() < 0).any()
    step(x, True)
    assert calls == [True, False]


def test_arguments_by_name():
    network = Network()
    step = dl.record(network.step)
    x, y = batch()
    step(x, y=y)
    step(y=y, x=x)
    assert [len(recordings) for recordings in step.recordings.values()] == [1]
    with pytest.raises(TypeError, match="unexpected keyword"):
        step(x, y, z=y)


def test_arguments_that_cannot_be_fed():
    step = dl.record(lambda x: x)
    with pytest.raises(TypeError, match="got arguments of types dict"):
        step({"x": 1})


def test_an_update_recorded_alone_guards_itself():
    network = Network()
    clip_then_step = [lambda: clip_grad_norm_(network.parameters, 1.0), network.optimizer.step]
    network.loss(*batch()).backward()
    for call in clip_then_step:
        call()
    update = dl.record(network.optimizer.step)
    update()
    network.w1.buffer[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="NaN or Inf"):
        update()


def test_replay_allocates_nothing():
    network = Network()
    step = dl.record(network.step)
    data = batch()
    for _ in range(100):
        step(*data)
    tracemalloc.start()
    step(*data)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(1000):
        step(*data)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1000  # not one byte per step
    assert peak - before < 1000


def test_resident_memory_stays_flat_over_100_000_steps():
    network = Network()
    step = dl.record(network.step)
    data = batch()
    for _ in range(1000):
        step(*data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100_000):
        step(*data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512  # KiB
