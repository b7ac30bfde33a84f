"""Blocks that run in some steps only, nodes that answer a status, observers, and the listing of a step."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim, stabilize
from minidl.engine import Gate, Observer
from minidl.kernels.elementwise import accumulate


class EveryThird(Gate):
    """Open in steps 2, 5, 8, ...: decided by Python, outside the recorded step."""

    def decide(self, step):
        self.open[0] = step % 3 == 2


def counting_step(gate, inner=None):
    """A step that counts in one array all calls, in another those in the block."""
    always, sometimes, one = np.zeros(1), np.zeros(1), np.ones(1)

    def step():
        gate.call(accumulate, [always], [one], [1])
        with gate:
            if inner is None:
                gate.call(accumulate, [sometimes], [one], [1])
            else:
                with inner:
                    gate.call(accumulate, [sometimes], [one], [1])

    return step, always, sometimes


@pytest.mark.parametrize("wrap", [dl.record, lambda function: function])
def test_a_block_runs_while_its_gate_is_open(wrap):
    gate = EveryThird()
    step, always, sometimes = counting_step(gate)
    step = wrap(step)
    for i in range(9):
        gate.decide(i)
        step()
    assert (always[0], sometimes[0]) == (9, 3)


@pytest.mark.parametrize("wrap", [dl.record, lambda function: function])
def test_a_block_in_a_block_needs_both(wrap):
    outer, inner = EveryThird(), Gate()
    step, _, sometimes = counting_step(outer, inner)
    step = wrap(step)
    for i in range(18):
        outer.decide(i)
        inner.open[0] = i >= 9
        step()
    assert sometimes[0] == 3


def test_gradients_neither_come_nor_go_inside_a_block():
    gate, x = Gate(), dl.Parameter([1.0])
    with pytest.raises(RuntimeError, match="outside the block"), gate:
        (x * x).sum().backward()
    with pytest.raises(RuntimeError, match="outside the block"), gate:
        optim.SGD([x]).zero_grad()
    (x * x).sum().backward()  # the block has ended in spite of the errors
    assert x.grad.item() == 2


def test_a_closed_gate_keeps_an_update_back():
    gate, x = Gate(), dl.Parameter(np.ones(3))
    optimizer = optim.SGD([x], lr=0.1)

    @dl.record
    def step():
        optimizer.zero_grad()
        (x * x).sum().backward()
        with gate:
            optimizer.step()

    step()
    first = x.numpy().copy()
    gate.open[0] = 0
    step()
    np.testing.assert_array_equal(x.numpy(), first)
    gate.open[0] = 1
    step()
    assert (x.numpy() != first).any()


class Watcher(Observer):
    def __init__(self):
        self.outputs, self.gradients = [], []

    def saw_outputs(self, node, outputs):
        self.outputs.append((node.title, outputs[0].shape))

    def saw_gradients(self, node, gradients):
        self.gradients.append((node.title, gradients[0].shape))


def test_an_observer_sees_outputs_and_gradients():
    model, watcher = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), Watcher()
    x = np.ones((2, 3), np.float32)
    with watcher:
        model(x).sum().backward()
    assert watcher.outputs == [("0: linear", (2, 4)), ("1: tanh", (2, 4)), ("sum", ())]
    assert [title for title, _ in watcher.gradients] == ["sum", "1: tanh", "0: linear"]
    model(x).sum().backward()
    assert len(watcher.outputs) == 3
    with watcher, pytest.raises(RuntimeError, match="watching already"), Watcher():
        pass


def test_a_recorded_step_is_recorded_again_under_an_observer():
    model, watcher = nn.Linear(3, 4), Watcher()
    step = dl.record(lambda x: model(x).sum())
    x = np.ones((2, 3), np.float32)
    step(x)
    for _ in range(2):
        with watcher:
            step(x)
            step(x)
    step(x)
    assert len(watcher.outputs) == 2  # linear and sum, when it was recorded
    assert sum(len(found) for found in step.recordings.values()) == 2


def test_recordings_under_observers_that_are_gone_are_dropped():
    model, watcher = nn.Linear(3, 4), Watcher()
    step = dl.record(lambda x: model(x).sum())
    x = np.ones((2, 3), np.float32)
    for _ in range(4):
        with watcher:
            step(x)
        with Watcher():
            step(x)
        step(x)
    assert sum(len(found) for found in step.recordings.values()) <= 3  # of nobody, the one, the last of the others


def test_a_closed_block_is_no_anomaly():
    x, gate = dl.Parameter(np.ones(3)), EveryThird()
    x.grad = np.array([1.0, np.nan, 1.0])
    clip = stabilize.ClipGradValue(x, 1.0)
    gate.decide(0)
    with dl.detect_anomaly(), gate:
        clip()
    assert clip.statistics.calls == 0


def test_statistics_of_a_clip_in_replays():
    x = dl.Parameter(np.zeros(4))
    clip = stabilize.ClipGradNorm([x], 1.0)
    scale = np.ones(4)

    @dl.record
    def step(scale):
        x.grad = None
        (x * scale).sum().backward()
        return clip()

    for size in (0.1, 1.0, 2.0):
        step(scale * size)
    s = clip.statistics
    assert (s.calls, s.acted, s.nonfinite) == (3, 2, 0)
    assert s.last_before == pytest.approx(4) and s.last_after == 1
    assert s.mean_before == pytest.approx((0.2 + 2 + 4) / 3) and s.mean_after == pytest.approx(2.2 / 3)
    assert str(s) == "3 calls, 66.7% clipped, norm 2.07 -> 0.733 (mean)"
    clip.max_norm = 3.0  # the recorded step reads it
    step(scale * 2)
    assert s.last_after == 3 and np.linalg.norm(x.grad) == pytest.approx(3, rel=1e-6)
    s.reset()
    assert str(s) == "no calls"


def test_listing():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters())

    @dl.record
    def train_step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()
        return loss

    with pytest.raises(RuntimeError, match="nothing recorded"):
        train_step.listing()
    assert str(train_step) == "recorded step train_step, not called yet"
    x, y = np.ones((5, 8), np.float32), np.array([0, 1, 2, 0, 1])
    train_step(x, y)
    before = [p.numpy().copy() for p in model.parameters()]
    rows = train_step.listing()
    for p, values in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), values)
    found = [(row.phase, row.layer, row.node) for row in rows]
    wanted = [
        ("forward", "0", "linear"),
        ("forward", "2", "linear"),
        ("forward", "", "cross_entropy"),
        ("backward", "2", "linear"),
        ("backward", "0", "linear"),
        ("update", "", "clip_grad_norm_"),
        ("update", "", "adam"),
    ]
    assert [row for row in found[1:] if row in wanted] == wanted  # in this order, behind zero_grad
    assert rows[found.index(("forward", "0", "linear"))].shapes == ((5, 16),)
    assert all(row.microseconds > 0 for row in rows) and rows.microseconds < 1e5
    assert sum(row.calls for row in rows) == len(train_step.last.tape)
    assert "1 calls, 100.0% clipped" in str(train_step)
