"""Models and batches that are not as the doctor may expect them: it says what it can, and breaks nothing."""

import numpy as np
import pytest

import minidl as dl
from minidl import diagnose, nn, optim
from minidl import functional as F
from minidl.engine import generator

RNG = np.random.default_rng(0)
X = RNG.standard_normal((16, 8)).astype(np.float32)
Y = RNG.integers(0, 3, 16)


def examined(model, batches=(X, Y), **options):
    return diagnose.examine(model, F.cross_entropy, batches, optim.SGD(model.parameters(), lr=0.01), **options)


def sick(*middle):
    """A network with a first layer far too large, so that changes of its structure are prescribed."""
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), *middle, nn.Linear(16, 16), *middle, nn.Linear(16, 3))
    model[0].weight.array[...] *= 1e3
    return model


class TensorsOnly(nn.Module):
    def forward(self, x):
        return x.unsqueeze(1).squeeze(1)


class OneSizeOnly(nn.Module):
    def forward(self, x):
        if x.shape[1] != 16:
            raise RuntimeError("expected 16 features")
        return x


@pytest.mark.parametrize("layer", [TensorsOnly, OneSizeOnly])
def test_layers_of_the_user_are_tried_with_care(layer):
    report = examined(sick(layer()))
    assert not report.healthy and all(verdict.prescriptions for verdict in report)


def test_prescribing_draws_no_random_numbers():
    model, before = sick(nn.Dropout(0.5)), generator.counter.copy()
    assert not examined(model).healthy
    np.testing.assert_array_equal(generator.counter, before)


def test_convolution_wider_than_what_it_is_tried_with():
    model = nn.Sequential(nn.Conv1d(4, 4, 33), nn.Flatten(), nn.Linear(32, 3))
    model[0].weight.array[...] *= 1e3
    assert not examined(model, [(RNG.standard_normal((16, 4, 40)).astype(np.float32), Y)]).healthy


def test_layers_without_weights_or_with_one_number():
    assert diagnose.Monitor(nn.Sequential(nn.Linear(8, 0), nn.Linear(0, 3))).report().healthy
    examined(nn.Sequential(nn.Linear(8, 0), nn.Linear(0, 3)))
    report = diagnose.examine(nn.Linear(1, 1), F.mse_loss, (X[:, :1], X[:, 1:2]))
    assert "initialisation scale" not in [verdict.disease for verdict in report]


@pytest.mark.filterwarnings("error")
def test_weights_that_are_0_have_a_gain_of_0():
    model = nn.Linear(8, 1)
    model.weight.array[...] = 0
    report = diagnose.examine(model, F.mse_loss, (X, X[:, 1:2]))
    assert "initialisation scale" in [verdict.disease for verdict in report]


@pytest.mark.filterwarnings("error")
def test_infinite_weights_are_judged_without_warnings():
    model = nn.Linear(8, 3)
    model.weight.array[0, 0] = np.inf
    assert [verdict.disease for verdict in examined(model)] == ["non-finite"]


def test_empty_batch():
    with pytest.raises(ValueError, match="examine: batch: batch 1 of 2 is empty"):
        examined(nn.Linear(8, 3), [(X, Y), (X[:0], Y[:0])])


def test_an_activation_in_several_places_is_changed_in_all():
    shared = nn.ReLU()
    model = nn.Sequential(nn.Linear(8, 8), shared, nn.Linear(8, 8), shared, nn.Linear(8, 3))
    changed = diagnose.prescriptions.ChangeActivation(nn.ReLU, nn.Tanh).apply(model)
    assert [type(layer).__name__ for layer in changed] == ["Linear", "Tanh", "Linear", "Tanh", "Linear"]
    assert model[1] is model[3] is shared


class CutLast(nn.Module):
    """Cuts the last step out of what a recurrent layer gives, and the graph."""

    def forward(self, found):
        return found[0][:, -1].detach()


class Cut(nn.Module):
    def forward(self, x):
        return x.detach()


def test_reattaching_where_layers_give_tuples_or_take_whole_numbers():
    sequences = RNG.standard_normal((16, 5, 4)).astype(np.float32)
    model = nn.Sequential(nn.LSTM(4, 8, batch_first=True), CutLast(), nn.Linear(8, 3))
    cured = diagnose.cure(model, F.cross_entropy, [(sequences, Y)], optim.SGD(model.parameters(), lr=0.1), steps=2)
    assert any("found no layer" in attempt.error for attempt in cured.attempts)
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), Cut(), nn.Linear(4, 3))
    treated = diagnose.prescriptions.Reattach((RNG.integers(0, 5, (16, 2)),)).apply(model)
    found = [type(layer).__name__ for layer in treated]
    assert found == ["Embedding", "Linear", "StraightThrough", "Linear"]


