"""Dynamic loss scale: gradients that would underflow are computed larger than they are."""

import numpy as np

from minidl.engine import Gate, Node, Statistics, as_tensor, memory, outside_recordings, state
from minidl.engine.checks import above_one, between, positive, whole
from minidl.kernels import guard as kernels
from minidl.kernels.elementwise import fill
from minidl.stabilize.update import Setting, Update, gradient_segments, sizes, with_gradient


class Scale(Node):
    """y = factor * x;  dx = factor * dy."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        y = self.new(x.shape)
        self.call(kernels.scale, [y], [x, self.factor], [x.array.size])
        return y

    def backward(self, dy):
        self.call(kernels.scale, [self.grad()], [dy, self.factor], [dy.size])


class GradScaler(Update):
    """Multiplies the loss by a scale and divides the gradients by it; a step with NaN or Inf is left out.

    After such a step the scale is multiplied by `backoff_factor`, after `growth_interval` good ones in a row by
    `growth_factor`.

    Parameters
    ----------
    init_scale : float
    growth_factor : float
        > 1. May be changed between steps, as the next two may.
    backoff_factor : float
        0 < backoff_factor < 1.
    growth_interval : int

    Attributes
    ----------
    statistics : Statistics
        How often a step was left out, and the scale before and after.

    Notes
    -----
    `backward` refuses a loss that is itself NaN or Inf; a scale for which the scaled loss overflows needs
    ``backward(on_nonfinite="ignore")``. A clip between `unscale_` and `step` needs ``on_nonfinite="skip"``.

    Examples
    --------
    >>> scaler = stabilize.GradScaler()
    >>> scaler.scale(loss).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()

    References
    ----------
    Micikevicius et al., "Mixed precision training", 2018.
    """

    name = "GradScaler"
    acts = None
    growth_factor = Setting(0, above_one)
    backoff_factor = Setting(1, between)
    growth_interval = Setting(2, whole)

    def __init__(self, init_scale=2.0**16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000):
        super().__init__()
        self.cells, self.state = np.zeros(3), np.zeros(2)
        self.growth_factor, self.backoff_factor = growth_factor, backoff_factor
        self.growth_interval = growth_interval
        self.state[0] = positive(self.name, "init_scale", init_scale)
        self.gates = {}  # optimizer -> its gate, which `unscale_` closes
        self.unscaled, self.stepped = set(), set()  # optimizers, since the last update
        self.statistics = Statistics("left out", "scale")

    def scale(self, outputs):
        """`outputs`, usually the loss, times the scale."""
        return Scale(self.state).apply(as_tensor(outputs))

    def unscale_(self, optimizer):
        """Divide the gradients by the scale and look for NaN and Inf; at most once per step, before `step`.

        Raises
        ------
        RuntimeError
            If it has been done since the last `update`.
        """
        for done, what in ((self.stepped, "step"), (self.unscaled, "unscale_")):
            if optimizer in done:
                raise RuntimeError(f"{self.name}: unscale_: {what} has run for this optimizer since the last update()")
        gate = self.gates.setdefault(optimizer, Gate())
        self.call(fill, [gate.open], [], [1], [1.0])
        for members in with_gradient(optimizer.parameters).values():
            pieces = gradient_segments(members)
            spoiled = memory.empty(len(pieces), np.float64)
            self.call(
                kernels.unscale, [gate.open, spoiled, *pieces], [self.state], sizes(pieces), dtype=members[0].dtype
            )
            if state.recording is not None:
                state.recording.checked.difference_update(members)
        self.unscaled.add(optimizer)

    def step(self, optimizer):
        """Let the optimizer make its step, unless a gradient held a NaN or an Inf; unscales first if need be.

        Raises
        ------
        RuntimeError
            If it has been done since the last `update`.
        """
        if optimizer in self.stepped:
            raise RuntimeError(f"{self.name}: step: has run for this optimizer since the last update()")
        fresh = optimizer not in self.unscaled
        if fresh:
            self.unscale_(optimizer)
        with self.gates[optimizer]:
            if fresh and state.recording is not None:  # where the block runs, all are finite
                state.recording.checked.update(optimizer.parameters)
            optimizer.step()
        self.stepped.add(optimizer)

    def update(self):
        """Adapt the scale, at the end of the step.

        Raises
        ------
        RuntimeError
            If no gradients have ever been unscaled.
        """
        if not self.gates:
            raise RuntimeError(f"{self.name}: update: no gradients have been unscaled; call step(optimizer) before")
        gates = [gate.open for gate in self.gates.values()]
        self.call(kernels.rescale, [self.state, *gates, self.statistics.cells], [], [len(gates)], self.cells)
        self.unscaled.clear()
        self.stepped.clear()

    def get_scale(self):
        """The scale now."""
        return float(self.state[0])

    def state_dict(self):
        """Scale and settings, by PyTorch's names."""
        return {
            "scale": self.get_scale(),
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": int(self.growth_interval),
            "_growth_tracker": int(self.state[1]),
        }

    def load_state_dict(self, state_dict):
        """Go on where `state_dict`, or that of PyTorch's scaler, was taken; recorded steps stay valid."""
        outside_recordings(f"{self.name}: load_state_dict")
        missing = [name for name in self.state_dict() if name not in state_dict]
        if missing:
            raise ValueError(f"{self.name}: load_state_dict: {missing[0]}: got none, expected a number")
        fresh = GradScaler(
            state_dict["scale"],
            state_dict["growth_factor"],
            state_dict["backoff_factor"],
            state_dict["growth_interval"],
        )
        self.cells[:] = fresh.cells
        self.state[:] = fresh.get_scale(), state_dict["_growth_tracker"]
