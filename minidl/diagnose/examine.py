"""Examination of a model by a few batches, which leaves everything as it was."""

import itertools

import numpy as np

from minidl.diagnose.evidence import Evidence, layer_figures, parameter_figures, time_profile
from minidl.diagnose.inputs import cropped, input_figures
from minidl.diagnose.report import Report
from minidl.diagnose.rules import judge
from minidl.engine import Tensor, as_tensor, backward, detect_anomaly, enable_grad, outside_recordings, record
from minidl.nn import utils
from minidl.stabilize.probe import Probe
from minidl.train.kept import kept
from minidl.train.trainer import mode

FACTORS = (0.01, 0.1, 1.0, 30.0, 300.0)  # of the learning rate, in the trials
SHUFFLES = 6
COORDINATES = 20_000  # of the gradient, drawn at random
FLAT = 0.0127  # a gate below it, or as close to 1, has lost 19 in 20 parts of its slope
ENOUGH = 16  # batches, to tell whether the targets follow from the inputs


def examine(model, loss_fn, batch, optimizer=None, *, steps=0, clip_norm=None):
    """Look for what keeps a model from learning.

    Parameters, buffers, gradients, the optimizer's state, modes and random numbers are as before afterwards.

    Parameters
    ----------
    model : Module
    loss_fn : callable
        ``loss_fn(output, target)`` gives a scalar tensor.
    batch : tuple of arrays, or list of such tuples
        ``(*inputs, target)``: one batch or a few. With 16 or more, of different samples, the labels are judged, too.
    optimizer : Optimizer, optional
        With it, the size of the updates is judged.
    steps : int
        Length of a trial on these batches, with the optimizer's learning rates and with others, which shows whether
        they are too high or too low; 0 for none.
    clip_norm : float, optional
        The norm to which gradients are clipped in the training.

    Returns
    -------
    Report
        ``print(report)`` shows the verdicts; `report.verdicts` is empty for a healthy model.

    Raises
    ------
    ValueError
        If the model has no parameters, the optimizer none of them, there is no batch, or the loss is not a scalar.
        What the model itself raises on the batch passes through.

    Examples
    --------
    >>> report = diagnose.examine(model, F.cross_entropy, (x, y), optimizer)
    >>> print(report)
    healthy: nothing found
    """
    outside_recordings("examine")
    batches = as_batches(batch)
    if not list(model.parameters()):
        raise ValueError(f"examine: model: {type(model).__name__} has no parameters, so there is nothing to train")
    if optimizer is not None and not set(model.parameters()).intersection(optimizer.parameters):
        raise ValueError(
            f"examine: optimizer: {type(optimizer).__name__} trains none of the parameters of {type(model).__name__}: "
            "was it made for another model, or for this one before it was made anew?"
        )
    if steps and optimizer is None:
        raise ValueError(f"examine: steps: got {steps} without an optimizer, which a trial needs")
    found = Evidence(model=model, batches=batches, parameters=parameter_figures(model, optimizer))
    found.target = np.concatenate(cropped([as_tensor(b[-1]).array for b in batches]))
    size = len(batches[0][-1])
    found.inputs = [input_figures([b[i] for b in batches], size) for i in range(len(batches[0]) - 1)]
    found.lengths = lengths_among(batches, found.inputs, size)
    with kept(model, optimizer), mode(model, True), enable_grad():
        if all(p.finite for p in found.parameters):
            examine_batches(found, Examination(model, loss_fn, optimizer, clip_norm), batches, steps)
    return Report(judge(found), found, model, optimizer)


def as_batches(batch):
    """A list of batches, each a tuple; ValueError if there are none."""
    batches = [batch] if isinstance(batch, tuple) else list(batch)
    if not batches or not all(isinstance(b, (tuple, list)) and len(b) > 1 for b in batches):
        raise ValueError("examine: batch: expected a tuple (*inputs, target), or a list of such tuples")
    for i, (*_, target) in enumerate(batches):
        if not as_tensor(target).array.size:
            raise ValueError(f"examine: batch: batch {i} of {len(batches)} is empty: nothing is in its target")
    return [tuple(b) for b in batches]


def lengths_among(batches, inputs, size):
    """The lengths of sequences, if an input looks like them: whole numbers, one per sample, beside the sequences."""
    for i, figures in enumerate(inputs[1:], 1):
        if figures.integer and figures.shape == (size,):
            return np.concatenate([as_tensor(b[i]).array for b in batches])
    return None


