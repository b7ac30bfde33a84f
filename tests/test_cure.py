"""Cures, end to end: networks that do not learn as they are, and do with what is prescribed."""

import numpy as np
import pytest

import minidl as dl
from minidl import data, diagnose, nn, optim
from minidl import functional as F
from minidl.data import DataLoader
from minidl.diagnose import prescriptions as rx

DIGITS = [np.asarray(array) for array in data.digits(train=True).tensors]
CHANCE = np.log(10)


@pytest.fixture(autouse=True)
def one_thread(seeded):
    """Networks as small as these would only wait for a second one."""
    dl.set_num_threads(1)


def batches(scale=1.0, shift=0.0, count=12, size=64):
    x, y = DIGITS
    x = (x.reshape(len(x), -1) * scale + shift).astype(np.float32)
    return [(x[i * size : (i + 1) * size], y[i * size : (i + 1) * size]) for i in range(count)]


def mlp(*sizes, activation=nn.ReLU):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def with_weights(model, std):
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(parameter, std=std)
    return model


class Adder(nn.Module):
    """An LSTM that forgets, and a head."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 24, batch_first=True), nn.Linear(24, 1)
        self.lstm.bias_ih_l0.array[24:48] = -5.0

    def forward(self, x):
        return self.head(self.lstm(x)[1][0][0])


def vanishing():
    model = mlp(64, *[32] * 6, 10, activation=nn.Sigmoid)
    return with_weights(model, 0.1), F.cross_entropy, batches(), optim.SGD(model.parameters(), lr=0.1)


def exploding():
    model = mlp(64, *[32] * 8, 10)
    return with_weights(model, 2.0), F.cross_entropy, batches(), optim.SGD(model.parameters(), lr=0.05)


def dead():
    model = mlp(64, 32, 32, 10)
    model[2].bias.array[...] = -30
    return model, F.cross_entropy, batches(), optim.SGD(model.parameters(), lr=0.1)


def too_fast():
    model = mlp(64, 32, 32, 10)
    return model, F.cross_entropy, batches(), optim.SGD(model.parameters(), lr=10.0)


def unscaled():
    model = mlp(64, 32, 32, 10)
    return model, F.cross_entropy, batches(96.0, 78.0), optim.SGD(model.parameters(), lr=0.1)


def spoiled():
    model, loss_fn, given, _ = dead()
    model[2].bias.array[...] = 0
    model[2].weight.array[3, 3] = np.nan
    return model, loss_fn, given, optim.SGD(model.parameters(), lr=0.1)


def state(model, optimizer):
    return [p.array.copy() for p in model.parameters()], repr(optimizer), repr(model)


@pytest.mark.parametrize("make", [vanishing, exploding, dead, too_fast, unscaled, spoiled])
def test_what_did_not_learn_does(make):
    model, loss_fn, given, optimizer = make()
    before, text, shown = state(model, optimizer)
    control = diagnose.Course(model, loss_fn, optimizer).copy().train(given, 200)
    cured = diagnose.cure(model, loss_fn, given, optimizer, steps=200, attempts=3)
    assert not np.mean(control[-20:]) < 0.7 * CHANCE  # not, so that NaN counts, too
    assert cured.chosen.after < 0.3 * CHANCE and cured.helped(cured.chosen)
    after, *texts = state(model, optimizer)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True))
    assert texts == [text, shown] and not optimizer.state
    x, y = given[0]
    assert np.mean(cured.best.model.eval()(x).numpy().argmax(1) == y) > 0.9
    again = cured.prescription.apply(diagnose.Course(model, loss_fn, optimizer)).train(given, 200)
    assert np.mean(again[-20:]) < 0.4 * CHANCE


def test_an_lstm_that_forgets_learns_to_add():
    model = Adder()
    loader = DataLoader(data.adding_problem(1600, 20, seed=1), batch_size=32, shuffle=True, drop_last=True, seed=0)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    cured = diagnose.cure(model, F.mse_loss, loader, optimizer, steps=250, clip_norm=1.0, attempts=1)
    vanishing = next(v for v in cured.report if v.disease == "vanishing")
    assert vanishing.layers == ["lstm"] and isinstance(vanishing.prescriptions[0], rx.ForgetBias)
    assert cured.control.after > 0.1
    assert cured.chosen.after < 0.05
    assert cured.best.clip_norm == 1.0


def test_a_healthy_model_is_left_alone():
    model = mlp(64, 32, 32, 10)
    cured = diagnose.cure(model, F.cross_entropy, batches(), optim.SGD(model.parameters(), lr=0.1), steps=100)
    assert cured.report.healthy and cured.prescription is None and len(cured.attempts) == 1
    assert cured.best.model is not model and "there was nothing to try" in str(cured)


def test_attempts_are_combined():
    model = mlp(64, 32, 32, 10)
    model[2].bias.array[...] = -30
    optimizer = optim.SGD(model.parameters(), lr=1e-4)
    cured = diagnose.cure(model, F.cross_entropy, batches(), optimizer, steps=200, attempts=6)
    assert isinstance(cured.prescription, rx.Together)
    assert any(isinstance(part, rx.LearningRate) for part in cured.prescription.parts)
    assert len(cured.attempts) <= 7 and cured.chosen.after < 0.5 * CHANCE


def test_a_wrong_sign_does_not_win_by_its_size():
    model = mlp(64, 32, 32, 10)

    def minus(output, target):
        return -F.cross_entropy(output, target)

    cured = diagnose.cure(model, minus, batches(), optim.SGD(model.parameters(), lr=0.1), steps=100)
    assert cured.prescription.corrects_loss and 0 < cured.chosen.after < 0.3 * CHANCE


def test_only_losses_of_the_same_correction_are_compared():
    """Probabilities in `nll_loss`: with the other sign the loss goes to 0, which is the opposite of learning."""
    model = nn.Sequential(*mlp(64, 32, 10), nn.Softmax(-1))
    cured = diagnose.cure(model, F.nll_loss, batches(), optim.Adam(model.parameters(), lr=1e-2), steps=100)
    tried = {str(attempt): attempt for attempt in cured.attempts}
    assert tried["change the sign of the loss"].after < cured.chosen.after
    x, y = batches()[0]
    assert np.mean(cured.best.model.eval()(x).numpy().argmax(1) == y) > 0.7


def test_a_correction_that_leaves_the_loss_endless_has_not_helped():
    model = mlp(64, 32, 10)
    cured = diagnose.cure(
        model, lambda o, t: -F.cross_entropy(o, t), batches(), optim.Adam(model.parameters()), steps=300
    )
    endless = [attempt for attempt in cured.attempts if attempt.after < 0 and attempt.prescription]
    assert endless and not any(cured.helped(attempt) for attempt in endless)
    assert isinstance(cured.prescription, rx.NegateLoss)


def test_nothing_is_done_twice():
    model, loss_fn, given, optimizer = unscaled()
    cured = diagnose.cure(model, loss_fn, given, optimizer, steps=20)
    for attempt in cured.attempts:
        assert str(attempt).count("normalise input") < 2


def test_the_table_and_the_advice():
    model, loss_fn, given, optimizer = too_fast()
    cured = diagnose.cure(model, loss_fn, given, optimizer, steps=50, attempts=2, validation=given[:2])
    text = str(cured)
    assert "loss before" in text and "as it is" in text and "multiply the learning rate" in text and "best" in text
    constant = [(np.ones_like(x), y) for x, y in given]
    model = mlp(64, 32, 10)
    cured = diagnose.cure(model, loss_fn, constant, optim.SGD(model.parameters(), lr=0.1), steps=20)
    assert cured.prescription is None
    assert "by hand: the input is the same in every sample" in str(cured)


def test_a_report_that_is_given_is_what_is_treated():
    model, loss_fn, given, optimizer = dead()
    report = diagnose.examine(model, loss_fn, given)
    cured = diagnose.cure(model, loss_fn, given, optimizer, steps=20, attempts=1, report=report)
    assert cured.report is report and str(cured.attempts[1]) == str(report.verdicts[0].prescriptions[0])


def test_validation_decides():
    model, loss_fn, given, optimizer = dead()
    cured = diagnose.cure(model, loss_fn, given[:8], optimizer, steps=100, attempts=2, validation=given[8:])
    expected = cured.best.evaluate(given[8:])
    assert cured.chosen.after == pytest.approx(expected)


def test_bad_input():
    model, loss_fn, given, optimizer = dead()
    for bad, message in (
        (dict(steps=0), "cure: steps: got 0, expected an int of at least 1"),
        (dict(attempts=0.5), "cure: attempts: got 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            diagnose.cure(model, loss_fn, given, optimizer, **bad)
    with pytest.raises(ValueError, match="cure: batches: got none"):
        diagnose.cure(model, loss_fn, [], optimizer)
    other = mlp(64, 10)
    with pytest.raises(ValueError, match="Course: optimizer: its parameter 0.weight"):
        diagnose.cure(other, loss_fn, given, optimizer)
    with pytest.raises(ValueError, match="expected 64"):
        diagnose.cure(model, loss_fn, [(x[:, :3], y) for x, y in given], optimizer)
