"""The gradient doctor: diseases that are planted, healthy networks, and that nothing is changed."""

import numpy as np
import pytest

import minidl as dl
from minidl import diagnose, nn, optim
from minidl import functional as F


def mlp(*sizes, activation=nn.ReLU):
    dl.manual_seed(0)
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def digits(count=20, size=64):
    x, y = dl.data.digits(train=True).tensors
    x, y = np.asarray(x, np.float32).reshape(len(x), -1), np.asarray(y)
    order = np.random.default_rng(0).permutation(len(x))
    return [(x[order[i * size :][:size]], y[order[i * size :][:size]]) for i in range(count)]


def sequences(count=20, size=32, steps=20):
    x, y = dl.data.adding_problem(count * size, steps, seed=0).tensors
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    return [(x[i * size :][:size], y[i * size :][:size]) for i in range(count)]


class Reader(nn.Module):
    def __init__(self, kind=nn.LSTM, inputs=2):
        super().__init__()
        dl.manual_seed(0)
        self.layer, self.head = kind(inputs, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, x, lengths=None):
        return self.head(self.layer(x, lengths=lengths)[0][:, -1])


def verdicts(model, batches, loss=F.cross_entropy, optimizer=None, **options):
    report = diagnose.examine(model, loss, batches, optimizer, **options)
    return [verdict.disease for verdict in report], report


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_healthy_networks(activation):
    model = mlp(64, 64, 64, 10, activation=activation)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found, report = verdicts(model, digits(), optimizer=optimizer, steps=60)
    assert found == [] and report.healthy and str(report) == "healthy: nothing found"
    found, _ = verdicts(Reader(), sequences(), F.mse_loss)
    assert found == []


def test_nothing_is_changed():
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10)).eval()
    optimizer = optim.Adam(model.parameters())
    x, y = digits(1)[0]
    model.train()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    model.eval()

    def everything():
        state = [value.numpy().copy() for value in model.state_dict().values()]
        moments = [array.copy() for kept in optimizer.state.values() for array in (*kept.buffers.values(), kept.clock)]
        gradients = [p.grad.numpy().copy() for p in model.parameters()]
        return [*state, *moments, *gradients, dl.engine.generator.counter.copy()]

    before = everything()
    diagnose.examine(model, F.cross_entropy, digits(3), optimizer, steps=10)
    for one, other in zip(before, everything(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not model.training and optimizer.param_groups[0]["lr"] == 1e-3


def test_vanishing_and_exploding_over_layers():
    deep = mlp(64, *[64] * 10, 10)
    for p in deep.parameters():
        p.array[...] *= 0.1
    found, report = verdicts(deep, digits(1))
    assert "vanishing" in found
    verdict = next(v for v in report if v.disease == "vanishing")
    assert verdict.layers == [] and verdict.evidence["factor"] == pytest.approx(0.1, rel=0.3)
    for p in deep.parameters():
        p.array[...] *= 40
    found, _ = verdicts(deep, digits(1))
    assert "exploding" in found


def test_vanishing_begins_at_a_layer():
    deep = mlp(64, *[64] * 6, 10, activation=nn.Tanh)
    deep[8].weight.array[...] *= 1e-5
    found, report = verdicts(deep, digits(1))
    assert found[0] == "initialisation scale" and report.verdicts[0].layers == ["8"]
    assert next(v for v in report if v.disease == "vanishing").layers == ["8"]


def test_vanishing_and_exploding_over_time():
    model = Reader()
    model.layer.bias_ih_l0.array[16:32] = -3
    found, report = verdicts(model, sequences(1), F.mse_loss)
    verdict = next(v for v in report if v.disease == "vanishing")
    assert verdict.layers == ["layer"] and verdict.time == 19
    model = Reader(nn.RNN)
    model.layer.weight_hh_l0.array[...] *= 3
    model.layer.weight_ih_l0.array[...] *= 0.1
    found, _ = verdicts(model, sequences(1), F.mse_loss)
    assert "exploding" in found


def test_dead_units():
    model = mlp(64, 64, 64, 10)
    model[2].bias.array[:] = -30
    found, report = verdicts(model, digits(2))
    assert found[0] == "dead units" and report.verdicts[0].layers[0] == "2"
    assert report.verdicts[0].evidence["dead"] == 1


def test_saturation():
    model = mlp(64, 32, 32, 10, activation=nn.Tanh)
    model[2].bias.array[:] = 20
    assert verdicts(model, digits(2))[0][0] == "saturation"
    reader = Reader()
    reader.layer.bias_ih_l0.array[:16] = -20
    found, report = verdicts(reader, sequences(1), F.mse_loss)
    assert found[0] == "saturation" and "input gate" in report.verdicts[0].text


def test_initial_values():
    model = mlp(64, 32, 32, 10)
    model[2].weight.array[...] = 0.05
    found, report = verdicts(model, digits(1))
    assert found[0] == "initialisation scale" and "the same weights" in report.verdicts[0].text


@pytest.mark.parametrize("factor, disease", [(100, "learning rate too high"), (1e-3, "learning rate too low")])
def test_learning_rates(factor, disease):
    model = mlp(64, 64, 64, 10)
    optimizer = optim.SGD(model.parameters(), lr=0.1 * factor)
    assert disease in verdicts(model, digits(), optimizer=optimizer, steps=60)[0]


def test_numbers_that_are_not_finite():
    model = mlp(64, 32, 10)
    model[2].weight.array[0, 0] = np.nan
    found, report = verdicts(model, digits(1))
    assert found == ["non-finite"] and report.verdicts[0].layers == ["2"]
    x, y = digits(1)[0]
    x[3, 4] = np.inf
    found, report = verdicts(mlp(64, 32, 10), (x, y))
    assert found == ["non-finite"] and "the data" in report.verdicts[0].text

    class Log(nn.Module):
        def forward(self, x):
            return F.log(x)

    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), Log(), nn.Linear(32, 10))
    found, report = verdicts(model, digits(1))
    assert found == ["non-finite"] and report.verdicts[0].layers == ["2"] and "log" in report.verdicts[0].text
    found, report = verdicts(mlp(64, 32, 10), digits(1), lambda o, t: F.nll_loss(F.relu(o).log(), t))
    assert found == ["non-finite"] and "by hand: log is called by the loss" in str(report)