class GateProbe(Probe):
    """A probe that looks at the gates of recurrent layers, too.

    Attributes
    ----------
    gates : dict
        For each layer and gate, the share of values that are nearly 0 or 1.
    """

    names = {"lstm": ("input", "forget", "cell", "output"), "gru": ("reset", "update")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gates: dict[str, dict[str, float]] = {}

    def saw_outputs(self, node, outputs):
        super().saw_outputs(node, outputs)
        for i, name in enumerate(self.names.get(node.name, ())):
            if name != "cell":
                H, T = outputs[0].shape[-1], node.kept_gates.shape[0]
                alive = slice(None) if node.lengths is None else np.arange(T)[:, None] < node.lengths.array
                values = node.kept_gates[..., i * H : (i + 1) * H][alive]
                share = float(np.mean((values < FLAT) | (values > 1 - FLAT)))
                self.gates.setdefault(node.path, {})[name] = share


class Examination:
    """The training step of an examination."""

    def __init__(self, model, loss_fn, optimizer, clip_norm):
        self.model, self.loss_fn, self.optimizer, self.clip_norm = model, loss_fn, optimizer, clip_norm
        self.parameters = [p for p in model.parameters() if p.requires_grad]

    def backward(self, *batch):
        """Forward and backward pass; output and loss."""
        *inputs, target = batch
        output = self.model(*inputs)
        loss = self.loss_fn(output, as_tensor(target))
        if not isinstance(loss, Tensor) or loss.array.size != 1:
            shape = loss.shape if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"examine: loss_fn: returned {shape}, expected a scalar tensor")
        self.model.zero_grad()
        if loss.requires_grad:
            backward(loss)
        return output, loss

    def step(self, *batch):
        """A whole training step; the loss."""
        _, loss = self.backward(*batch)
        self.update()
        return loss

    def update(self):
        """What follows the backward pass."""
        if self.clip_norm is not None:
            utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.optimizer.step()

    def gradient(self, *batch):
        """The gradients of one batch as one vector."""
        self.backward(*batch)
        return np.concatenate(
            [(p.grad.numpy() if p.has_grad() else np.zeros(p.shape, p.dtype)).ravel() for p in self.parameters]
        )


def examine_batches(found, examination, batches, steps):
    """Run the batches, and note what they show."""
    model, optimizer = examination.model, examination.optimizer
    probe = GateProbe(model, every=1, history=len(batches))
    try:
        for batch in batches:
            with kept(model, optimizer), probe:
                output, loss = examination.backward(*batch)
                found.output = output.array.copy() if isinstance(output, Tensor) else None
                found.losses = np.append(found.losses, loss.item())
                if optimizer is not None and examination.parameters:
                    examination.update()
            found.times = time_profile(model)
        if examination.parameters:
            found.labels = what_labels_tell(examination, batches)
    except FloatingPointError as error:
        found.failure = named(examination, batch, error)
    found.gates = probe.gates
    found.layers = [layer_figures(layer) for layer in probe.layers]
    found.parameters = parameter_figures(model, optimizer, probe)
    if steps and found.failure is None:
        for factor in FACTORS:
            found.trials[factor] = trial(examination, batches, steps, factor)


def named(examination, batch, error):
    """The same error again, with every call looked at, so that it names who made the first NaN or Inf."""
    try:
        with detect_anomaly():
            examination.backward(*batch)
    except FloatingPointError as better:
        return better
    return error


def what_labels_tell(examination, batches):
    """How much more the gradients of different batches have in common than with shuffled targets, in deviations.

    What all samples share, such as the pull of the outputs towards the mean target, is in the gradients for shuffled
    targets, too, and so subtracted. What is left comes from the pairs of input and target, and its agreement between
    batches is compared with that of other shuffles. None with fewer batches than `ENOUGH`: where the way from the input
    to the target is long, it takes so many to see it; or with batches of one, where there is nothing to shuffle. No
    sample may be in two of them.
    """
    if len(batches) < ENOUGH or all(len(batch[-1]) < 2 for batch in batches):
        return None
    rng = np.random.default_rng(0)
    size = sum(p.array.size for p in examination.parameters)
    chosen = rng.choice(size, min(size, COORDINATES), replace=False)
    gradients = np.zeros((1 + SHUFFLES, len(batches), len(chosen)))
    for b, (*inputs, target) in enumerate(batches):
        target = as_tensor(target).array
        for k in range(1 + SHUFFLES):
            shown = target[rng.permutation(len(target))] if k else target
            gradients[k, b] = examination.gradient(*inputs, shown)[chosen]
    shared = [agreement(gradients, k) for k in range(1 + SHUFFLES)]
    return float((shared[0] - np.mean(shared[1:])) / max(np.std(shared[1:], ddof=1), 1e-12))


def agreement(gradients, k):
    """The mean cosine between batches of one kind of gradients (kinds, batches, size), less what the shuffles share."""
    others = [other for other in range(1, len(gradients)) if other != k]
    own = gradients[k] - gradients[others].mean(0)
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-300)
    count = len(own)
    return ((own.sum(0) ** 2).sum() - (own**2).sum()) / (count * (count - 1))


def trial(examination, batches, steps, factor):
    """Losses of a training with `factor` times the optimizer's learning rates; it ends at a NaN or an Inf."""
    losses: list[float] = []
    with kept(examination.model, examination.optimizer):
        for group in examination.optimizer.param_groups:
            group["lr"] = group["lr"] * factor
        step = record(examination.step)
        for batch, _ in zip(itertools.cycle(batches), range(steps), strict=False):
            try:
                losses.append(step(*batch).item())
            except FloatingPointError:
                losses.append(np.inf)
                break
    return np.array(losses)
