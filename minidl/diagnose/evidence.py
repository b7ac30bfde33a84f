"""What a diagnosis is made from: figures of the layers, the weights, the data and the loss."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minidl.diagnose.inputs import InputFigures
from minidl.nn import GRU, LSTM, RNN

RECURRENT = (RNN, LSTM, GRU)


@dataclass
class LayerFigures:
    """One layer, as a probe saw it.

    Attributes
    ----------
    title, path, operation, role : str
        See `stabilize.probe.Layer`.
    units : int
        Of the output, per sample: features, or channels times pixels.
    saturates : (float, float)
        Bounds beyond which an output counts as saturated.
    weights : list of str
        Names of its parameters.
    output, signal : ndarray
        Rows of `stabilize.probe.SIGNAL`, one per measured step: its outputs, and the gradient of the loss by them.
    """

    title: str
    path: str
    operation: str
    role: str
    units: int
    saturates: tuple[float, float]
    weights: list[str]
    output: np.ndarray
    signal: np.ndarray


@dataclass
class ParameterFigures:
    """One parameter.

    Attributes
    ----------
    name : str
    shape : tuple of int
    trains : bool
        Whether it wants a gradient.
    lr : float or None
        Its learning rate; None without an optimizer, or if the optimizer does not have it.
    finite : bool
    std : float
        Of its elements.
    alike : float
        Share of its rows that are equal to the first.
    rows : ndarray or None
        Rows of `stabilize.probe.WEIGHT`, one per measured step; None if it was not measured.
    """

    name: str
    shape: tuple
    trains: bool
    lr: float | None
    finite: bool
    std: float
    alike: float
    rows: Any = None

    path = property(lambda self: self.name.rpartition(".")[0], doc="The layer that has it.")


@dataclass
class Evidence:
    """All that the rules may look at; what was not measured is empty or None.

    Attributes
    ----------
    model : Module or None
        As it was when it was examined, unless it has been trained since.
    batches : list of tuple
        On which it was examined.
    layers : list of LayerFigures
        In the order of the forward pass.
    parameters : list of ParameterFigures
    inputs : list of InputFigures
    target : ndarray
        The targets of all batches.
    output : ndarray or None
        The model's output for the first batch.
    lengths : ndarray or None
        Lengths of the sequences, where the model is given some.
    losses : ndarray
        Of the training so far, or of the trial.
    trials : dict of float to ndarray
        Losses of trials with the learning rate times a factor, the trial at 1 among them.
    labels : float or None
        How much more the gradients of different batches have in common than they would with shuffled targets, in
        deviations of the latter.
    gates : dict of str to dict of str to float
        Share of each gate's values that are nearly 0 or 1, by layer.
    times : dict of str to ndarray
        Norm of dE/dh_t for every time step, by layer and direction.
    failure : Exception or None
        What stopped the forward or the backward pass, if it was a NaN or an Inf.
    step : int
        Training steps that were seen.
    """

    model: Any = None
    batches: list[tuple] = field(default_factory=list)
    layers: list[LayerFigures] = field(default_factory=list)
    parameters: list[ParameterFigures] = field(default_factory=list)
    inputs: list[InputFigures] = field(default_factory=list)
    target: Any = None
    output: Any = None
    lengths: Any = None
    losses: np.ndarray = field(default_factory=lambda: np.zeros(0))
    trials: dict[float, np.ndarray] = field(default_factory=dict)
    labels: float | None = None
    gates: dict[str, dict[str, float]] = field(default_factory=dict)
    times: dict[str, np.ndarray] = field(default_factory=dict)
    failure: Any = None
    step: int = 0

    @property
    def steps(self):
        """The training steps that were measured."""
        return self.layers[0].output["step"] if self.layers else np.zeros(0)

    def at(self, i):
        """The same, as it was known at measurement `i`."""
        step = int(self.steps[i])

        def upto(rows):
            return rows[rows["step"] == step]

        def then(p):
            rows = upto(p.rows)
            whole = np.isfinite(rows["weight"]) | np.isnan(rows["nonfinite"])  # the latter where nothing was measured
            return replace(p, rows=rows, finite=p.finite or step < self.steps[-1] and bool(whole.all()))

        layers = [replace(layer, output=upto(layer.output), signal=upto(layer.signal)) for layer in self.layers]
        parameters = [p if p.rows is None else then(p) for p in self.parameters]
        first = self.step - len(self.losses)
        return replace(self, layers=layers, parameters=parameters, losses=self.losses[: step - first], step=step)

    def parameter(self, name):
        """The figures of one parameter."""
        return next(p for p in self.parameters if p.name == name)


def time_profile(model):
    """|dE/dh_t| of all recurrent layers, after a backward pass."""
    return {
        f"{path}.{suffix}": norms
        for path, module in model.named_modules()
        if isinstance(module, RECURRENT)
        for suffix, norms in module.gradient_norms().items()
    }


def layer_figures(layer):
    """What a probe's layer has measured."""
    return LayerFigures(
        layer.title, layer.path, layer.operation, layer.role, layer.units, layer.saturates, layer.weights,
        layer.activation(), layer.signal(),
    )  # fmt: skip


def parameter_figures(model, optimizer, probe=None):
    """Figures of all parameters of a model."""
    rates = {}
    if optimizer is not None:
        rates = {p: float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
    measured = {} if probe is None else dict(zip(probe.parameters, probe.weights.read().T, strict=True))
    return [
        ParameterFigures(
            name,
            p.shape,
            p.requires_grad,
            rates.get(p),
            bool(np.isfinite(p.array).all()),
            deviation(p.array),
            float((p.array == p.array[:1]).reshape(p.shape[0], -1).all(1).mean()) if p.ndim and p.array.size else 1.0,
            measured.get(p),
        )
        for name, p in model.named_parameters()
    ]


def deviation(array):
    """The standard deviation of all elements; 0 without any, NaN if one is not finite."""
    with np.errstate(invalid="ignore"):
        return float(array.std(dtype=np.float64)) if array.size else 0.0
