"""Prescriptions: what each does to a copy, that the original stays as it is, and what cannot be done."""

import numpy as np
import pytest

import minidl as dl
from minidl import diagnose, nn, optim
from minidl import functional as F
from minidl.diagnose import Course, inserts
from minidl.diagnose import prescriptions as rx
from minidl.diagnose.prescribe import prescribe
from minidl.diagnose.verdict import DISEASES, Verdict

RNG = np.random.default_rng(0)
X = RNG.standard_normal((16, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 16)
SEQUENCES = RNG.standard_normal((16, 5, 6)).astype(np.float32)


def mlp(activation=nn.Sigmoid):
    return nn.Sequential(nn.Linear(6, 8), activation(), nn.Linear(8, 8), activation(), nn.Linear(8, 3))


class Reader(nn.Module):
    """The last state of a recurrent layer, read by a linear one."""

    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.layer, self.head = kind(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x, lengths=None):
        _, state = self.layer(x, lengths=lengths)
        return self.head((state[0] if isinstance(state, tuple) else state)[0])


def course_of(model, **settings):
    return Course(model, F.cross_entropy, optim.SGD(model.parameters(), lr=0.1, momentum=0.9), **settings)


def values(model):
    return {name: p.array.copy() for name, p in model.named_parameters()}


def same(before, after):
    return before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)


def residual():
    block = lambda: nn.Residual(nn.Linear(8, 8), nn.ReLU(), scale=1.0)  # noqa: E731
    return nn.Sequential(nn.Linear(6, 8), block(), block(), nn.Linear(8, 3))


def softmaxed():
    return nn.Sequential(nn.Linear(6, 3), nn.Softmax(-1))


class Cut(nn.Module):
    def forward(self, x):
        return x.detach()


def cut():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), Cut(), nn.Linear(8, 3))


CHANGES = [  # prescriptions of a model: (prescription, model, input)
    (rx.Reinitialise((), (X,)), mlp, X),
    (rx.Reinitialise(("2",), (X,)), mlp, X),
    (rx.ResetBiases(("0", "2")), mlp, X),
    (rx.ResetRecurrent(), Reader, SEQUENCES),
    (rx.ForgetBias(2.0), Reader, SEQUENCES),
    (rx.LongMemory(10), Reader, SEQUENCES),
    (rx.LongMemory(10), lambda: Reader(nn.GRU), SEQUENCES),
    (rx.LongMemory(10), lambda: Reader(nn.RNN), SEQUENCES),
    (rx.InsertNorm(), mlp, X),
    (rx.AddResidual(), lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), *mlp()[2:4], *mlp()[2:]), X),
    (rx.ScaleResidual(), residual, X),
    (rx.ChangeActivation(nn.Sigmoid, nn.Tanh), mlp, X),
    (rx.RemoveLayer("1"), softmaxed, X),
    (rx.ClampInput("1", low=0.1), mlp, X),
    (rx.ClampInput("1", from_zero=0.1), mlp, X),
    (rx.Reattach((X,)), cut, X),
    (rx.NormaliseInputs(1.0, 2.0), mlp, X),
    (rx.NormaliseInputs(np.ones(6), np.ones(6)), Reader, SEQUENCES),
    (rx.ReplaceNonFinite(0.0), mlp, X),
    (rx.ReplaceNonFinite(0.0), Reader, SEQUENCES),
    (rx.InferLengths(3), Reader, SEQUENCES),
    (rx.IgnoreLengths(), Reader, SEQUENCES),
    (rx.ClipThroughTime(1.0), Reader, SEQUENCES),
    (rx.AppendLogSoftmax(), mlp, X),
    (rx.TakeLog(), softmaxed, X),
    (rx.AppendLogSoftmax(), Reader, SEQUENCES),
    (rx.Unfreeze(), mlp, X),
]
TRAININGS = [rx.LearningRate(0.5), rx.WarmUp(3), rx.Clip(1.0), rx.NegateLoss(), rx.ChangeLoss(F.cross_entropy)]


def title(value):
    return type(value).__name__ if isinstance(value, rx.Prescription) else ""


