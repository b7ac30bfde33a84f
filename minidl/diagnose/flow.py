"""What the figures of a report show: how gradients flow over layers, over training steps and over time."""

from dataclasses import dataclass, field

import numpy as np

from minidl.diagnose.rules.depth import EXPLODED, VANISHED, norms
from minidl.diagnose.rules.time import GROWN, SHRINKS

MISSING = -1.0  # where nothing was measured


@dataclass
class Row:
    """One layer.

    Attributes
    ----------
    title, path : str
    signal : ndarray, shape (steps,)
        Norm per sample of the gradient of the loss by the layer's outputs, at each measurement.
    gradient : ndarray, shape (steps,)
        Norm of the gradient of all its parameters. Both are `MISSING` where there is none.
    diseases : list of str
        Those whose verdict names the layer.
    """

    title: str
    path: str
    signal: np.ndarray
    gradient: np.ndarray
    diseases: list[str]


@dataclass
class Flow:
    """All layers with weights, in the order of the forward pass; a recurrence and its product of inputs are one.

    Attributes
    ----------
    rows : list of Row
    steps : ndarray
        The measured training steps, or batches.
    unit : str
        ``"step"`` or ``"batch"``.
    times : dict of str to ndarray
        Norm of dE/dh_t for every time step, by recurrent layer and direction.
    begins : dict of str to (int, str)
        The time step at which a disease begins, and its name, for some of `times`.
    """

    rows: list[Row]
    steps: np.ndarray
    unit: str
    times: dict[str, np.ndarray]
    begins: dict[str, tuple[int, str]] = field(default_factory=dict)

    def table(self, quantity):
        """``"signal"`` or ``"gradient"`` as an array (layers, steps)."""
        return np.array([getattr(row, quantity) for row in self.rows]).reshape(len(self.rows), len(self.steps))

    def now(self, quantity):
        """The same per layer: at the last step, or the mean over the batches."""
        table = self.table(quantity)
        if not table.size:
            return np.full(len(self.rows), MISSING)
        return table[:, -1] if self.unit == "step" else np.array([mean(values) for values in table])

    @property
    def bounds(self):
        """Signals below and above which the first layer's counts as vanished and as exploded; None without any."""
        signals = self.now("signal")
        last = signals[-1] if len(signals) else 0.0
        return (last * VANISHED, last * EXPLODED) if np.isfinite(last) and last > 0 else None

    @property
    def when(self):
        """What `now` is, in words."""
        if self.unit == "step":
            return f"step {int(self.steps[-1])}" if len(self.steps) else "before the first step"
        return "one batch" if len(self.steps) == 1 else f"mean of {len(self.steps)} batches"


def flow_of(report):
    """The gradient flow that a report has evidence of."""
    found = report.evidence
    recurrent = {layer.path for layer in found.layers if layer.role == "recurrent"}
    gradients = {p.name: p.rows for p in found.parameters if p.rows is not None}
    rows: list[Row] = []
    weights: list[str] = []  # of products that a recurrence has yet to follow
    for layer in found.layers:
        weights = weights + layer.weights
        if layer.role == "activation" or layer.role == "weights" and layer.path in recurrent:
            continue
        known = [gradients[name] for name in weights if name in gradients]
        gradient = together([at(found.steps, measured, measured["gradient"]) for measured in known], len(found.steps))
        diseases = [v.disease for v in report.verdicts if layer.path in v.layers]
        rows.append(Row(layer.title, layer.path, at(found.steps, layer.signal, norms(layer)), gradient, diseases))
        weights = []
    begins = {
        name: (verdict.time, verdict.disease)
        for verdict in report.verdicts
        for name, values in found.times.items()
        if verdict.time is not None and verdict.time < len(values) and name.rpartition(".")[0] in verdict.layers
    }
    return Flow(rows, found.steps, "step" if found.step else "batch", found.times, begins)


def at(steps, rows, values):
    """The `values` of measured `rows` at the given steps."""
    values = np.where(np.isnan(rows["nonfinite"]), MISSING, values)  # a NaN that was measured has been counted
    known = dict(zip(rows["step"].tolist(), values.tolist(), strict=True))
    return np.array([known.get(step, MISSING) for step in steps.tolist()])


def together(norms, steps):
    """The norm of several arrays as one, at every step, from their own."""
    table = np.array(norms).reshape(-1, steps)
    measured = ~(table < 0)
    return np.where(measured.any(0), np.sqrt(np.sum(np.where(measured, table, 0) ** 2, 0)), MISSING)


def bounds_of(norms):
    """Lines (text, time steps, norms) back from the last step, beyond which |dE/dh_t| vanishes or explodes."""
    if not norms.any() or not np.isfinite(norms).all():
        return []
    begin = int(np.flatnonzero(norms)[-1])
    steps = np.arange(begin + 1)
    vanishing = norms[begin] * np.exp((begin - steps) * np.log(SHRINKS))
    exploding = np.full(begin + 1, norms[begin] * GROWN)
    return [(f"vanishing: {SHRINKS:g} per step", steps, vanishing), (f"exploding: {GROWN:g} times", steps, exploding)]


def mean(values):
    """The geometric mean of those above 0; NaN and Inf pass through."""
    some = values[~(values <= 0)]
    with np.errstate(invalid="ignore"):
        return float(np.exp(np.mean(np.log(some)))) if len(some) else float(values.max())


def thinned(values, most):
    """Not more than `most` values: means of neighbours."""
    if len(values) <= most:
        return np.asarray(values, np.float64)
    return np.array([mean(part) for part in np.array_split(np.asarray(values, np.float64), most)])


def decades(*arrays, least=4):
    """Powers of ten around all that is finite and above 0, at least so many of them; (-4, 0) if nothing is."""
    values = np.concatenate([np.ravel(a) for a in arrays])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return -least, 0
    low, high = int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max())))
    return min(low, high - least), high


def number(value):
    """A value in at most 7 characters."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Inf"
    return "-" if value < 0 else "0" if value == 0 else f"{value:.1e}"
