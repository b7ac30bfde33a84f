"""A guard against spikes: what to do with a step whose loss, gradient or update is far out of line."""

from typing import NamedTuple

import numpy as np

from minidl.engine import Gate, Statistics, as_tensor, memory, state
from minidl.engine.checks import between, fraction, positive, whole
from minidl.kernels import guard as kernels
from minidl.stabilize.snapshot import Snapshots
from minidl.stabilize.update import Setting, Update, expect_optimizer, separate, sizes, with_gradient

WATCHES = ("loss", "gradient", "update")
DONE = {"skip": "skipped", "lower": "answered by a lower rate", "rollback": "rolled back", "raise": "raised"}
UINT8 = np.dtype(np.uint8)


class SpikeError(RuntimeError):
    """A value was far out of line, and the policy is to end the training there."""


class Spike(NamedTuple):
    """A value that was out of line; `step` counts the guard's calls, from 0; mean and deviation are those before it."""

    step: int
    value: float
    mean: float
    deviation: float

    def __str__(self):
        before = f"a mean of {self.mean:.4g} and a deviation of {self.deviation:.3g}"
        return f"step {self.step}: {self.value:.4g} after {before}"


class SpikeStatistics(Statistics):
    """The spikes that a guard has seen; "before" is the value, "after" the running mean.

    Attributes
    ----------
    log : ndarray of float64
        Numbers of the last spikes, written in a ring.
    """

    def __init__(self, verb, quantity):
        super().__init__(verb, quantity)
        self.log = np.zeros((kernels.LOG, len(Spike._fields)))

    @property
    def spikes(self):
        """The last spikes, up to 16, oldest first: a list of `Spike`."""
        first = max(0, self.acted - kernels.LOG)
        rows = (self.log[i % kernels.LOG].tolist() for i in range(first, self.acted))
        return [Spike(int(step), *rest) for step, *rest in rows]

    def __str__(self):
        if not self.acted:
            return f"{self.calls:,} calls, no spikes"
        spikes = "spike" if self.acted == 1 else "spikes"
        return f"{self.calls:,} calls, {self.acted:,} {spikes} {self.verb}, last at {self.spikes[-1]}"