@pytest.mark.parametrize(
    "spoil, text",
    [
        (lambda x: x * 0 + 0.5, "the same in every sample"),
        (lambda x: x * 100, "deviation"),
        (lambda x: x + 500, "deviations from 0"),
        (lambda x: x * np.where(np.arange(64) == 20, 1e4, 1).astype(np.float32), "feature, [20], that varies"),
    ],
)
def test_data_without_a_signal(spoil, text):
    found, report = verdicts(mlp(64, 32, 10), [(spoil(x), y) for x, y in digits(4)])
    assert found[0] == "no signal from the data" and text in report.verdicts[0].text


def test_labels_and_losses_that_do_not_fit():
    rng = np.random.default_rng(0)
    shuffled = [(x, rng.permutation(y)) for x, y in digits()]
    assert verdicts(mlp(64, 64, 10), shuffled)[0] == ["label or loss mismatch"]
    single = [(x[i : i + 1], y[i : i + 1]) for x, y in digits(1) for i in range(20)]
    assert verdicts(mlp(64, 64, 10), single)[0] == []  # there is nothing to shuffle
    twice = nn.Sequential(*mlp(64, 64, 10), nn.Softmax(-1))
    found, report = verdicts(twice, digits(2))
    assert found[0] == "label or loss mismatch" and "softmax" in report.verdicts[0].text
    assert verdicts(mlp(64, 64, 10), digits(2), lambda y, t: -F.cross_entropy(y, t))[0] == ["label or loss mismatch"]
    one_hot = [(x, 1000 * np.eye(10, dtype=np.float32)[y]) for x, y in digits(2)]
    assert "label or loss mismatch" in verdicts(mlp(64, 64, 10), one_hot, F.mse_loss)[0]


def test_sequences_of_which_little_is_seen():
    padded = [(np.pad(x, ((0, 0), (0, 40), (0, 0))), y) for x, y in sequences(2)]
    found, report = verdicts(Reader(), padded, F.mse_loss)
    assert found[0] == "masked-out sequences" and report.verdicts[0].time == 20
    short = [(x, np.full(len(x), 2), y) for x, y in sequences(2)]
    assert verdicts(Reader(), short, F.mse_loss)[0][0] == "masked-out sequences"


def test_frozen_layers():
    model = mlp(64, 32, 32, 10)
    model[2].requires_grad_(False)
    found, report = verdicts(model, digits(1))
    assert found == ["frozen layer"] and report.verdicts[0].layers == ["2"]
    model[2].requires_grad_(True)
    left_out = optim.SGD([*model[0].parameters(), *model[4].parameters()], lr=0.1)
    found, report = verdicts(model, digits(1), optimizer=left_out)
    assert found == ["frozen layer"] and "not in the optimizer" in report.verdicts[0].text
    cut = nn.Sequential(nn.Linear(64, 32), nn.StopGrad(), nn.ReLU(), nn.Linear(32, 10))
    found, report = verdicts(cut, digits(1))
    assert found == ["frozen layer"] and report.verdicts[0].layers == ["0"]


