import csv

import numpy as np
import pytest
from training import batches, clouds, make, same, weights

import minidl as dl
from minidl import nn, optim
from minidl.optim import lr_scheduler
from minidl.train import Callback, CSVLogger, EarlyStopping, LRScheduler, ModelCheckpoint, ProgressBar


class Scripted(Callback):
    """Puts given numbers in the logs, and keeps the weights of every epoch."""

    def __init__(self, **figures):
        self.figures, self.weights = figures, []

    def on_epoch_end(self, epoch, logs):
        logs.update({name: values[epoch - 1] for name, values in self.figures.items()})
        self.weights.append(weights(self.trainer.model))


def fit(*callbacks, epochs, **kwargs):
    trainer = make()
    return trainer, trainer.fit(batches(), clouds(), epochs=epochs, callbacks=callbacks, **kwargs)


@pytest.mark.parametrize(
    "options, figures, stops",
    [
        ({"patience": 2}, {"val_loss": [3, 2, 2.5, 2.1, 1]}, 4),
        ({"patience": 2}, {"val_loss": [3, 2, 2.5, 1.9, 2, 2, 0]}, 6),
        ({"patience": 1, "min_delta": 0.5}, {"val_loss": [3, 2.6, 1, 1, 1]}, 2),
        ({"patience": 1, "monitor": "val_accuracy"}, {"val_accuracy": [0.5, 0.6, 0.6, 0.9]}, 3),
        ({"patience": 1, "monitor": "loss", "mode": "max"}, {"loss": [1, 2, 1.5, 0]}, 3),
        ({"patience": 2}, {"val_loss": [np.nan, np.nan, 1, 0]}, 2),
        ({"patience": 9}, {"val_loss": [3, 4, 5]}, 3),
    ],
)
def test_early_stopping(options, figures, stops):
    epochs = len(next(iter(figures.values())))
    _, history = fit(Scripted(**figures), EarlyStopping(**options), epochs=epochs)
    assert len(history) == stops


def test_early_stopping_restores_the_best_weights():
    script = Scripted(val_loss=[3, 1, 2, 2, 2])
    trainer, history = fit(script, EarlyStopping(patience=2, restore_best_weights=True), epochs=5)
    assert len(history) == 4
    assert same(weights(trainer.model), script.weights[1])
    trainer.fit(batches(), epochs=1)  # recorded steps follow the restored weights
    assert not same(weights(trainer.model), script.weights[1])


def test_best_only_checkpoint(tmp_path):
    path = tmp_path / "best.safetensors"
    script = Scripted(val_accuracy=[0.5, 0.9, 0.7])
    fit(script, ModelCheckpoint(path, monitor="val_accuracy", save_best_only=True), epochs=3)
    assert same({name: np.array(value) for name, value in dl.load(path).items()}, sort(script.weights[1]))


def sort(named):
    return dict(sorted(named.items()))


def test_checkpoint_of_every_epoch(tmp_path):
    fit(ModelCheckpoint(tmp_path / "{epoch}-{lr:.2f}.safetensors"), epochs=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}-0.05.safetensors" for i in (1, 2, 3)]


def test_unknown_figures_are_named():
    with pytest.raises(ValueError, match="EarlyStopping: monitor: got 'val_f1', expected one of .*'val_loss'"):
        fit(EarlyStopping("val_f1"), epochs=1)
    with pytest.raises(ValueError, match="ModelCheckpoint: mode: got 'best'"):
        ModelCheckpoint("x", mode="best")
    with pytest.raises(ValueError, match="patience: got -1"):
        EarlyStopping(patience=-1)


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    _, history = fit(CSVLogger(path), epochs=3)
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in history.history.items():
        assert [float(row[name]) for row in rows] == values


def test_schedule_is_followed_by_recorded_steps():
    trainer = make(lr=0.1)
    schedule = lr_scheduler.StepLR(trainer.optimizer, 2, gamma=0.0)  # no learning from the third epoch on
    script = Scripted()
    history = trainer.fit(batches(), epochs=4, callbacks=[script, LRScheduler(schedule)])
    assert history["lr"] == [0.1, 0.1, 0.0, 0.0]
    assert not same(script.weights[0], script.weights[1]) and same(script.weights[1], script.weights[3])


def test_callbacks_are_called_in_turn():
    calls = []

    class Listener(Callback):
        def on_train_begin(self):
            calls.append("begin")

        def on_epoch_begin(self, epoch):
            calls.append(epoch)

        def on_train_batch_end(self, batch, logs):
            assert set(logs) == {"loss", "accuracy"}
            calls.append(f"b{batch}")

        def on_epoch_end(self, epoch, logs):
            calls.append(f"e{epoch}")

        def on_train_end(self):
            calls.append("end")

    make().fit(batches(40, 32), epochs=2, callbacks=[Listener()])
    assert calls == ["begin", 1, "b1", "b2", "e1", 2, "b1", "b2", "e2", "end"]


def test_all_callbacks_end_when_one_fails():
    ended = []

    class Ends(Callback):
        def on_train_end(self):
            ended.append(self)

    class Fails(Ends):
        def on_train_end(self):
            super().on_train_end()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        make().fit(batches(), epochs=1, callbacks=[Ends(), Fails(), Ends()])
    assert len(ended) == 3


def test_progress_bar_only_on_a_terminal(capsys, monkeypatch):
    fit(epochs=2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fit(epochs=2, progress=False)
    assert capsys.readouterr().err == ""
    fit(epochs=2)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown and "8/8" in shown and "val_loss" in shown and "accuracy" in shown
    fit(ProgressBar(), epochs=1, progress=False)
    assert "4/4" in capsys.readouterr().err


# schedules


def make_optimizer(lr=0.1):
    model = nn.Linear(2, 2)
    return optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 1.0}], lr=lr)