@pytest.mark.parametrize("prescription, make, x", CHANGES, ids=title)
def test_a_changed_course_trains_the_new_model_and_leaves_the_old_one(prescription, make, x):
    model = make()
    for name, parameter in model.named_parameters():
        if "bias" in name:
            parameter.array[...] = 0.3
    course, before, text = course_of(model), values(model), repr(model)
    treated = prescription.apply(course)
    begun = values(treated.model)
    assert set(treated.optimizer.parameters) == set(treated.model.parameters())
    assert not set(treated.model.parameters()) & set(model.parameters())
    losses = treated.train([(x, Y)], 3)
    assert np.isfinite(losses).all()
    moved = [name for name, value in values(treated.model).items() if not np.array_equal(value, begun[name])]
    assert len(moved) > len(begun) / 2
    assert same(values(model), before) and repr(model) == text
    assert isinstance(prescription.apply(model), nn.Module) and same(values(model), before)
    assert len(str(prescription)) > 10


@pytest.mark.parametrize("prescription", TRAININGS, ids=title)
def test_changes_of_the_training_need_a_course(prescription):
    model = mlp()
    with pytest.raises(TypeError, match="Sequential, but it changes the training: it needs a Course"):
        prescription.apply(model)
    course = course_of(model)
    treated = prescription.apply(course)
    assert np.isfinite(treated.train([(X, Y)], 2)).all()
    assert course.optimizer.param_groups[0]["lr"] == 0.1 and course.clip_norm is None and course.warmup == 0
    with pytest.raises(TypeError, match="got int, expected a Course or a Module"):
        prescription.apply(3)


def test_an_optimizer_keeps_its_groups_and_settings():
    model = mlp()
    groups = [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[2].parameters(), "weight_decay": 0.1}]
    course = Course(model, F.cross_entropy, optim.AdamW(groups, lr=0.5, betas=(0.8, 0.9), on_nonfinite="skip"))
    treated = rx.InsertNorm(("0",)).apply(course)
    first, second = treated.optimizer.param_groups
    assert (first["lr"], second["lr"], second["weight_decay"]) == (0.01, 0.5, 0.1)
    assert first["betas"] == (0.8, 0.9) and treated.optimizer.on_nonfinite == "skip"
    assert [p.name for p in first["params"]] == ["0.weight", "0.bias", "0_norm.weight", "0_norm.bias"]
    assert treated.model[5].weight not in set(treated.optimizer.parameters)  # the last layer was in no group


@pytest.mark.parametrize(
    "kind", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Lion, optim.NAdam, optim.LBFGS]
)
def test_all_kinds_of_optimizers_are_made_anew(kind):
    model = mlp()
    course = Course(model, F.cross_entropy, kind(model.parameters(), lr=0.02))
    copy = course.copy()
    assert type(copy.optimizer) is kind and copy.optimizer.param_groups[0]["lr"] == 0.02
    assert set(copy.optimizer.parameters) == set(copy.model.parameters())


def test_a_course_is_about_one_model():
    model, other = mlp(), nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"Course: optimizer: its parameter weight is not among those of Sequential"):
        Course(model, F.cross_entropy, optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="got no batches"):
        course_of(model).train([], 3)


def test_training_ends_at_a_nan():
    x = X.copy()
    x[0, 0] = np.nan
    assert np.isinf(course_of(mlp()).train([(X, Y), (x, Y)], 5)).tolist() == [False, True]


def test_warm_up():
    model = mlp()
    course = rx.WarmUp(4).apply(course_of(model))
    slow, fast = course.copy(), course_of(model)
    slow.optimizer.param_groups[0]["lr"] = fast.optimizer.param_groups[0]["lr"] = 1e-3
    begun = values(model)
    steps = [c.train([(X, Y)], 1) and None or values(c.model) for c in (slow, fast)]  # fmt: skip
    moves = [np.linalg.norm(after["4.weight"] - begun["4.weight"]) for after in steps]
    np.testing.assert_allclose(moves[0], moves[1] / 4, rtol=1e-3)
    assert slow.optimizer.param_groups[0]["lr"] == 1e-3


# what they do


