"""The guard against spikes: what is one, and what each policy does about it."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn, optim, stabilize
from minidl.optim import lr_scheduler

EAGER_AND_RECORDED = pytest.mark.parametrize("wrap", [lambda step: step, dl.record])


class Job:
    """A parameter whose gradient and loss are given to every step; it starts from 0."""

    def __init__(self, wrap=lambda step: step, optimizer=optim.SGD, lr=1.0, size=3, dtype="float64", **settings):
        self.x = dl.Parameter(np.zeros(size, dtype))
        self.optimizer = optimizer([self.x], lr=lr)
        settings = {"warmup": 4, "alpha": 0.9, **settings}
        self.guard = stabilize.SpikeGuard(self.optimizer, **settings)
        self.recorded = wrap(self.run)

    def run(self, loss, gradient):
        self.optimizer.zero_grad()
        (self.x * gradient).sum().backward(on_nonfinite="ignore")
        with self.guard(loss.sum()) if self.guard.watch == "loss" else self.guard():
            self.optimizer.step()

    def step(self, value, size=None):
        """One step; whether the parameter moved."""
        before = self.x.numpy().copy()
        gradient = np.full(self.x.shape, value if size is None else size, self.x.dtype)
        self.recorded(np.full(1, value, self.x.dtype), gradient)
        return bool((self.x.numpy() != before).any())

    def state(self):
        """Everything that a step changes, as bytes."""
        parts = [self.x.numpy(), self.guard.state, self.guard.ring, self.guard.statistics.cells]
        kept = self.optimizer.state.get(self.x)
        if kept is not None:
            parts += [kept.clock, *kept.buffers.values()]
        return b"".join(part.tobytes() for part in parts)


def warm(job, values=(1.0, 2.0, 1.0, 2.0)):
    """Teach the guard a mean of 1.5 and a deviation of 0.5."""
    for value in values:
        assert job.step(value, size=0.5)
    return job


@EAGER_AND_RECORDED
@pytest.mark.parametrize("value, spike", [(4.4, False), (4.5, False), (4.6, True), (0.0, False), (-99.0, False)])
def test_the_threshold(wrap, value, spike):
    job = warm(Job(wrap, threshold=6.0))
    assert (job.guard.mean, job.guard.deviation) == pytest.approx((1.5, 0.5))
    assert job.step(value, size=1.0) != spike
    s = job.guard.statistics
    assert (s.calls, s.acted, s.last_before) == (5, spike, value)
    if spike:
        assert s.spikes == [pytest.approx((4, value, 1.5, 0.5))] and job.guard.mean == pytest.approx(1.5)
        assert "1 spike skipped, last at step 4: 4.6" in str(s)
    else:
        assert job.guard.mean == pytest.approx(0.8 * 1.5 + 0.2 * value) and "no spikes" in str(s)


@EAGER_AND_RECORDED
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_values_are_spikes_at_once(wrap, value):
    job = Job(wrap)
    assert not job.step(value, size=1.0)
    assert job.step(1.0)
    assert not job.step(value, size=1.0) and not job.step(value, size=1.0)
    s = job.guard.statistics
    assert s.nonfinite == s.acted == 3 and [spike.step for spike in s.spikes] == [0, 2, 3]
    assert job.guard.mean == 1


def test_mean_and_deviation_are_running_ones():
    rng, job = np.random.default_rng(0), Job(alpha=0.8)
    mean = variance = 0.0
    for i, value in enumerate(rng.uniform(1, 2, 50)):
        keep = min(0.8, i / (i + 1))
        distance = value - mean
        mean, variance = mean + (1 - keep) * distance, keep * (variance + (1 - keep) * distance**2)
        job.step(value)
    assert (job.guard.mean, job.guard.deviation) == pytest.approx((mean, variance**0.5), rel=1e-12)


def test_a_loss_that_falls_is_no_spike():
    job = Job()
    assert all(job.step(value, size=1.0) for value in np.geomspace(10, 1e-3, 200))


def test_a_plateau_has_a_floor():
    job = Job()
    assert all(job.step(value, size=1.0) for value in [2.0] * 20 + [2.1])  # 5 % above, 6 deviations of 1 % are 6 %
    job = Job()
    assert [job.step(value, size=1.0) for value in [2.0] * 20 + [2.13]] == [True] * 20 + [False]
    job = Job()
    assert all(job.step(0.0, size=1.0) for _ in range(20))


@EAGER_AND_RECORDED
def test_after_some_patience_a_level_is_taken_for_new(wrap):
    job = warm(Job(wrap, patience=3))
    assert [job.step(50.0, size=1.0) for _ in range(5)] == [False, False, False, True, True]
    assert job.guard.mean == 50 and job.guard.statistics.acted == 3
    assert job.step(1.0, size=1.0) and job.step(50.0, size=1.0)


@EAGER_AND_RECORDED
def test_nan_is_never_taken_for_a_level(wrap):
    job = warm(Job(wrap, patience=2))
    assert not job.step(np.nan, size=1.0) and not job.step(np.inf, size=1.0)
    before = job.x.numpy().copy()
    with pytest.raises(stabilize.SpikeError, match="loss at step 6: nan after a mean of 1.5.*spike 3 in a row"):
        job.step(np.nan, size=1.0)
    np.testing.assert_array_equal(job.x.numpy(), before)
    assert job.step(1.5)


@EAGER_AND_RECORDED
@pytest.mark.parametrize("watch", ["loss", "gradient", "update"])
def test_raise(wrap, watch):
    job = Job(wrap, optimizer=optim.SGD, watch=watch, on_spike="raise")
    for value in (1.0, 1.5, 1.0, 1.5, 1.0):
        job.step(value)
    before = job.x.numpy().copy()
    with pytest.raises(stabilize.SpikeError, match="SpikeGuard: the .* at step 5: .* after a mean of"):
        job.step(100.0)
    np.testing.assert_array_equal(job.x.numpy(), before)
    assert job.step(1.2)


@EAGER_AND_RECORDED
@pytest.mark.parametrize("watch", ["gradient", "update"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms(wrap, watch, dtype):
    job = Job(wrap, watch=watch, size=40_000, dtype=dtype, on_spike="skip")
    for value in (0.01, 0.02, 0.01, 0.02):
        assert job.step(value)
    assert job.guard.mean == pytest.approx(0.015 * 200, rel=1e-4)
    assert not job.step(1.0)
    assert job.guard.statistics.spikes[0].value == pytest.approx(200, rel=1e-4)
    if watch == "update":  # the optimizer would not take an infinite gradient
        job.optimizer.param_groups[0]["lr"] = 1e30
    assert not job.step(np.finfo(dtype).max if watch == "update" else np.nan)
    job.optimizer.param_groups[0]["lr"] = 1.0
    assert job.guard.statistics.nonfinite == 1
    assert job.step(0.01) and np.isfinite(job.x.numpy()).all()


@EAGER_AND_RECORDED
@pytest.mark.parametrize("watch", ["loss", "update"])
def test_lower_multiplies_the_rates_and_schedules_go_on(wrap, watch):
    job = Job(wrap, watch=watch, on_spike="lower", factor=0.25, lr=0.8)
    schedule = lr_scheduler.ExponentialLR(job.optimizer, 0.5)
    for value in (1.0, 1.5, 1.0, 1.5, 1.0):
        job.step(value)
    assert not job.step(1000.0)
    group = job.optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(0.2) and group.cells[0] == group["lr"]
    schedule.step()
    assert group["lr"] == pytest.approx(0.1)
    before = job.x.numpy().copy()
    job.step(1.2)
    np.testing.assert_allclose(job.x.numpy(), before - 0.1 * 1.2, rtol=1e-12)


@EAGER_AND_RECORDED
@pytest.mark.parametrize("watch", ["loss", "gradient", "update"])
def test_rollback_to_the_oldest_snapshot(wrap, watch):
    job = Job(wrap, optimizer=optim.Adam, lr=1.0, watch=watch, on_spike="rollback", every=3, snapshots=2, warmup=10)
    found = []
    for i in range(10):  # snapshots after steps 0, 3, 6 and 9: the last two are kept
        job.step(1.0 + 0.1 * (i % 2))
        kept = job.optimizer.state[job.x]
        found.append([job.x.numpy().copy(), kept.clock.copy(), *(b.copy() for b in kept.buffers.values())])

    def spike():
        if watch == "update":  # Adam's depends on the rate, but little on the gradient
            job.optimizer.param_groups[0]["lr"] = 1000.0
        job.step(1000.0)
        job.optimizer.param_groups[0]["lr"] = 1.0

    def holds(expected):
        kept = job.optimizer.state[job.x]
        for now, then in zip([job.x.numpy(), kept.clock, *kept.buffers.values()], expected, strict=True):
            np.testing.assert_array_equal(now, then)

    spike()
    holds(found[6])
    assert job.guard.statistics.acted == 1
    job.step(1.1)  # goes on as after step 6
    kept = job.optimizer.state[job.x]
    assert kept.clock[0] == 8
    spike()  # a second time, to the same: the newer ones are gone
    holds(found[6])


def test_rollback_may_lower_the_rates():
    job = Job(dl.record, on_spike="rollback", factor=0.5, lr=0.8)
    job.step(np.nan)  # there is no snapshot yet: the step is left out
    assert job.optimizer.param_groups[0]["lr"] == pytest.approx(0.4)
    assert job.step(1.0)
    first = job.x.numpy().copy()
    job.step(1.0)
    job.step(np.nan)
    np.testing.assert_array_equal(job.x.numpy(), first)
    assert job.optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


def test_replaced_state_ends_the_ring():
    job = Job(dl.record, optimizer=optim.Adam, on_spike="rollback", every=1)
    for _ in range(3):
        job.step(1.0)
    job.optimizer.load_state_dict(job.optimizer.state_dict())
    job.step(1.0)
    after = job.x.numpy().copy()
    job.step(np.nan)
    np.testing.assert_array_equal(job.x.numpy(), after)


@pytest.mark.parametrize("watch", ["loss", "gradient", "update"])
@pytest.mark.parametrize("on_spike", ["skip", "lower", "rollback"])
def test_replay_equals_eager_with_any_threads(watch, on_spike):
    values = [1.0, 1.2, 1.1, 0.9, 1.0, 300.0, 1.1, 600.0 if watch == "update" else np.nan, 1.0, 0.9, 400.0, 500.0, 1.0]
    found = []
    for wrap, threads in ((lambda step: step, 1), (dl.record, 1), (dl.record, 2)):
        dl.set_num_threads(threads)
        job = Job(wrap, size=70_000, dtype="float32", watch=watch, on_spike=on_spike, every=2)
        for value in values:
            job.step(value)
        assert job.guard.statistics.acted == 4
        found.append((job.state(), job.guard.statistics.log.tobytes(), job.optimizer.param_groups[0]["lr"]))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("watch", ["loss", "gradient", "update"])
@pytest.mark.parametrize("on_spike", ["skip", "lower", "rollback"])
def test_verify_and_listing(watch, on_spike):
    job = Job(dl.record, optimizer=optim.Adam, watch=watch, on_spike=on_spike, every=2)
    for value in (1.0, 1.1, 1.0, 1.1, 1.0 if watch == "update" else np.nan, 1.0):
        job.step(value)
        arguments = np.full(1, value), np.full(3, value)
        before = job.state()
        job.recorded.verify(*arguments)
        assert "SpikeGuard" in str(job.recorded)
        group = job.optimizer.param_groups[0]
        assert job.state() == before and group["lr"] == group.cells[0]


def test_inside_accumulation_it_looks_when_the_weights_move():
    job = Job()
    accumulate = stabilize.GradientAccumulation(job.x, 2)

    @dl.record
    def step(loss):
        job.optimizer.zero_grad()
        (job.x * loss).sum().backward()
        with accumulate, job.guard(loss.sum()):
            job.optimizer.step()

    for _ in range(6):
        step(np.ones(1))
    assert job.guard.statistics.calls == 3 and job.x.numpy()[0] == -3


def test_only_the_last_spikes_are_remembered():
    job = warm(Job(patience=100))
    for i in range(20):
        job.step(100.0 + i)
    spikes = job.guard.statistics.spikes
    assert [spike.value for spike in spikes] == [104.0 + i for i in range(16)] and spikes[0].step == 8


@pytest.mark.parametrize("threads", [1, 2])
@EAGER_AND_RECORDED
def test_all_of_many_parameters_and_their_state_is_put_back(wrap, threads):
    dl.set_num_threads(threads)
    model = nn.Sequential(nn.Linear(70, 300), nn.Linear(300, 65), nn.Linear(65, 7), nn.Linear(7, 1))
    optimizer = optim.Adam(model.parameters())
    guard = stabilize.SpikeGuard(optimizer, "update", warmup=2)

    def step(size):
        optimizer.zero_grad()
        for parameter in model.parameters():
            (parameter * size).sum().backward()
        with guard:
            optimizer.step()

    step = wrap(step)
    for _ in range(4):
        step(np.ones((), "float32"))
    buffers = [buffer for entry in optimizer.state.values() for buffer in entry.buffers.values()]
    live = [*(parameter.array for parameter in model.parameters()), *buffers]
    before = [array.copy() for array in live]
    optimizer.param_groups[0]["lr"] = 1.0
    step(np.full((), 2.0, "float32"))
    assert guard.statistics.acted == 1
    for then, now in zip(before, live, strict=True):
        np.testing.assert_array_equal(then, now)
    optimizer.param_groups[0]["lr"] = 1e-3
    step(np.ones((), "float32"))
    assert guard.statistics.acted == 1
    assert all((then != now).all() for then, now in zip(before, live, strict=True))


def test_an_error_in_the_block_goes_through():
    job = Job(watch="update")
    with pytest.raises(KeyError), job.guard():
        raise KeyError
    assert job.guard.statistics.calls == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"watch": "weights"},
        {"on_spike": "ignore"},
        {"threshold": 0.0},
        {"threshold": -1.0},
        {"threshold": np.nan},
        {"alpha": 1.0},
        {"alpha": -0.1},
        {"warmup": 0},
        {"patience": 0},
        {"factor": 1.0, "on_spike": "lower"},
        {"factor": 0.0, "on_spike": "lower"},
        {"factor": np.nan, "on_spike": "rollback"},
        {"factor": 0.5, "on_spike": "skip"},
        {"snapshots": 0, "on_spike": "rollback"},
        {"every": 0, "on_spike": "rollback"},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=f"SpikeGuard: {next(iter(settings))}: got"):
        stabilize.SpikeGuard(optim.SGD([dl.Parameter(np.ones(2))], lr=0.1), **settings)


def test_bad_use():
    job = Job()
    with pytest.raises(ValueError, match=r"watch='loss': got no value, expected `with guard\(loss\):`"):
        job.guard()
    with pytest.raises(ValueError, match="got no value"), job.guard:
        pass
    with pytest.raises(ValueError, match=r"value: got shape \(2,\)"):
        job.guard(dl.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"got a value, expected `with guard\(\):`"):
        Job(watch="gradient").guard(dl.tensor(1.0))
    x = dl.Parameter(np.ones(2))
    with pytest.raises(TypeError, match="got LBFGS, whose steps cannot be taken back"):
        stabilize.SpikeGuard(optim.LBFGS([x]), on_spike="rollback")
