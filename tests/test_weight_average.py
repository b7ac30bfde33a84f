"""Averages of weights: formulas, what they move with, and the way into the model and back."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn, optim, stabilize

EAGER_AND_RECORDED = pytest.mark.parametrize("wrap", [lambda step: step, dl.record])


class Walk(nn.Module):
    """One parameter of large size, which a step moves by its argument."""

    def __init__(self, size=40_000, dtype="float32"):
        super().__init__()
        self.x = nn.Parameter(np.zeros(size, dtype))


def moving(wrap, model, average):
    optimizer = optim.SGD(model.parameters(), lr=1.0)

    def step(by):
        optimizer.zero_grad()
        (-by * model.x).sum().backward()
        optimizer.step()
        average()

    return wrap(step)


@EAGER_AND_RECORDED
@pytest.mark.parametrize("decay, warmup", [(0.9, False), (0.9, True), (0.0, False), (None, False)])
def test_formulas(wrap, decay, warmup):
    model = Walk()
    average = stabilize.WeightAverage(model, decay, warmup)
    step, x, mean = moving(wrap, model, average), 0.0, 0.0
    for t, by in enumerate((1.0, 2.0, -4.0, 0.5, 0.0, 3.0)):
        step(np.full(40_000, by, "float32"))
        x += by
        d = 0.0 if t == 0 else t / (t + 1) if decay is None else min(decay, (1 + t) / (10 + t)) if warmup else decay
        mean = d * mean + (1 - d) * x
        np.testing.assert_allclose(average.averages["x"], mean, rtol=1e-6)
    assert average.n_averaged == 6
    average.decay = 0.5
    step(np.full(40_000, 1.0, "float32"))
    if not warmup:
        np.testing.assert_allclose(average.averages["x"], (mean + x + 1) / 2, rtol=1e-6)


def test_bits_do_not_depend_on_threads_or_recording():
    found = []
    for wrap, threads in ((lambda step: step, 1), (dl.record, 1), (dl.record, 2)):
        dl.set_num_threads(threads)
        model = Walk(70_000)
        average = stabilize.WeightAverage(model, 0.7)
        step = moving(wrap, model, average)
        for by in np.random.default_rng(0).standard_normal((5, 70_000)).astype("float32"):
            step(by)
        found.append(average.averages["x"].tobytes())
    assert found[0] == found[1] == found[2]


def test_nonfinite_weights_stay_visible():
    model = Walk(2, "float64")
    average = stabilize.WeightAverage(model, 0.5)
    average()
    model.x.array[:] = np.nan, np.inf
    average()
    assert np.isnan(average.averages["x"][0]) and np.isinf(average.averages["x"][1])


def test_applied_in_place_and_back():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer, average = optim.Adam(model.parameters(), lr=0.1), stabilize.WeightAverage(model, 0.5)

    @dl.record
    def step(x):
        optimizer.zero_grad()
        (model(x) ** 2).sum().backward()
        optimizer.step()
        average()

    forward = dl.record(lambda x: model(x))
    x = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    for _ in range(3):
        step(x)
    model.eval()
    own, averages = forward(x).numpy().copy(), {name: a.copy() for name, a in average.averages.items()}
    weights = {name: np.array(value) for name, value in model.state_dict().items()}
    recordings = sum(map(len, forward.recordings.values()))
    with pytest.raises(KeyError), average.applied():
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, averages[name])
        assert (forward(x).numpy() != own).any()
        for wrong in (average, average.state_dict, average.applied().__enter__):
            with pytest.raises(RuntimeError, match=r"inside applied\(\)"):
                wrong()
        raise KeyError
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, weights[name])
        np.testing.assert_array_equal(average.averages[name], averages[name])
    np.testing.assert_array_equal(forward(x).numpy(), own)
    assert sum(map(len, forward.recordings.values())) == recordings
    model.train()
    step.verify(x)
    assert "WeightAverage" in str(step)


def test_before_the_first_call_it_is_the_model():
    model = nn.Linear(2, 2)
    average = stabilize.WeightAverage(model)
    before = model.weight.numpy().copy()
    with average.applied():
        np.testing.assert_array_equal(model.weight.numpy(), before)


def test_it_moves_when_the_weights_do():
    model = Walk(3, "float64")
    optimizer, average = optim.SGD(model.parameters(), lr=1.0), stabilize.WeightAverage(model, None)
    accumulate = stabilize.GradientAccumulation(model.parameters(), 2)

    @dl.record
    def step(by):
        optimizer.zero_grad()
        (-by * model.x).sum().backward()
        with accumulate:
            optimizer.step()
            average()

    for by in (1.0, 3.0, 5.0, 7.0, 9.0):
        step(np.full(3, by))
    assert average.n_averaged == 2
    np.testing.assert_array_equal(average.averages["x"], np.full(3, (2.0 + 8.0) / 2))


def test_state_dict():
    model, other = Walk(3, "float64"), Walk(3, "float64")
    average, copied = stabilize.WeightAverage(model, 0.5), stabilize.WeightAverage(other, 0.5)
    step, again = moving(dl.record, model, average), moving(dl.record, other, copied)
    for by in (1.0, 2.0):
        step(np.full(3, by))
        again(np.full(3, 0.0))
    copied.load_state_dict(average.state_dict())
    other.x.array[...] = model.x.array
    for run in (step, again):
        run(np.full(3, 4.0))
    np.testing.assert_array_equal(copied.averages["x"], average.averages["x"])
    assert copied.n_averaged == 3
    saved = average.state_dict()
    for wrong, what in (
        ({}, "n_averaged: got none"),
        ({**saved, "module.x": np.zeros(2)}, r"module.x: got shape \(2,\), expected shape \(3,\)"),
        ({**saved, "module.y": np.zeros(2)}, "got module.y"),
    ):
        with pytest.raises(ValueError, match=what):
            average.load_state_dict(wrong)
    assert average.n_averaged == 3


@pytest.mark.parametrize("decay", [1.0, -0.1, 1.5, np.nan])
def test_bad_decay(decay):
    with pytest.raises(ValueError, match="WeightAverage: decay: got"):
        stabilize.WeightAverage(nn.Linear(2, 2), decay)


def test_bad_models():
    with pytest.raises(ValueError, match="parameters: got none"):
        stabilize.WeightAverage(nn.ReLU())
    model = nn.Linear(2, 2)
    average = stabilize.WeightAverage(model)
    model.double()
    with pytest.raises(TypeError, match="weight is now float64"):
        average()
