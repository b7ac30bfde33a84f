"""Probes: their figures against NumPy's, in eager code and in replays, and what they must leave alone."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim, stabilize


def mlp():
    dl.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 20), nn.Tanh(), nn.Linear(20, 3))


def batches(count, features=6):
    rng = np.random.default_rng(1)
    return [
        (rng.standard_normal((16, features)).astype(np.float32), rng.integers(0, 3, 16), np.float32(2.0))
        for _ in range(count)
    ]


def step_of(model, optimizer, probe):
    def step(x, y, scale):
        optimizer.zero_grad()
        with probe:
            loss = F.cross_entropy(model(x * scale), y)
            loss.backward()
            optimizer.step()
        return loss

    return step


def described(x, axis=-1, low=-np.inf, high=np.inf):
    """The fields of a measurement behind the step."""
    x = np.asarray(x, np.float64)
    units = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    return (
        x.mean(),
        np.sqrt((x**2).mean()),
        x.min(),
        x.max(),
        (x == 0).mean(),
        ((x <= low) | (x >= high)).mean(),
        (~np.isfinite(x)).sum(),
        (units == 0).all(1).mean(),
        ((units <= low).all(1) | (units >= high).all(1)).mean(),
    )


def close(row, wanted):
    np.testing.assert_allclose(row.tolist()[1:], wanted, rtol=1e-5, atol=1e-7)


def test_figures_of_one_eager_step():
    model = mlp()
    model[0].bias.array[:5] = -100  # dead
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    probe = stabilize.Probe(model)
    x, y, scale = batches(1)[0]
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    step_of(model, optimizer, probe)(x, y, scale)

    w = {name: values.astype(np.float64) for name, values in before.items()}
    h = np.maximum(2 * x @ w["0.weight"].T + w["0.bias"], 0)
    z = h @ w["2.weight"].T + w["2.bias"]
    t = np.tanh(z)
    out = t @ w["4.weight"].T + w["4.bias"]
    p = np.exp(out - out.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    d_out = (p - np.eye(3)[y]) / 16
    d_t = d_out @ w["4.weight"]
    d_z = d_t * (1 - t**2)
    d_h = d_z @ w["2.weight"]

    assert [layer.title for layer in probe.layers] == ["0: linear", "2: linear", "3: tanh", "4: linear"]
    assert [layer.role for layer in probe.layers] == ["weights", "weights", "activation", "weights"]
    assert probe.layers[0].weights == ["0.weight", "0.bias"]
    close(probe.layers[0].activation()[0], described(h))
    close(probe.layers[1].activation()[0], described(z))
    close(probe.layers[2].activation()[0], described(t, low=-0.975, high=0.975))
    close(probe.layers[3].activation()[0], described(out))
    for layer, signal in zip(probe.layers, (d_h, d_z, d_t, d_out), strict=True):
        close(layer.signal()[0], described(signal))
    assert probe.layers[0].activation()["dead"] >= 5 / 40
    row = probe.parameter("2.weight")[0]
    gradient = d_z.T @ h
    update = 0.1 * gradient
    wanted = [np.linalg.norm(w["2.weight"]), np.linalg.norm(gradient), abs(gradient).max(), 0, np.linalg.norm(update)]
    np.testing.assert_allclose(row.tolist()[1:], wanted, rtol=1e-4)
    assert "measured at step 1 of 1" in str(probe) and "update/weight" in str(probe)


@pytest.mark.parametrize("threads", [1, 2])
def test_replays_measure_the_same_as_eager_code(threads):
    found, before = [], dl.get_num_threads()
    dl.set_num_threads(threads)
    for wrap in (dl.record, lambda function: function):
        model = mlp()
        probe = stabilize.Probe(model, every=3, history=4)
        step = wrap(step_of(model, optim.Adam(model.parameters()), probe))
        for batch in batches(20):
            step(*batch)
        found.append((probe.layers[2].activation(), probe.layers[2].signal(), probe.weights.read(), probe.step))
    dl.set_num_threads(before)
    for replayed, eager in zip(*found, strict=True):
        np.testing.assert_array_equal(replayed, eager)
    assert found[0][0]["step"].tolist() == [10, 13, 16, 19] and found[0][3] == 20  # the ring keeps four


def test_a_probe_changes_nothing_and_the_step_verifies():
    trained = []
    for watched in (False, True):
        model = mlp()
        optimizer, probe = optim.Adam(model.parameters()), stabilize.Probe(model, every=2)
        if watched:
            step = dl.record(step_of(model, optimizer, probe))
        else:

            @dl.record
            def step(x, y, scale, model=model, optimizer=optimizer):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x * scale), y)
                loss.backward()
                optimizer.step()
                return loss

        for x, y, scale in batches(6):
            step(x, y, np.asarray(scale))
        step.verify(x, y, np.asarray(scale))
        trained.append(np.concatenate([p.numpy().ravel() for p in model.parameters()]))
    np.testing.assert_array_equal(*trained)


def test_channels_are_units_behind_a_convolution():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3))
    model[0].weight.array[1] = 0  # channel 1 is constant, and its normalisation 0
    probe = stabilize.Probe(model)
    x = np.random.default_rng(0).standard_normal((5, 1, 8, 8)).astype(np.float32)
    with probe:
        F.cross_entropy(model(x), [0, 1, 2, 0, 1]).backward()
    figures = {layer.operation: layer.activation()[0] for layer in probe.layers}
    assert figures["conv"]["dead"] == figures["batch_norm"]["dead"] == figures["tanh"]["dead"] == 0.25
    assert [layer.role for layer in probe.layers] == ["weights", "normalization", "activation", "weights"]


def test_recurrent_layers_and_shared_ones():
    dl.manual_seed(0)
    lstm, head = nn.LSTM(3, 5), nn.Linear(5, 2)
    model = nn.ModuleList([lstm, head])
    probe = stabilize.Probe(model)
    x = np.random.default_rng(0).standard_normal((7, 4, 3)).astype(np.float32)
    with probe:
        y, _ = lstm(x)
        (head(y[-1]).sum() + head(y[0]).sum()).backward()
    assert [layer.title for layer in probe.layers] == ["0: linear", "0: lstm", "1: linear", "1: linear (2)"]
    close(probe.layers[1].activation()[0], described(y.numpy(), low=-0.975, high=0.975))


def test_tiny_signals_and_nonfinite_numbers():
    x = dl.Parameter(np.full(5, 1e-30, np.float32))
    model = nn.ParameterList([x])
    probe = stabilize.Probe(model, every=1)
    with probe:
        F.tanh(x).sum().backward(1e-25)
    layer = probe.layers[0]
    assert layer.activation()[0]["rms"] == pytest.approx(1e-30)
    assert layer.signal()[0]["rms"] == pytest.approx(1e-25)
    x.array[:2] = np.nan, np.inf
    with probe:
        F.tanh(x)
    assert np.isnan(layer.activation()[-1]["rms"]) or layer.activation()[-1]["nonfinite"] == 1


def test_frozen_parameters_and_missing_updates():
    model = mlp()
    model[2].weight.requires_grad = False
    probe = stabilize.Probe(model, every=1)
    x, y, _ = batches(1)[0]
    for _ in range(2):
        with probe:
            F.cross_entropy(model(x), y).backward()
    assert probe.layers[1].weights == ["2.bias"]
    assert (probe.parameter("0.weight")["update"] == 0).all()
    with pytest.raises(KeyError, match="2.weight"):
        probe.parameter("2.weight")


def test_an_error_inside_leaves_no_watcher():
    model = mlp()
    probe = stabilize.Probe(model)
    with pytest.raises(ZeroDivisionError), probe:
        model(batches(1)[0][0])
        raise ZeroDivisionError
    with probe:
        model(batches(1)[0][0])
    assert probe.step == 2


@pytest.mark.parametrize("settings", [{"every": 0}, {"every": 1.5}, {"history": 0}, {"history": -1}])
def test_bad_settings(settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=f"Probe: {name}: got {value}"):
        stabilize.Probe(mlp(), **settings)


def test_a_unit_that_is_saturated_for_every_sample():
    model = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid())
    model[0].bias.array[:] = -9, 9, 0, 0
    probe = stabilize.Probe(model)
    with probe:
        model(np.array([[0.1, 0.2], [-0.1, 0.3]], np.float32)).sum().backward()
    assert probe.layers[1].activation()["saturated"] == probe.layers[1].activation()["stuck"] == 0.5


def test_printed():
    """What was not measured is left out; in the table of a step the probe is one line."""
    model = nn.Sequential(nn.Linear(4, 4), nn.RMSNorm(4), nn.Tanh(), nn.Linear(4, 1))
    probe, optimizer = stabilize.Probe(model), optim.SGD(model.parameters(), lr=0.1)
    assert str(probe) == "Probe: nothing measured yet"
    with probe, dl.no_grad():
        model(np.ones((2, 4), np.float32))

    @dl.record
    def step(x):
        optimizer.zero_grad()
        with probe:
            model(x).sum().backward()
            optimizer.step()

    step(np.ones((2, 4), np.float32))
    assert [layer.operation for layer in probe.layers] == ["linear", "rms_norm", "tanh", "linear"]
    assert "nan" not in str(probe)
    rows, text = step.listing(1), str(step)
    probes = sum(row.phase == "probe" for row in rows)
    assert text.count("probe") == 1 and f"of these {probes} of probes" in text and "zero_grad" in text
