"""The training loop."""

import contextlib
import sys

import numpy as np

from minidl import functional as F
from minidl.data import DataLoader, Dataset, TensorDataset
from minidl.engine import Tensor, no_grad, record
from minidl.stabilize import Probe, clip_grad_norm_
from minidl.stabilize.update import Update
from minidl.train.callbacks import ProgressBar
from minidl.train.history import History
from minidl.train.interrupt import Interrupt
from minidl.train.metrics import accuracy

EVALUATION_BATCH = 256


class Trainer:
    """Trains a model, by recorded steps only.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
        Over the model's parameters; None where only `evaluate` and `predict` are wanted.
    loss : callable
        ``loss(output, target)`` gives a scalar tensor; by default `cross_entropy`, for labels.
    metrics : dict of str to callable, optional
        ``metric(output, target)`` gets arrays and gives the mean over the batch; by default the accuracy.
    clip_norm : float, optional
        Largest allowed norm of all gradients together.
    updates : sequence of update nodes
        From `minidl.stabilize`, in the order in which they act: those on gradients before the optimizer's step (and
        before the clip by `clip_norm`), those on weights after it. A gate, such as `GradientAccumulation` or
        `SpikeGuard`, decides about all that comes after it; a guard that watches the update about the step alone.
    monitor : Probe, optional
        Measures the training steps; a `diagnose.Monitor` says afterwards what was wrong.

    The steps are recorded with these settings: for others make another Trainer, of the same model if need be.

    Examples
    --------
    >>> trainer = Trainer(model, optim.Adam(model.parameters()))
    >>> history = trainer.fit(DataLoader(train, 32, shuffle=True), validation, epochs=20)
    >>> trainer.evaluate(test)["accuracy"]
    """

    def __init__(self, model, optimizer, loss=None, *, metrics=None, clip_norm=None, updates=(), monitor=None):
        self.model, self.optimizer = model, optimizer
        self.loss = F.cross_entropy if loss is None else loss
        self.metrics = {"accuracy": accuracy} if metrics is None else dict(metrics)
        self.clip_norm, self.updates = clip_norm, list(updates)
        for update in self.updates:
            if not isinstance(update, Update) or update.acts is None:
                raise TypeError(
                    f"{type(self).__name__}: updates: got {type(update).__name__}, expected nodes that act before, "
                    "around or after the optimizer's step"
                )
        if not isinstance(monitor, (Probe, type(None))):
            raise TypeError(
                f"{type(self).__name__}: monitor: got {type(monitor).__name__}, expected a stabilize.Probe or a "
                "diagnose.Monitor"
            )
        self.monitor = monitor
        self.stop_training = False  # callbacks set it to end after this epoch
        self._training_step, self._evaluation_step = record(self._train), record(self._evaluate)
        self._prediction_step = record(self._predict)

    # the three steps, recorded once per shape of the batch

    def _train(self, *batch):
        with contextlib.ExitStack() as blocks:
            if self.monitor is not None:
                blocks.enter_context(self.monitor)
            output, loss = self._forward(batch)
            self.optimizer.zero_grad()
            loss.backward(on_nonfinite="ignore" if any(node.answers_nonfinite for node in self.updates) else "raise")
            for update in self.updates:
                if update.acts == "around":
                    blocks.enter_context(update.around(loss))
                elif update.acts == "before":
                    update()
            if self.clip_norm is not None:
                clip_grad_norm_(self.model.parameters(), self.clip_norm)
            with contextlib.ExitStack() as closest:
                for update in self.updates:
                    if update.acts == "step":
                        closest.enter_context(update.around(loss))
                self.optimizer.step()
            for update in self.updates:
                if update.acts == "after":
                    update()
        return output, loss

    @no_grad()
    def _evaluate(self, *batch):
        return self._forward(batch)

    @no_grad()
    def _predict(self, *inputs):
        return self.model(*inputs)

    def _forward(self, batch):
        *inputs, target = batch
        output = self.model(*inputs)
        if isinstance(output, tuple):
            raise TypeError(
                f"Trainer: the model returned a tuple of {len(output)}, expected one tensor; "
                "a model with a state to carry on is for LanguageTrainer"
            )
        return output, self.loss(output, target)

    # what users call

    @property
    def training_step(self):
        """The recorded step; ``print(trainer.training_step)`` lists its nodes."""
        return self._training_step

    def fit(self, train, validation=None, epochs=10, callbacks=(), progress=True):
        """Train.

        Ctrl-C ends the run after the step that is under way: callbacks finish, and the finished epochs are returned.
        A second Ctrl-C raises KeyboardInterrupt.

        Parameters
        ----------
        train : DataLoader, or list of batches
            Gives ``(*inputs, target)`` and can be gone through once per epoch.
        validation : DataLoader, list of batches, Dataset, or tuple of arrays, optional
            Evaluated after every epoch.
        epochs : int
        callbacks : sequence of Callback
        progress : bool
            Show a progress bar, if there is a terminal to show it on.

        Returns
        -------
        History

        Raises
        ------
        NonFiniteError
            If the loss is not finite; names the node that made the first NaN or Inf.
        """
        if epochs < 1:
            raise ValueError(f"fit: epochs: got {epochs}, expected at least 1")
        if self.optimizer is None:
            raise ValueError("fit: got a Trainer without an optimizer, which can only evaluate and predict")
        if isinstance(train, (Dataset, tuple)) or not many_times(train):
            raise TypeError(f"fit: train: got {type(train).__name__}, expected a DataLoader or a list of batches")
        if validation is not None and not isinstance(validation, Dataset) and not many_times(validation):
            raise TypeError(
                f"fit: validation: got {type(validation).__name__}, expected a DataLoader, a list of batches, a "
                "Dataset or a tuple of arrays, to be gone through after every epoch"
            )
        self.train_batches, self.epochs, self.stop_training = train, epochs, False
        self.callbacks = [*callbacks, ProgressBar()] if progress else list(callbacks)
        history = History()
        with Interrupt() as interrupt, contextlib.ExitStack() as ends:
            for callback in self.callbacks:
                callback.trainer = self
                callback.on_train_begin()
                ends.callback(callback.on_train_end)  # runs whatever happens, so that files and bars are closed
            for epoch in range(1, epochs + 1):
                self._fit_epoch(epoch, validation, history, interrupt)
                if self.stop_training or interrupt.requested:
                    break
        if interrupt.requested:
            history.interrupted = True
            print(
                f"minidl: interrupted in epoch {epoch} of {epochs}, {len(history)} finished",
                file=sys.stderr,
            )
        return history

    def _fit_epoch(self, epoch, validation, history, interrupt):
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch)
        logs = self._run(self._training_step, self.train_batches, True, interrupt)
        if interrupt.requested:
            return
        logs["lr"] = float(self.optimizer.param_groups[0]["lr"])
        if validation is not None:
            found = self._run(self._evaluation_step, batches_of(validation), False, interrupt)
            if interrupt.requested:
                return
            logs.update((f"val_{name}", value) for name, value in found.items())
        history.append(epoch, logs)
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def evaluate(self, data):
        """Mean loss and metrics over some data.

        Parameters
        ----------
        data : DataLoader, list of batches, Dataset, or tuple of arrays
            ``(*inputs, target)``.

        Returns
        -------
        dict of str to float
        """
        return self._run(self._evaluation_step, batches_of(data), training=False)

    def predict(self, data):
        """The model's outputs.

        Parameters
        ----------
        data : DataLoader, list of batches, Dataset, tuple of arrays, or array
            A batch of several arrays is taken for ``(*inputs, target)``, one array for the input.

        Returns
        -------
        ndarray, shape (N, ...)
        """
        outputs = []
        with mode(self.model, False):
            for batch in batches_of(data):
                batch = batch if isinstance(batch, (tuple, list)) else (batch,)
                inputs = batch[:-1] if len(batch) > 1 else batch
                outputs.append(self._prediction_step(*inputs).numpy().copy())  # the next step overwrites it
        if not outputs:
            raise ValueError("predict: got no data")
        return np.concatenate(outputs)

    def _run(self, step, batches, training, interrupt=None):
        """One pass over `batches`; mean loss and metrics, as far as it got."""
        totals, count, logs = np.zeros(1 + len(self.metrics)), 0, {}
        with mode(self.model, training):
            for i, batch in enumerate(batches, 1):
                output, loss = step(*batch)
                output, target = output.array, as_plain_array(batch[-1])
                values = [loss.item(), *(metric(output, target) for metric in self.metrics.values())]
                totals += np.multiply(values, len(target))
                count += len(target)
                logs = dict(zip(("loss", *self.metrics), (totals / count).tolist(), strict=True))
                if training:
                    for callback in self.callbacks:
                        callback.on_train_batch_end(i, logs)
                if interrupt is not None and interrupt.requested:
                    break
        if not count:
            raise ValueError(f"{'fit' if training else 'evaluate'}: got no data: no batch with at least one row")
        return logs


@contextlib.contextmanager
def mode(model, training):
    """Train or eval mode inside; then every module is in the mode that it had."""
    before = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


def many_times(data):
    """Whether `data` can be iterated over again and again."""
    return hasattr(data, "__iter__") and not hasattr(data, "__next__")


def batches_of(data):
    """Batches of whatever may be evaluated; a Dataset or arrays are cut into large ones."""
    if isinstance(data, (Tensor, np.ndarray)):
        data = (data,)
    if isinstance(data, tuple):
        data = TensorDataset(*data)
    return DataLoader(data, EVALUATION_BATCH) if isinstance(data, Dataset) else data


def as_plain_array(value):
    """The array of a tensor, or of what was given instead."""
    return value.array if isinstance(value, Tensor) else np.asarray(value)
