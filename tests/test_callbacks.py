import csv

import numpy as np
import pytest
from training import batches, clouds, make, same, weights

import minidl as dl
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


def test_a_schedule_per_batch():
    trainer = make(lr=0.1)
    schedule = lr_scheduler.CosineAnnealingLR(trainer.optimizer, 8)
    history = trainer.fit(batches(), epochs=2, callbacks=[LRScheduler(schedule, per_batch=True)])  # 4 batches each
    assert history["lr"] == pytest.approx([0.05, 0.0])


def test_a_schedule_that_looks_at_a_figure():
    trainer = make(lr=0.1)
    script = Scripted(val_accuracy=[0.5, 0.6, 0.6, 0.6])
    schedule = lr_scheduler.ReduceLROnPlateau(trainer.optimizer, "max", factor=0.5, patience=0)
    callbacks = [script, LRScheduler(schedule, monitor="val_accuracy")]
    history = trainer.fit(batches(), clouds(), epochs=4, callbacks=callbacks)
    assert history["lr"] == [0.1, 0.1, 0.1, 0.05] and schedule.get_last_lr() == [0.025]
    with pytest.raises(ValueError, match="LRScheduler: monitor: got 'val_loss', expected one of .*'loss'"):
        trainer.fit(batches(), epochs=1, callbacks=[LRScheduler(schedule)])