class SpikeGuard(Gate, Update):
    """A block for the optimizer's step: a value above mean + threshold * deviation, or NaN or Inf, is a spike.

    Mean and deviation are running ones, of the values that were no spikes. The first `warmup` values only teach. No
    deviation is taken for smaller than 1 % of the mean, so that a plateau does not make a spike of any small change.

    Parameters
    ----------
    optimizer : Optimizer
        Whose step is in the block; not L-BFGS where weights are put back.
    watch : {"loss", "gradient", "update"}
        What is looked at: the number that the guard is called with, before the block; the norm of all gradients, before
        the block; the norm of the change of the weights, after it.
    on_spike : {"skip", "lower", "rollback", "raise"}
        Leave the step out; besides, multiply all learning rates by `factor`; go back to the oldest snapshot; or raise
        `SpikeError`. With "update" the step is undone in all cases.
    threshold : float
        > 0. May be changed between steps, as alpha, warmup and patience may.
    alpha : float
        0 <= alpha < 1: share of the past in the running mean.
    warmup : int
        >= 1.
    factor : float, optional
        Of the learning rates, in (0, 1); by default 0.5 for "lower", and none for "rollback".
    patience : int
        After so many spikes in a row a finite value is taken for a new level: the step runs, and the running mean
        begins anew. A value that is NaN or Inf is never: that raises `SpikeError`, whatever the policy.
    snapshots : int
        Size of the ring of copies for "rollback": weights, the optimizer's state and clocks.
    every : int
        Good steps between two snapshots; the first is taken after the first good step. A spike before that is left out.

    Attributes
    ----------
    statistics : SpikeStatistics
        How many spikes there were, and the last of them.

    Notes
    -----
    `backward` refuses a loss that is NaN or Inf before the guard sees it: ``loss.backward(on_nonfinite="ignore")``
    leaves it to the guard. What else the block holds is left out, too: clips, averages of weights. Clips in front of
    the block, and `nn.ClipGrad` in the model, would raise at the NaN before the guard has judged it: clips belong into
    the block, a `ClipGrad` needs ``on_nonfinite="skip"``. Watching the update costs two passes over weights and state,
    and the optimizer looks at the gradients first, in its own way (`on_nonfinite`); only weights and state are put back
    then, so averages of weights belong behind the block. Running statistics of layers are never put back: they belong
    to the model, and a bad batch has been in those of a batch norm.

    Examples
    --------
    >>> guard = stabilize.SpikeGuard(optimizer, on_spike="rollback")
    >>> loss.backward()
    >>> with guard(loss):
    ...     optimizer.step()

    References
    ----------
    Chowdhery et al., "PaLM: scaling language modeling with pathways", 2022, section 5.1: to go back and leave out.
    """

    name = "SpikeGuard"
    choices = ("watch", "on_spike")
    threshold = Setting(0, positive)
    alpha = Setting(1, fraction)
    warmup = Setting(2, whole)
    patience = Setting(4, whole)

    def __init__(
        self,
        optimizer,
        watch="loss",
        on_spike="skip",
        threshold=6.0,
        alpha=0.97,
        warmup=100,
        factor=None,
        patience=5,
        snapshots=2,
        every=100,
    ):
        super().__init__()
        if watch not in WATCHES:
            raise ValueError(f"{self.name}: watch: got {watch!r}, expected one of {', '.join(map(repr, WATCHES))}")
        if on_spike not in kernels.ACTIONS:
            names = ", ".join(map(repr, kernels.ACTIONS))
            raise ValueError(f"{self.name}: on_spike: got {on_spike!r}, expected one of {names}")
        expect_optimizer(self.name, optimizer)
        if (watch == "update" or on_spike == "rollback") and not hasattr(optimizer, "kernel"):
            raise TypeError(f"{self.name}: got {type(optimizer).__name__}, whose steps cannot be taken back")
        if factor is not None and on_spike not in ("lower", "rollback"):
            raise ValueError(f"{self.name}: factor: got {factor}, expected none for on_spike={on_spike!r}")
        self.optimizer, self.watch, self.on_spike = optimizer, watch, on_spike
        self.cells, self.state, self.value = np.zeros(6), np.zeros(6), None
        self.threshold, self.alpha, self.warmup, self.patience = threshold, alpha, warmup, patience
        default = 0.5 if on_spike == "lower" else 1.0
        self.cells[3] = default if factor is None else between(self.name, "factor", factor)
        self.cells[5] = kernels.ACTIONS[on_spike]
        self.ring = np.zeros(3)
        spacing = whole(self.name, "snapshots", snapshots), whole(self.name, "every", every)
        self.spacing = np.array(spacing, np.float64)
        self.aside = Snapshots(optimizer, 1) if watch == "update" else None
        self.past = Snapshots(optimizer, int(snapshots)) if on_spike == "rollback" else None
        self.statistics = SpikeStatistics(DONE[on_spike], "loss" if watch == "loss" else f"norm of the {watch}")

    acts = property(lambda self: "step" if self.watch == "update" else "around", doc="See `Update`.")
    answers_nonfinite = property(lambda self: self.watch != "update", doc="Whether it sees a NaN before the optimizer.")
    parameters = property(lambda self: self.optimizer.parameters, doc="Those of the optimizer.")
    factor = property(lambda self: float(self.cells[3]), doc="Of the learning rates; 1 leaves them as they are.")
    mean = property(lambda self: float(self.state[0]), doc="Running mean of the values that were no spikes.")
    deviation = property(lambda self: float(self.state[1]) ** 0.5, doc="Their running standard deviation.")

    def __call__(self, value=None):
        """The guard itself, about to look at `value`, a tensor with one element; for watch="loss" only."""
        if (value is not None) != (self.watch == "loss"):
            got, wanted = ("no", "guard(loss)") if value is None else ("a", "guard()")
            raise ValueError(f"{self.name}: watch={self.watch!r}: got {got} value, expected `with {wanted}:`")
        if value is not None:
            value = as_tensor(value)
            if value.array.size != 1 or value.dtype.kind != "f":
                raise ValueError(
                    f"{self.name}: value: got shape {value.shape} of {value.dtype}, expected one floating-point number"
                )
            self.value = value.array
        return self

    def around(self, loss):
        return self(loss) if self.watch == "loss" else self

    def __enter__(self):
        if self.watch == "loss" and self.value is None:
            raise ValueError(f"{self.name}: watch='loss': got no value, expected `with guard(loss):`")
        if self.past is not None and self.past.follow():
            self.ring[:] = 0
        if self.aside is not None:
            self.aside.follow()
            self.copies(kernels.put_aside, self.aside, [])
        elif self.watch == "gradient":
            groups = with_gradient(self.parameters)
            pieces = {dtype: [separate([p.buffer for p in group])] for dtype, group in groups.items()}
            self.judge_norm(kernels.squares, pieces)
        else:
            self.judge(self.value, -1)
            self.value = None
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        if error[0] is not None:
            return
        if self.aside is not None:
            self.judge_norm(kernels.distances, self.aside.pairs())
            self.copies(kernels.put_back, self.aside, [self.state])
        if self.past is not None:
            self.copies(kernels.keep, self.past, [self.ring, self.state], self.spacing)
        self.call(kernels.report, [self.state], [], [], self.cells)

    def judge_norm(self, kernel, groups):
        """Judge the norm over all segments, which are given by dtype: lists of those that `kernel` reads."""
        sums = memory.empty(sum(len(kinds[0]) for kinds in groups.values()), np.float64)
        start = 0
        for dtype, kinds in groups.items():
            end = start + len(kinds[0])
            inputs = [piece for pieces in kinds for piece in pieces]
            self.call(kernel, [sums[start:end]], inputs, sizes(kinds[0]), dtype=dtype)
            start = end
        self.judge(sums, len(sums))

    def judge(self, value, count):
        """Decide whether it is a spike, and what is to be done; opens the gate, or closes it."""
        self.optimizer.rely()
        settings = [group.cells for group in self.optimizer.param_groups]
        gate = np.ones(1) if self.watch == "update" else self.open  # whose block has run already
        outputs = [gate, self.state, self.statistics.log, self.statistics.cells, *settings]
        self.call(kernels.judge, outputs, [value], [count, len(settings)], self.cells, dtype=value.dtype)

    def copies(self, kernel, snapshots, more, scalars=()):
        """Make a call that copies to or from `snapshots`."""
        self.call(kernel, [*snapshots.live, snapshots.store, *more], [], snapshots.sizes, scalars, dtype=UINT8)

    def resolve(self, call, status, recording):
        if call.kernel is not kernels.report:
            super().resolve(call, status, recording)
        if self.state[4] == kernels.ACTIONS["raise"]:
            raise self.error(call, status, recording)
        if state.recording is None or state.recording.witness is None:  # what `verify` runs is put back
            for group in self.optimizer.param_groups:
                group.read_lr()

    def error(self, call, status, recording):
        if call.kernel is not kernels.report:
            return super().error(call, status, recording)
        row = int(self.state[3])
        again = f", spike {row} in a row" if row > 1 else ""
        return SpikeError(f"{self.title}: the {self.statistics.quantity} at {self.statistics.spikes[-1]}{again}")
