"""Probes: what activations, back-propagated signals, weights and updates look like, layer by layer, while training."""

from collections import Counter

import numpy as np

from minidl.engine import Caller, Gate, Observer, memory, state
from minidl.engine.checks import whole
from minidl.engine.listing import table
from minidl.kernels import probe as kernels
from minidl.kernels.elementwise import copy
from minidl.stabilize.update import expect_model, segments, sizes

SIGNAL = np.dtype(
    [
        (name, np.float64)
        for name in ("step", "mean", "rms", "low", "high", "zeros", "saturated", "nonfinite", "dead", "stuck")
    ]
)
WEIGHT = np.dtype([(name, np.float64) for name in ("step", "weight", "gradient", "largest", "nonfinite", "update")])

COLUMNS = ("layer", "output rms", "zeros", "saturated", "dead", "signal rms", "weight", "gradient", "update/weight")
LEGEND = "dead: units that are 0 for every sample; signal: the gradient of the output; then norms, of the first weight"


class Measurement(Caller):
    """A node that only reads."""

    def call(self, *args, **kwargs):
        phase, state.phase = state.phase, "probe"
        try:
            super().call(*args, **kwargs)
        finally:
            state.phase = phase


class Ring:
    """The rows of the last measurements, in memory that kernels write; one for each of `count` things."""

    def __init__(self, clock, dtype, count=1):
        self.rows = np.zeros((int(clock[3]), count), dtype)

    def read(self):
        """A copy, (steps, count), in order of the steps; NaN for what was not measured at one of them."""
        steps = self.rows["step"].max(1, initial=0)
        rows, steps = self.rows[steps > 0].copy(), steps[steps > 0]
        missing = rows["step"] != steps[:, None]
        for field in rows.dtype.names[1:]:
            rows[field][missing] = np.nan
        rows["step"] = steps[:, None]
        return rows[np.argsort(steps)]