def test_reinitialise_only_some():
    model = mlp(nn.ReLU)
    model[2].weight.array *= 100
    treated = rx.Reinitialise(("2",), (X,)).apply(model)
    assert np.array_equal(treated[0].weight.array, model[0].weight.array)
    assert treated[2].weight.array.std() < 1.5 / np.sqrt(8)
    with pytest.raises(ValueError, match="Sequential has no layer 7"):
        rx.Reinitialise(("7",)).apply(model)


def test_reinitialise_heals_what_is_not_finite_and_what_is_frozen():
    model = mlp(nn.Tanh)
    model[0].weight.array[0, 0] = np.nan
    model[0].weight.requires_grad = False
    treated = rx.Reinitialise(("0",), (X,)).apply(model)
    assert np.isfinite(treated[0].weight.array).all() and not treated[0].weight.requires_grad


def test_biases():
    model = Reader()
    treated = rx.ResetBiases(("layer",)).apply(model)
    H = 8
    bias = treated.layer.bias_ih_l0.array + treated.layer.bias_hh_l0.array
    assert (bias[H : 2 * H] == 1).all() and (bias[:H] == 0).all()
    forget = rx.ForgetBias(3.0).apply(model).layer
    assert ((forget.bias_ih_l0.array + forget.bias_hh_l0.array)[H : 2 * H] == 3).all()
    with pytest.raises(ValueError, match="no LSTM, LSTMCell among them"):
        rx.ForgetBias(3.0).apply(mlp())
    with pytest.raises(ValueError, match="no RNN, LSTM, GRU"):
        rx.ResetRecurrent().apply(mlp())
    with pytest.raises(ValueError, match="layer 1 of Sequential have no bias"):
        rx.ResetBiases(("1",)).apply(mlp())


def test_orthogonal_recurrences():
    model = Reader(nn.RNN)
    model.layer.weight_hh_l0.array *= 5
    weight = rx.ResetRecurrent(("layer",)).apply(model).layer.weight_hh_l0.array
    np.testing.assert_allclose(weight @ weight.T, np.eye(8), atol=1e-5)


def test_norms_stand_behind_all_but_the_last():
    treated = rx.InsertNorm().apply(mlp())
    assert [type(m).__name__ for m in treated] == [
        "Linear", "LayerNorm", "Sigmoid", "Linear", "LayerNorm", "Sigmoid", "Linear",
    ]  # fmt: skip
    again = pytest.raises(ValueError, rx.InsertNorm().apply, treated)
    assert "without a norm behind it" in str(again.value)
    images = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    assert isinstance(rx.InsertNorm().apply(images)[1], nn.BatchNorm2d)
    assert not rx.InsertNorm().places(Reader())


def test_residual_connections_begin_as_the_identity():
    model = nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), *[layer for _ in range(5) for layer in (nn.Linear(8, 8), nn.ReLU())]
    )
    treated = rx.AddResidual().apply(model)
    assert sum(isinstance(m, nn.Residual) for m in treated) == 2 and isinstance(treated[-2], nn.Linear)
    short = nn.Sequential(*model[:2], nn.ReLU(), nn.ReLU(), *model[-2:])
    np.testing.assert_allclose(treated(X).numpy(), short(X).numpy(), rtol=1e-5)
    with pytest.raises(ValueError, match="no Sequential with two layers"):
        rx.AddResidual().apply(Reader())
    flat = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 2))
    assert not rx.AddResidual().places(flat)


def test_residual_scale():
    treated = rx.ScaleResidual().apply(residual())
    assert [m.scale for m in treated.modules() if isinstance(m, nn.Residual)] == [0.5, 0.5]
    learned = nn.Sequential(nn.Residual(nn.Linear(6, 6)))
    assert rx.ScaleResidual().apply(learned)[0].scale == 1.0
    with pytest.raises(ValueError, match="has no Residual"):
        rx.ScaleResidual().apply(mlp())


def test_another_activation():
    treated = rx.ChangeActivation(nn.ReLU, nn.LeakyReLU, ("1",)).apply(mlp(nn.ReLU))
    assert isinstance(treated[1], nn.LeakyReLU) and type(treated[3]) is nn.ReLU
    with pytest.raises(ValueError, match="has no Sigmoid"):
        rx.ChangeActivation(nn.Sigmoid, nn.Tanh).apply(mlp(nn.ReLU))