class Fragile(nn.Module):
    """Looks into its first layer, and so raises when that is in another layer's hands."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x):
        if not isinstance(self.first, nn.ReLU):
            raise RuntimeError("first is no ReLU")
        return self.last(self.first(x))


def test_a_treatment_that_breaks_a_model_is_one_that_is_not_possible():
    model = Fragile()
    optimizer, batches = optim.SGD(model.parameters(), lr=0.1), [(X, Y)]
    report = diagnose.examine(model, F.cross_entropy, batches, optimizer)
    change = diagnose.prescriptions.ChangeActivation(nn.ReLU, nn.Tanh)
    report.verdicts = [diagnose.Verdict("dead units", "", 1.0, prescriptions=[change])]
    cured = diagnose.cure(model, F.cross_entropy, batches, optimizer, steps=2, report=report)
    assert [attempt.error for attempt in cured.attempts] == ["", "first is no ReLU"]


def monitored(steps, model=None):
    model = model or nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    monitor = diagnose.Monitor(model, optimizer, every=1)

    def step():
        optimizer.zero_grad()
        with monitor:
            loss = F.cross_entropy(model(X), Y)
            loss.backward()
            optimizer.step()

    for _ in range(steps):
        step()
    return model, monitor, step


def test_weights_that_are_spoiled_late_were_not_spoiled_before():
    model, monitor, _ = monitored(5)
    model[0].weight.array[0, 0] = np.nan
    (verdict,) = monitor.report()
    assert (verdict.disease, verdict.step) == ("non-finite", 5)


def test_a_layer_that_comes_after_the_monitor():
    model, monitor, step = monitored(1)
    model.add_module("late", nn.Linear(3, 3))
    step()
    assert "late.weight" in [p.name for p in monitor.report().evidence.parameters]


def test_without_gradients_around_it():
    dl.manual_seed(0)
    model = sick()
    expected = [verdict.text for verdict in examined(model)]
    with dl.no_grad():
        assert [verdict.text for verdict in examined(model)] == expected
        course = diagnose.Course(model, F.cross_entropy, optim.SGD(model.parameters(), lr=1e-3)).copy()
        losses = course.train([(X, Y)], 3)
    assert losses[0] != losses[-1]


def test_parametrized_layers_keep_their_weights_while_others_are_drawn_anew():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    nn.utils.parametrizations.weight_norm(model[0])
    drawn = diagnose.prescriptions.Reinitialise((), (X,)).apply(model)
    np.testing.assert_array_equal(drawn[0].weight.numpy(), model[0].weight.numpy())
    assert not np.array_equal(drawn[2].weight.numpy(), model[2].weight.numpy())


@pytest.mark.filterwarnings("error")
def test_outputs_without_bounds_are_judged_without_warnings():
    model, monitor, step = monitored(1, nn.Sequential(*[nn.Linear(8, 8) for _ in range(4)]))
    for layer in model:
        layer.weight.array[...] = 1e30
    with pytest.raises(FloatingPointError) as caught:
        step()
    assert "non-finite" in [verdict.disease for verdict in monitor.report(caught.value)]


class Own(nn.Module):
    """A parameter of its own, in no layer; the graph is cut in front of its second one."""

    def __init__(self):
        super().__init__()
        self.weight, self.early = nn.Parameter(dl.ones(8, 3)), nn.Parameter(dl.ones(8))

    def forward(self, x):
        return (x + self.early).detach() @ self.weight


def test_parameters_in_no_layer_are_spoken_of():
    model = Own()
    x = dl.tensor(X)
    report = diagnose.examine(model, F.cross_entropy, (x, Y))
    text = str(report)
    assert "all 8 units of weight have the same weights" in text
    assert "re-initialise the model itself to fit" in text
    assert "the model itself does not learn: early get no gradient" in text


def test_a_cut_graph_is_not_mended_by_letting_layers_learn():
    model, monitor, step = monitored(2, nn.Sequential(nn.Linear(8, 8), Cut(), nn.Linear(8, 3)))
    for report in (monitor.report(), diagnose.examine(model, F.cross_entropy, (X, Y))):
        (verdict,) = report
        assert verdict.disease == "frozen layer" and "graph is cut" in verdict.text
        assert not any("learn" in str(prescription) for prescription in verdict.prescriptions)


class Unrolled(nn.Module):
    """A cell, step by step; or a layer of which only the last state is read."""

    def __init__(self, cell):
        super().__init__()
        dl.manual_seed(0)
        self.cell, self.middle, self.head = cell(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x, state = dl.tensor(x), None
        if isinstance(self.cell, (nn.RNN, nn.GRU, nn.LSTM)):
            state = self.cell(x.transpose(0, 1))[1]
            state = (state[0] if isinstance(state, tuple) else state)[0]
        else:
            for t in range(x.shape[1]):
                state = self.cell(x[:, t], state)
        return self.head(self.middle(state[0] if isinstance(state, tuple) else state))


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell, nn.RNN, nn.GRU, nn.LSTM])
def test_signals_of_recurrences_of_which_the_last_state_is_read(cell):
    x = RNG.standard_normal((16, 5, 4)).astype(np.float32)
    report = examined(Unrolled(cell), (x, Y))
    signals = [layer.signal["rms"][0] for layer in report.evidence.layers if layer.role == "recurrent"]
    assert signals and min(signals) > 0
    assert "vanishing" not in [verdict.disease for verdict in report]
