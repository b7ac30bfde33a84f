"""Callbacks: what happens around the steps of `Trainer.fit`."""

import csv
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from minidl.optim.lr_scheduler import ReduceLROnPlateau
from minidl.serialize import save


class Callback:
    """Base class; a subclass overrides the moments that it cares about.

    `trainer` is set before training begins. Epochs and batches count from 1. `logs` holds the means over the epoch so
    far: ``loss`` and the metrics, and at the end of an epoch ``lr`` and, with validation data, ``val_loss`` and so on.
    To end training after this epoch, set ``self.trainer.stop_training = True``.
    """

    trainer: Any = None  # the Trainer; importing it here would make a circle

    def on_train_begin(self):
        """Before the first epoch."""

    def on_epoch_begin(self, epoch):
        """Before the first batch of an epoch."""

    def on_train_batch_end(self, batch, logs):
        """After a training step."""

    def on_epoch_end(self, epoch, logs):
        """After a whole epoch with its validation; not after one that Ctrl-C cut short."""

    def on_train_end(self):
        """At the end, also where an error or Ctrl-C is the end."""


class Monitor(Callback):
    """Base class of callbacks that ask whether a figure has improved.

    Parameters
    ----------
    monitor : str
        A name in `logs`.
    mode : {"auto", "min", "max"}
        Which way is better; auto: up for names that contain ``acc``, down for the others.
    min_delta : float
        A smaller improvement is none.
    """

    def __init__(self, monitor, mode, min_delta=0.0):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode: got {mode!r}, expected 'auto', 'min' or 'max'")
        self.monitor, self.min_delta = monitor, abs(min_delta)
        self.sign = 1 if mode == "max" or mode == "auto" and "acc" in monitor else -1

    def on_train_begin(self):
        self.best = None

    def improved(self, logs):
        """Whether the figure is better than ever before in this run; a NaN never is."""
        value = figure_in(logs, self.monitor, type(self).__name__)
        if math.isnan(value) or self.best is not None and self.sign * (value - self.best) <= self.min_delta:
            return False
        self.best = value
        return True


class EarlyStopping(Monitor):
    """Ends training when a figure has stopped improving.

    Parameters
    ----------
    monitor : str
    min_delta : float
        A smaller improvement counts as none.
    patience : int
        Epochs in a row without improvement that end the training.
    mode : {"auto", "min", "max"}
    restore_best_weights : bool
        End with the weights of the best epoch instead of the last.
    """

    def __init__(self, monitor="val_loss", min_delta=0.0, patience=0, mode="auto", restore_best_weights=False):
        super().__init__(monitor, mode, min_delta)
        if patience < 0:
            raise ValueError(f"EarlyStopping: patience: got {patience}, expected at least 0")
        self.patience, self.restore_best_weights = patience, restore_best_weights

    def on_train_begin(self):
        super().on_train_begin()
        self.wait, self.best_weights = 0, None

    def on_epoch_end(self, epoch, logs):
        if self.improved(logs):
            self.wait = 0
            if self.restore_best_weights:
                state = self.trainer.model.state_dict()
                self.best_weights = {name: np.array(value) for name, value in state.items()}
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.trainer.stop_training = True

    def on_train_end(self):
        if self.best_weights is not None:
            self.trainer.model.load_state_dict(self.best_weights)


class ModelCheckpoint(Monitor):
    """Saves the weights after an epoch, as `minidl.save` does.

    Parameters
    ----------
    path : str or Path
        May name figures: ``"weights-{epoch}-{val_loss:.3f}.safetensors"``.
    monitor : str
    save_best_only : bool
        Only where the figure is better than ever before in this run.
    mode : {"auto", "min", "max"}
    """

    def __init__(self, path, monitor="val_loss", save_best_only=False, mode="auto"):
        super().__init__(monitor, mode)
        self.path, self.save_best_only = str(path), save_best_only

    def on_epoch_end(self, epoch, logs):
        if not self.save_best_only or self.improved(logs):
            save(self.trainer.model, self.path.format(epoch=epoch, **logs))


class LRScheduler(Callback):
    """Steps a schedule of `minidl.optim.lr_scheduler`.

    Parameters
    ----------
    scheduler : minidl.optim.lr_scheduler.LRScheduler
    per_batch : bool
        After every batch instead of every epoch.
    monitor : str
        The figure in `logs` that `ReduceLROnPlateau` looks at; for the other schedules it means nothing.
    """

    def __init__(self, scheduler, per_batch=False, monitor="val_loss"):
        self.scheduler, self.per_batch, self.monitor = scheduler, per_batch, monitor

    def on_train_batch_end(self, batch, logs):
        if self.per_batch:
            self._step(logs)

    def on_epoch_end(self, epoch, logs):
        if not self.per_batch:
            self._step(logs)

    def _step(self, logs):
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(figure_in(logs, self.monitor, "LRScheduler"))
        else:
            self.scheduler.step()


class CSVLogger(Callback):
    """Writes one row per epoch, at once, to a CSV file: ``epoch`` and the figures.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path):
        self.path = Path(path)
        self.file: Any = None

    def on_train_begin(self):
        self.file, self.writer = self.path.open("w", newline=""), None

    def on_epoch_end(self, epoch, logs):
        if self.writer is None:
            self.writer = csv.DictWriter(self.file, ["epoch", *logs])
            self.writer.writeheader()
        self.writer.writerow({"epoch": epoch, **logs})
        self.file.flush()

    def on_train_end(self):
        if self.file is not None:
            self.file.close()


class ProgressBar(Callback):
    """One bar over all steps, with the running loss and metrics; nothing where standard error is no terminal."""

    bar = None

    def on_train_begin(self):
        if not sys.stderr.isatty():
            return
        from tqdm import tqdm

        batches, self.validation = self.trainer.train_batches, ""
        total = len(batches) * self.trainer.epochs if hasattr(batches, "__len__") else None
        self.bar = tqdm(total=total, unit="step", file=sys.stderr, dynamic_ncols=True)

    def on_epoch_begin(self, epoch):
        if self.bar is not None:
            self.bar.set_description(f"epoch {epoch}/{self.trainer.epochs}", refresh=False)

    def on_train_batch_end(self, batch, logs):
        if self.bar is not None and self.bar.update():  # true when it was drawn: a few times per second
            self.bar.set_postfix_str(f"{figures(logs)}{self.validation}", refresh=False)

    def on_epoch_end(self, epoch, logs):
        if self.bar is not None:
            self.validation = "".join(f", {figures({k: v})}" for k, v in logs.items() if k.startswith("val_"))
            running = {name: value for name, value in logs.items() if name != "lr" and not name.startswith("val_")}
            self.bar.set_postfix_str(f"{figures(running)}{self.validation}", refresh=False)

    def on_train_end(self):
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def figure_in(logs, name, callback):
    """A figure in `logs`; ValueError if it is not there."""
    if name not in logs:
        raise ValueError(f"{callback}: monitor: got {name!r}, expected one of {list(logs)}")
    return logs[name]


def figures(logs):
    """Names and values for the terminal."""
    return ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