def test_bad_input():
    x, y = digits(1)[0]
    with pytest.raises(ValueError, match="no parameters"):
        diagnose.examine(nn.Sequential(nn.ReLU()), F.cross_entropy, (x, y))
    with pytest.raises(ValueError, match=r"loss_fn: returned \(64,\), expected a scalar"):
        diagnose.examine(mlp(64, 10), lambda output, target: F.cross_entropy(output, target, reduction="none"), (x, y))
    with pytest.raises(ValueError, match="input has 64 features"):
        diagnose.examine(mlp(63, 10), F.cross_entropy, (x, y))
    for nothing in ([], x, [x]):
        with pytest.raises(ValueError, match="expected a tuple"):
            diagnose.examine(mlp(64, 10), F.cross_entropy, nothing)
    other = optim.SGD(mlp(64, 10).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizer: SGD trains none of the parameters of Sequential"):
        diagnose.examine(mlp(64, 10), F.cross_entropy, (x, y), other)
    with pytest.raises(ValueError, match="without an optimizer"):
        diagnose.examine(mlp(64, 10), F.cross_entropy, (x, y), steps=10)


def train(model, optimizer, monitor, batches, wrap=dl.record):
    def step(x, y):
        optimizer.zero_grad()
        with monitor:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return loss

    step = wrap(step)
    for x, y in batches:
        step(x, y)


def test_a_monitor_says_since_when():
    model = mlp(64, 32, 32, 10)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    monitor = diagnose.Monitor(model, optimizer, every=5)
    train(model, optimizer, monitor, digits())
    assert monitor.report().healthy and len(monitor.loss()) == 20
    model[2].bias.array[:] = -30
    train(model, optimizer, monitor, digits())
    report = monitor.report()
    assert report.verdicts[0].disease == "dead units" and report.verdicts[0].layers[0] == "2"
    assert report.verdicts[0].step == 21 and "since step 21" in str(report)


def test_a_monitor_tells_what_was_seen_with_it_and_has_passed():
    model = mlp(64, 32, 10)
    model[0].bias.array[:24] = -3000  # dead from the first step on, the others from the second
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    monitor = diagnose.Monitor(model, optimizer)
    assert str(monitor.report()) == "nothing was measured yet"
    train(model, optimizer, monitor, [(50 * x, y) for x, y in digits()])
    report = monitor.report()
    passed = next(v for v in report if v.disease == "learning rate too high")
    assert report.verdicts[-1].disease == "dead units" and report.verdicts[-1].step == passed.step == 1
    assert "times its size" in passed.text
    assert len(repr(report)) < 2000  # without the evidence


def test_a_monitor_sees_learning_rates():
    for lr, disease in ((30.0, "learning rate too high"), (1e-7, "learning rate too low")):
        model = mlp(64, 32, 32, 10)
        optimizer = optim.SGD(model.parameters(), lr=lr)
        monitor = diagnose.Monitor(model, optimizer, every=5)
        try:
            train(model, optimizer, monitor, digits() * 4)
        except FloatingPointError:
            assert lr > 1
        assert disease in [v.disease for v in monitor.report()]


def test_losses_of_a_monitor_are_those_of_every_step():
    model = mlp(64, 32, 10)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    monitor, losses = diagnose.Monitor(model, optimizer, every=3, history=4), []

    @dl.record
    def step(x, y):
        optimizer.zero_grad()
        with monitor:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return loss

    for x, y in digits():
        losses.append(step(x, y).item())
    np.testing.assert_array_equal(monitor.loss(), np.array(losses[-12:], np.float64))


def test_batches_of_sequences_of_different_lengths():
    rng = np.random.default_rng(0)
    batches = [
        (rng.standard_normal((8, T, 2)).astype(np.float32), rng.standard_normal((8, 1)).astype(np.float32))
        for T in (12, 20)
    ]
    assert diagnose.examine(Reader(), F.mse_loss, batches).healthy
    batches[1][0][3, 5] = np.nan
    report = diagnose.examine(Reader(), F.mse_loss, batches)
    assert report.verdicts[0].time == 5 and "from time step 5 on" in report.verdicts[0].text


def test_a_signal_that_is_lost_on_a_long_way():
    """No step loses much, but nothing of the last one is left at the first."""
    found, report = verdicts(Reader(), sequences(1, steps=700), F.mse_loss)
    assert found == ["vanishing"] and report.verdicts[0].layers == ["layer"]
    assert 0.6 < report.verdicts[0].evidence["factor"] < 0.99


def test_a_rate_at_which_nothing_moves():
    model = mlp(64, 32, 10)
    optimizer = optim.SGD(model.parameters(), lr=1e-9)
    found, report = verdicts(model, digits(), optimizer=optimizer, steps=40)
    assert found == ["learning rate too low"] and "no update" in report.verdicts[0].text