def rates(schedule, steps):
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr())
        schedule.step()
    return found


@pytest.mark.parametrize("name, options", [("StepLR", (3, 0.5)), ("StepLR", (1,)), ("ExponentialLR", (0.9,))])
def test_schedules_are_those_of_torch(name, options):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 1.0}], lr=0.1)
    expected = getattr(torch.optim.lr_scheduler, name)(theirs, *options)
    found = getattr(lr_scheduler, name)(make_optimizer(), *options)
    for _ in range(10):
        assert found.get_last_lr() == expected.get_last_lr() and found.last_epoch == expected.last_epoch
        theirs.step()
        expected.step()
        found.step()


@pytest.mark.parametrize(
    "name, options",
    [
        ("CosineAnnealingLR", {"T_max": 6}),
        ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 12}),
        ("OneCycleLR", {"max_lr": [0.5, 0.2], "epochs": 4, "steps_per_epoch": 3, "anneal_strategy": "linear"}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 15, "three_phase": True, "div_factor": 4}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 12, "base_momentum": [0.8, 0.7], "max_momentum": 0.9}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 12, "cycle_momentum": False, "final_div_factor": 10}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 12, "pct_start": 0.0}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 12, "pct_start": 0.5}),
    ],
)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_training_with_a_schedule_is_that_of_torch(kind, name, options):
    torch = pytest.importorskip("torch")
    settings = {"momentum": 0.9} if kind == "SGD" else {}
    ours = [dl.Parameter(np.ones(3)), dl.Parameter(np.ones(2))]
    theirs = [torch.nn.Parameter(torch.ones(p.shape, dtype=torch.float64)) for p in ours]

    def make(library, parameters):
        groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.3}]
        optimizer = getattr(library, kind)(groups, lr=0.1, **settings)
        return optimizer, getattr(library.lr_scheduler, name)(optimizer, **options)

    (one, found), (other, expected) = make(optim, ours), make(torch.optim, theirs)
    step = dl.record(one.step)  # reads rate and momentum anew at every call
    for i in range(11):  # behind its end, a linear schedule of PyTorch goes below zero
        for p, q in zip(ours, theirs, strict=True):
            p.grad, q.grad = np.full(p.shape, float(i % 5)), torch.full(q.shape, float(i % 5), dtype=torch.float64)
        step()
        other.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-9)
        found.step()
        expected.step()
        np.testing.assert_allclose(found.get_last_lr(), expected.get_last_lr(), rtol=1e-9, atol=1e-15)
        for mine, yours in zip(one.param_groups, other.param_groups, strict=True):
            assert mine.get("betas", mine.get("momentum")) == pytest.approx(yours.get("betas", yours.get("momentum")))


def test_one_cycle_ends():
    schedule = lr_scheduler.OneCycleLR(make_optimizer(), 1.0, 5)
    found = rates(schedule, 5)
    assert found[0] == pytest.approx([1 / 25] * 2) and found[4] == pytest.approx([1 / 25 / 1e4] * 2)
    assert max(rate for rate, _ in found) < 1  # the top lies between two steps
    assert schedule.get_last_lr() == found[4]
    with pytest.raises(ValueError, match="OneCycleLR: step 6 of 5: the cycle is over"):
        schedule.step()
    # where the way up has no length: PyTorch divides by zero
    assert rates(lr_scheduler.OneCycleLR(make_optimizer(), 1.0, 10, pct_start=0.1), 10)[0] == [1.0, 1.0]


def test_a_schedule_per_batch():
    trainer = make(lr=0.1)
    schedule = lr_scheduler.CosineAnnealingLR(trainer.optimizer, 8)
    history = trainer.fit(batches(), epochs=2, callbacks=[LRScheduler(schedule, per_batch=True)])  # 4 batches each
    assert history["lr"] == pytest.approx([0.05, 0.0])


def test_schedule_state():
    one = lr_scheduler.StepLR(make_optimizer(), 2, 0.1)
    first = rates(one, 3)
    state = one.state_dict()
    assert "optimizer" not in state and state["last_epoch"] == 3
    other = lr_scheduler.StepLR(make_optimizer(), 5, 0.7)
    other.load_state_dict(state)
    other.optimizer.param_groups[0]["lr"], other.optimizer.param_groups[1]["lr"] = one.get_last_lr()
    assert rates(other, 4) == rates(one, 4) and first[0] == [0.1, 1.0]


def test_schedule_errors():
    with pytest.raises(ValueError, match="step_size: got 0"):
        lr_scheduler.StepLR(make_optimizer(), 0)
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.ExponentialLR(make_optimizer(), 0.9, last_epoch=3)
    for message, options in [
        ("total_steps: got 0", {"total_steps": 0}),
        ("expected total_steps, or epochs", {"epochs": 3}),
        ("pct_start: got 2", {"total_steps": 3, "pct_start": 2}),
        ("anneal_strategy: got 'log'", {"total_steps": 3, "anneal_strategy": "log"}),
        ("got 3 values, expected one for each of 2", {"total_steps": 3, "max_momentum": [1, 2, 3]}),
    ]:
        with pytest.raises(ValueError, match=message):
            lr_scheduler.OneCycleLR(make_optimizer(), 0.1, **options)
    with pytest.raises(ValueError, match="T_max: got 0"):
        lr_scheduler.CosineAnnealingLR(make_optimizer(), 0)
    schedule = lr_scheduler.ExponentialLR(make_optimizer(), 0.9)

    def step():
        schedule.step()

    with pytest.raises(RuntimeError, match="ExponentialLR.step: called while recording"):
        dl.record(step)()