def test_bounds_of_inputs():
    x = np.array([[-2.0, -0.01, 0.0, 0.01, 3.0]], np.float32)
    model = nn.Sequential(nn.Identity())
    clamped = rx.ClampInput("0", low=0.1, high=1).apply(model)
    np.testing.assert_allclose(clamped(x).numpy(), [[0.1, 0.1, 0.1, 0.1, 1.0]])
    np.testing.assert_allclose(
        rx.ClampInput("0", from_zero=0.1).apply(model)(x).numpy(), [[-2.0, -0.1, 0.1, 0.1, 3.0]], rtol=1e-6
    )


def test_gradients_go_round_what_cuts_them_off():
    model = cut()
    treated = rx.Reattach((X,)).apply(model)
    np.testing.assert_allclose(treated(X).numpy(), model(X).numpy(), rtol=1e-5, atol=1e-6)
    F.cross_entropy(treated(X), Y).backward()
    assert treated[0].weight.grad is not None and abs(treated[0].weight.grad.numpy()).max() > 0
    with pytest.raises(ValueError, match="found no layer"):
        rx.Reattach((X,)).apply(mlp())


def test_inputs_in_one_unit_keep_their_contrasts():
    x = (X * 50 + 20).astype(np.float32)
    made = rx.NormaliseInputs.from_batches([(x[:8], Y[:8]), (x[8:], Y[8:])])
    assert np.ndim(made.mean) == 0
    model = nn.Sequential(nn.Identity())
    np.testing.assert_allclose(made.apply(model)(x).numpy(), (x - x.mean()) / x.std(), rtol=1e-3, atol=1e-4)


def test_features_in_units_of_their_own_and_constant_ones():
    x = X.copy()
    x[:, 1] = x[:, 1] * 1e4 + 5
    x[:, 2] = 7
    treated = rx.NormaliseInputs.from_batches([(x, Y)]).apply(nn.Sequential(nn.Identity()))
    z = treated(x).numpy()
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(0), [1, 1, 0, 1, 1, 1], atol=1e-4)
    with pytest.raises(ValueError, match="input 0 is constant"):
        rx.NormaliseInputs.from_batches([(np.ones((4, 3), np.float32), Y[:4])])


def test_channels_and_features_of_sequences():
    images = RNG.standard_normal((8, 2, 3, 3)) * np.array([1.0, 1e3]).reshape(2, 1, 1)
    assert rx.NormaliseInputs.from_batches([(images, Y[:8])]).mean.shape == (2, 1, 1)
    sequences = SEQUENCES * np.array([1, 1, 1, 1, 1, 1e4], np.float32)
    assert rx.NormaliseInputs.from_batches([(sequences, Y)]).std.shape == (6,)
    uneven = [(sequences, Y), (sequences[:, :3], Y)]
    assert rx.NormaliseInputs.from_batches(uneven).std.shape == (6,)


def test_replacing_what_is_not_finite():
    x = X.copy()
    x[0, 0], x[1, 1] = np.nan, -np.inf
    made = rx.ReplaceNonFinite.from_batches([(x, Y)])
    z = made.apply(nn.Sequential(nn.Identity()))(x).numpy()
    mean = x[np.isfinite(x)].mean(dtype=np.float64)
    np.testing.assert_allclose([z[0, 0], z[1, 1]], mean, rtol=1e-4)
    assert np.array_equal(z[2:], x[2:])


def test_lengths_are_inferred_sample_by_sample():
    model = Reader()
    x, lengths = SEQUENCES.copy(), RNG.integers(1, 6, 16)
    for row, length in zip(x, lengths, strict=True):
        row[length:] = 0
    treated = rx.InferLengths(5).apply(model)
    np.testing.assert_allclose(treated(x).numpy(), model(x, lengths).numpy(), rtol=1e-5, atol=1e-6)
    step = dl.record(treated)
    step(x)
    np.testing.assert_allclose(step(x[::-1].copy()).numpy(), treated(x[::-1].copy()).numpy(), rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="`lengths`"):
        rx.IgnoreLengths().apply(mlp())


def test_sequences_are_cut_where_no_lengths_are_taken():
    model = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))
    treated = rx.InferLengths(3).apply(model)
    np.testing.assert_allclose(treated(SEQUENCES).numpy(), model(SEQUENCES[:, :3].copy()).numpy(), rtol=1e-6)