class Layer(Measurement):
    """What a probe knows of one node: a product with weights, an activation, a normalisation or a recurrence.

    Attributes
    ----------
    title : str
        Path in the model, and the operation.
    role : str
        ``"weights"``, ``"activation"``, ``"normalization"`` or ``"recurrent"``; see `Node`.
    units : int
        Numbers that it makes of a sample.
    weights : list of str
        Names of the parameters that the node reads, or that a parametrization computes its weights from.
    """

    def __init__(self, clock, node, units, number):
        super().__init__()
        self.path, self.operation, self.number = node.path, node.name, number
        self.role, self.saturates, self.units = node.role, node.saturates, units
        self.weights = [x.name or "" for source in node.inputs for x in trained(source)]
        self.clock = clock
        self.outputs, self.signals = Ring(clock, SIGNAL), Ring(clock, SIGNAL)

    name = property(lambda self: f"probe {self.operation}")
    named_by = ("path", "operation", "number")

    @property
    def title(self):
        again = f" ({self.number + 1})" if self.number else ""
        return f"{self.path}: {self.operation}{again}" if self.path else f"{self.operation}{again}"

    def measure(self, ring, array, axis, bounds=(-np.inf, np.inf)):
        """Describe an array, whose units lie along `axis`, in the next row of `ring`."""
        if not array.size:
            return
        U, inner = array.shape[axis], 1 if axis == -1 else int(np.prod(array.shape[axis + 1 :]))
        extremes = [memory.empty(U, array.dtype), memory.empty(U, array.dtype)]
        sizes = [array.size // (U * inner), U, inner]
        scratch = [*extremes, ring.rows, self.clock]
        self.call(kernels.describe, [], [array], sizes, bounds, dtype=array.dtype, scratch=scratch)

    def activation(self):
        """Measured outputs: an array with the fields of `SIGNAL`, one row per measured step."""
        return self.outputs.read()[:, 0]

    def signal(self):
        """Measured gradients of the loss by the outputs, in the same form."""
        return self.signals.read()[:, 0]


class Probe(Observer):
    """Measures a model while it trains: ``with probe:`` around forward pass, backward pass and update.

    Per layer: mean, root mean square and range of the outputs and of the gradient that comes back to them, shares of
    zeros and of saturated values, of units that are zero or saturated for every sample, and the number of NaN and Inf.
    Per parameter: norms of weight, gradient (as `backward` left it) and update, the largest gradient.

    It is part of the recorded step, measures at the first and then at every `every`-th, and costs next to nothing in
    between. Outside of a recorded step it works in the same way.

    Parameters
    ----------
    model : Module
    every : int
        Steps from one measurement to the next. With `GradientAccumulation`, choose one that has no common divisor with
        its steps, or no measurement meets a step in which the weights change.
    history : int
        Measurements that are kept, and the losses of ``every * history`` steps.

    Attributes
    ----------
    layers : list of Layer
        In the order of the forward pass.

    Examples
    --------
    >>> probe = stabilize.Probe(model, every=10)
    >>> @dl.record
    ... def train_step(x, y):
    ...     optimizer.zero_grad()
    ...     with probe:
    ...         loss = F.cross_entropy(model(x), y)
    ...         loss.backward()
    ...         optimizer.step()
    ...     return loss
    >>> print(probe)
    """

    def __init__(self, model, every=10, history=256):
        whole("Probe", "every", every)
        whole("Probe", "history", history)
        self.model = expect_model("Probe", model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.clock = np.array([0.0, 0, every, history])
        self.due, self.caller = Gate(), Measurement()
        self.known: dict[tuple, Layer] = {}
        self.weights = Ring(self.clock, WEIGHT, len(self.parameters))
        self.losses = np.zeros(every * history)
        self.before = [memory.zeros(0, p.dtype) for p in self.parameters]
        self.forget()

    layers = property(lambda self: list(self.known.values()))
    step = property(lambda self: int(self.clock[0]), doc="Training steps seen so far.")

    def parameter(self, name):
        """What was measured of a parameter: an array with the fields of `WEIGHT`, one row per measured step."""
        names = [p.name for p in self.parameters]
        if name not in names:
            raise KeyError(
                f"Probe: parameter {name!r} is not watched; those that train are {', '.join(map(str, names))}"
            )
        return self.weights.read()[:, names.index(name)]

    # a pass

    def forget(self):
        """Let go of the nodes of a pass."""
        self.passes: Counter[tuple] = Counter()
        self.running: dict = {}

    def __enter__(self):
        super().__enter__()
        self.forget()
        self.caller.call(kernels.tick, [], [], dtype=np.dtype(np.float64), scratch=[self.clock, self.due.open])
        with self.due:
            for i, p in enumerate(self.parameters):
                if self.before[i].shape != p.shape or self.before[i].dtype != p.dtype:  # the first time, or converted
                    self.before[i] = memory.zeros(p.shape, p.dtype)
                self.caller.call(copy, [self.before[i]], [p], [self.before[i].size])
        return self

    def __exit__(self, *error):
        super().__exit__(*error)
        self.forget()
        if error[0] is None:
            self.measure_weights(kernels.updates, self.before, 1)

    def saw_root(self, root):
        if root.array.size == 1:
            scratch = [self.losses, self.clock]
            self.caller.call(kernels.log, [], [root], [self.losses.size], dtype=root.dtype, scratch=scratch)

    def loss(self):
        """The value from which `backward` began, of the last steps: every one, not only those that were measured."""
        newest, size = self.step % self.losses.size, min(self.step, self.losses.size)
        return np.roll(self.losses, -newest)[self.losses.size - size :]

    def saw_outputs(self, node, outputs):
        if node.role is None or not node.tracked:
            return
        name = (node.path, node.name)
        key = (*name, self.passes[name])
        self.passes[name] += 1
        y = outputs[0]
        axis = self.unit_axis(node, y)
        if key not in self.known:
            self.known[key] = Layer(self.clock, node, int(np.prod(y.shape[axis:])), key[-1])
        layer = self.known[key]
        self.running[node] = layer, axis
        with self.due:
            layer.measure(layer.outputs, y.array, axis, node.saturates)

    def unit_axis(self, node, y):
        """Which dimension of `y` counts units: behind a convolution it is that of the channels."""
        if node.role != "activation":
            return node.unit_axis
        before = self.running.get(node.inputs[0].node)
        return before[1] if before else 1 if y.ndim > 3 else -1

    def saw_gradients(self, node, gradients):
        if node in self.running:
            layer, axis = self.running.pop(node)
            read = (i for i, (_, _, edge) in enumerate(node.outputs) if edge() is not None)
            with self.due:  # of a recurrence perhaps only the last state is read, and the rest has a gradient of 0
                layer.measure(layer.signals, gradients[next(read, 0)], axis)

    def saw_leaves(self, leaves):
        self.measure_weights(kernels.gradients, None, 4)

    def measure_weights(self, kernel, others, columns):
        """Sums over weights and, beside each, its gradient or what is in `others`."""
        groups: dict = {}
        for i, parameter in enumerate(self.parameters):
            if parameter.has_grad():
                groups.setdefault(parameter.dtype, []).append(i)
        for dtype, members in groups.items():
            xs: list = []
            ys: list = []
            owners: list = []
            for i in members:
                parameter = self.parameters[i]
                xs += segments([parameter.array], [(0, 0)])
                ys += segments([parameter.buffer if others is None else others[i]], [(0, 0)])
                owners += [i] * (len(xs) - len(owners))
            found = memory.empty((len(xs), columns), np.float64)
            extents = [*sizes(xs), *owners, len(self.parameters)]
            with self.due:
                scratch = [found, self.weights.rows, self.clock]
                self.caller.call(kernel, [], [*xs, *ys], extents, dtype=dtype, scratch=scratch)

    def __str__(self):
        measured = self.weights.read()
        weights = {p.name: row for p, row in zip(self.parameters, last(measured), strict=True)}
        lines = [COLUMNS]
        for layer in self.layers:
            y, dy, w = last(layer.activation()), last(layer.signal()), weights.get(next(iter(layer.weights), None))
            row = [layer.title, number(y["rms"], y)]
            row += [f"{y['zeros']:.1%}", f"{y['saturated']:.1%}" if np.isfinite(layer.saturates).any() else ""]
            row += [f"{y['dead']:.1%}", number(dy["rms"], dy)]
            if w is None:
                row += ["", "", ""]
            else:
                share = w["update"] / max(w["weight"], 1e-300)
                row += [f"{w['weight']:.3g}", number(w["gradient"], w), number(share, w)]
            lines.append(tuple(row))
        if not len(measured):
            return "Probe: nothing measured yet"
        title = f"Probe: measured at step {measured['step'][-1, 0]:.0f} of {self.step}"
        return f"{title}\n{table(lines, range(1, len(COLUMNS)))}\n{LEGEND}"


def trained(x):
    """The parameters behind an input of a layer: itself, or what a parametrization computes it from."""
    if x.is_leaf:
        return [x] if x.requires_grad else []
    inputs = x.node.inputs if ".parametrizations." in f".{x.node.path}" else []
    return [parameter for source in inputs for parameter in trained(source)]


def last(rows):
    """The latest row; NaN everywhere if there is none."""
    if len(rows):
        return rows[-1]
    empty = np.zeros(rows.shape[1:], rows.dtype)
    for field in rows.dtype.names:
        empty[field] = np.nan
    return empty


def number(value, row):
    """As text; empty if nothing was measured, which is not the same as a NaN that was."""
    return "" if np.isnan(row["nonfinite"]) else f"{value:.3g}"