class Softmaxed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return F.softmax(self.layer(x), -1)


@pytest.mark.parametrize("make, expected", [(Softmaxed, [rx.TakeLog]), (softmaxed, [rx.RemoveLayer, rx.TakeLog])])
def test_a_softmax_too_many(make, expected):
    model = make()
    layer = next(m for m in model.modules() if isinstance(m, nn.Linear))
    report = diagnose.examine(model, F.cross_entropy, (X, Y), optim.SGD(model.parameters(), lr=0.1))
    prescribed = report.verdicts[0].prescriptions
    assert [type(prescription) for prescription in prescribed] == expected
    for prescription in prescribed:
        loss = F.cross_entropy(prescription.apply(model)(X), Y)
        np.testing.assert_allclose(loss.item(), F.cross_entropy(layer(X), Y).item(), rtol=1e-5)


def test_targets_in_units():
    model = nn.Sequential(nn.Linear(6, 1))
    target = (1000 * X[:, :1] + 500).astype(np.float32)
    course = Course(model, F.mse_loss, optim.SGD(model.parameters(), lr=0.1))
    treated = rx.ScaleTargets.from_batches([(X, target)]).apply(course)
    losses = treated.train([(X, target)], 200)
    assert losses[0] < 10 and losses[-1] < 0.01
    assert abs(treated.model(X).numpy() - target).max() < 100  # in the targets' units
    with pytest.raises(TypeError, match="needs a Course"):
        rx.ScaleTargets(0, 1).apply(model)


def test_unfreezing():
    model = mlp()
    model[0].requires_grad_(False)
    groups = [{"params": model[2].parameters(), "lr": 0.0}, {"params": model[4].parameters(), "lr": 0.2}]
    course = Course(model, F.cross_entropy, optim.SGD(groups))
    treated = rx.Unfreeze(("0", "2")).apply(course)
    assert all(p.requires_grad for p in treated.model.parameters())
    assert [group["lr"] for group in treated.optimizer.param_groups] == [0.2, 0.2, 0.2]
    assert set(treated.optimizer.parameters) == set(treated.model.parameters())
    assert not model[0].weight.requires_grad and course.optimizer.param_groups[0]["lr"] == 0
    still = Course(model, F.cross_entropy, optim.SGD(model.parameters(), lr=0.0))
    with pytest.raises(ValueError, match="all learning rates of SGD are 0"):
        rx.Unfreeze().apply(still)


def test_several_together_and_advice():
    both = rx.Together(rx.ChangeActivation(nn.Sigmoid, nn.ReLU), rx.LearningRate(0.1))
    treated = both.apply(course_of(mlp()))
    assert isinstance(treated.model[1], nn.ReLU) and treated.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    assert not both.corrects_loss and rx.Together(rx.NegateLoss()).corrects_loss
    with pytest.raises(RuntimeError, match="look at the file"):
        rx.Advice("look at the file").apply(mlp())


@pytest.mark.parametrize("make", [lambda: rx.LearningRate(0), lambda: rx.Clip(-1.0), lambda: rx.ScaleTargets(0, 0)])
def test_settings_out_of_range(make):
    with pytest.raises(ValueError, match="expected"):
        make()


# which are prescribed


@pytest.mark.parametrize("disease", DISEASES)
@pytest.mark.parametrize("make, x", [(mlp, X), (Reader, SEQUENCES)])
def test_every_disease_has_prescriptions_that_can_be_applied(disease, make, x):
    model = make()
    course = course_of(model)
    report = diagnose.examine(model, F.cross_entropy, [(x, Y)] * 3, course.optimizer)
    recurrent = make is Reader
    layers = ["layer"] if recurrent else ["0"]
    verdict = Verdict(disease, "", 0.9, layers, time=2 if recurrent else None)
    prescribed = prescribe(verdict, report.evidence)
    assert prescribed and len(set(map(str, prescribed))) == len(prescribed)
    for prescription in prescribed:
        if not isinstance(prescription, (rx.Advice, rx.Reattach, rx.ScaleTargets)):
            assert isinstance(prescription.apply(course), Course)


@pytest.mark.parametrize("disease", DISEASES)
def test_odd_data_is_no_reason_to_fail(disease):
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    for x, y in (
        (X, np.ones((16, 1), np.float32)),  # targets that are all the same
        (np.full_like(X, 1e6) + 1e-2 * X, np.ones((16, 1), np.float32)),  # inputs that vary by rounding alone
    ):
        optimizer = optim.SGD(model.parameters(), lr=1e-9)
        report = diagnose.examine(model, F.mse_loss, [(x, y)] * 3, optimizer)
        for prescription in prescribe(Verdict(disease, "", 0.9, ["0"], time=1), report.evidence):
            assert str(prescription)
    tokens = nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Linear(40, 3))
    given = (RNG.integers(0, 10, (16, 5)), Y)
    report = diagnose.examine(tokens, F.cross_entropy, [given] * 3, optim.SGD(tokens.parameters(), lr=0.1))
    for prescription in prescribe(Verdict(disease, "", 0.9, ["0"], time=1), report.evidence):
        assert str(prescription)


@pytest.mark.parametrize(
    "module",
    [
        inserts.Standardise(0.5, 2.0), inserts.Rescale(1, 2), inserts.Finite(0.5), inserts.Clamp(-0.5, 0.5),
        inserts.AwayFromZero(0.3), inserts.StraightThrough(nn.Sigmoid()), inserts.FirstSteps(4),
    ],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_inserts_do_the_same_when_recorded(module):
    step = dl.record(module)
    for x in (X, X[::-1].copy(), 3 * X):
        assert np.array_equal(step(x).numpy(), module(x).numpy())


def test_a_report_shows_what_is_prescribed():
    model = mlp(nn.ReLU)
    model[2].bias.array[...] = -50
    report = diagnose.examine(model, F.cross_entropy, (X, Y), optim.SGD(model.parameters(), lr=0.1))
    dead = next(v for v in report if v.disease == "dead units")
    assert isinstance(dead.prescriptions[0], rx.ResetBiases) and dead.prescriptions[0].layers == ("2",)
    assert "1. set the biases of layer 2 to 0" in str(report)


class Functional(nn.Module):
    """Activations, and weights, without a layer of their own."""

    def __init__(self):
        super().__init__()
        self.first, self.weight = nn.Linear(6, 8), nn.Parameter(np.ones((3, 8), np.float32))
        self.first.bias.array[...] = -50

    def forward(self, x):
        return F.linear(F.relu(self.first(x)), self.weight)


def test_models_without_a_sequential():
    model = Functional()
    course = course_of(model)
    report = diagnose.examine(model, F.cross_entropy, (X, Y), course.optimizer)
    dead = next(v for v in report if v.disease == "dead units")
    assert dead.prescriptions
    for prescription in dead.prescriptions:
        assert np.isfinite(prescription.apply(course).train([(X, Y)], 2)).all()
    for disease in DISEASES:
        prescribe(Verdict(disease, "", 0.9, ["Functional", "nothing.there"], time=1), report.evidence)


def test_a_monitor_prescribes_too():
    model = mlp(nn.ReLU)
    model[2].bias.array[...] = -50
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    monitor = diagnose.Monitor(model, optimizer, every=1)
    for _ in range(2):
        optimizer.zero_grad()
        with monitor:
            F.cross_entropy(model(X), Y).backward()
            optimizer.step()
    dead = next(v for v in monitor.report() if v.disease == "dead units")
    assert isinstance(dead.prescriptions[0], rx.ResetBiases)


def test_negative_losses_of_labels():
    model = mlp()

    def minus(output, target):
        return -F.cross_entropy(output, target)

    for loss_fn, expected in ((minus, rx.NegateLoss), (F.nll_loss, rx.AppendLogSoftmax)):
        model[4].bias.array[...] = 3.0  # logits above 0
        report = diagnose.examine(model, loss_fn, [(X, Y), (X[:8], Y[:8])], optim.SGD(model.parameters(), lr=0.1))
        assert isinstance(report.verdicts[0].prescriptions[0], expected)


def test_inserted_modules_show_their_settings():
    assert repr(inserts.Clamp(low=0.1)) == "Clamp(low=0.1, high=None)"
    assert repr(inserts.Rescale(1, 2)) == "Rescale(mean=1, std=2)"
