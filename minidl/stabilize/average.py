"""Averages of the weights over the steps of a training."""

import contextlib

import numpy as np

from minidl.engine import memory, outside_recordings, state
from minidl.engine.checks import fraction
from minidl.kernels import guard as kernels
from minidl.kernels.elementwise import copy
from minidl.stabilize.update import Setting, Update, expect_model, parameter_list, runs, segments, sizes


def decay_or_none(function, argument, value):
    """The decay as the kernel reads it: -1 stands for equal shares."""
    return -1.0 if value is None else fraction(function, argument, value)


class WeightAverage(Update):
    """avg = decay * avg + (1 - decay) * x, or with decay None the equal mean of all x so far; the first x is copied.

    Called after the optimizer's step.

    Parameters
    ----------
    model : Module
    decay : float, optional
        0 <= decay < 1, or None. May be changed between steps.
    warmup : bool
        Take min(decay, (1 + t) / (10 + t)) at the t-th call, counted from 0, so that the beginning is soon forgotten.
    use_buffers : bool
        Average floating-point buffers, such as running means, as well; by default they are copied. Integers always are.

    Attributes
    ----------
    n_averaged : int
        Number of calls so far.

    Examples
    --------
    >>> average = stabilize.WeightAverage(model, decay=0.999)
    >>> optimizer.step()
    >>> average()
    >>> with average.applied():
    ...     trainer.evaluate(test)

    References
    ----------
    Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
    """

    name = "WeightAverage"
    acts = "after"
    decay = Setting(0, decay_or_none)

    def __init__(self, model, decay=0.999, warmup=False, use_buffers=False):
        super().__init__()
        self.cells, self.state = np.zeros(2), np.zeros(2)
        self.decay, self.cells[1] = decay, bool(warmup)
        self.parameters = parameter_list(self.name, expect_model(self.name, model).parameters())
        self.tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        kinds = {name: self.kind(tensor, use_buffers) for name, tensor in self.tensors.items()}
        self.averaged = [name for name, kind in kinds.items() if kind]
        self.copied = [name for name, kind in kinds.items() if not kind]
        arena = memory.Arena()
        self.averages = {name: arena.zeros(tensor.shape, tensor.dtype) for name, tensor in self.tensors.items()}
        for name, tensor in self.tensors.items():
            self.averages[name][...] = tensor.array
        self.inside = False

    n_averaged = property(lambda self: int(self.state[0]), doc="Number of calls so far.")

    def kind(self, tensor, use_buffers):
        """Whether a tensor is averaged, or copied."""
        return tensor.dtype.kind == "f" and (use_buffers or tensor in set(self.parameters))

    def __call__(self):
        """Take the weights as they are now into the average."""
        if self.inside:
            raise RuntimeError(f"{self.name}: called inside applied(), where the weights are the average")
        if state.recording is not None:
            state.recording.rely_on_leaves(self.tensors.values())
        self.call(kernels.weigh, [self.state], [], [], self.cells)
        weights, averages = self.arrays(self.averaged)
        for dtype in dict.fromkeys(array.dtype for array in weights):
            one = [(x, mean) for x, mean in zip(weights, averages, strict=True) if x.dtype == dtype]
            xs, means = map(list, zip(*one, strict=True))
            stretches = runs([xs, means], [None] * len(xs))
            pieces = segments(means, stretches)
            self.call(kernels.average, [*pieces, *segments(xs, stretches)], [self.state], sizes(pieces))
        for x, mean in zip(*self.arrays(self.copied), strict=True):
            self.call(copy, [mean], [x], [x.size])

    def arrays(self, names):
        """The model's arrays and the averages of these names; TypeError if the model has been converted."""
        for name in names:
            now, then = self.tensors[name].array, self.averages[name]
            if now.dtype != then.dtype or now.shape != then.shape:
                raise TypeError(
                    f"{self.name}: {name} is now {now.dtype} of shape {now.shape}, but its average {then.dtype} of "
                    f"shape {then.shape}; make an average after the model is converted"
                )
        return [self.tensors[name].array for name in names], [self.averages[name] for name in names]

    @contextlib.contextmanager
    def applied(self):
        """The model has the averages for weights inside, and then its own again; recorded steps stay valid."""
        outside_recordings(f"{self.name}.applied")
        if self.inside:
            raise RuntimeError(f"{self.name}: applied() inside applied()")
        self.swap()
        self.inside = True
        try:
            yield self
        finally:
            self.swap()
            self.inside = False

    def swap(self):
        """Exchange weights and averages in place."""
        for x, mean in zip(*self.arrays(self.tensors), strict=True):
            x[...], mean[...] = mean.copy(), x.copy()

    def state_dict(self):
        """Copies of the averages, ``"module.<name>"`` as PyTorch's AveragedModel calls them, and ``"n_averaged"``."""
        if self.inside:
            raise RuntimeError(f"{self.name}: state_dict() inside applied(), where the averages are in the model")
        averages = {f"module.{name}": mean.copy() for name, mean in self.averages.items()}
        return {"n_averaged": np.array(self.n_averaged), **averages}

    def load_state_dict(self, state_dict):
        """Go on where `state_dict` was taken, in place; ValueError, and nothing changed, if it does not fit."""
        function = f"{self.name}: load_state_dict"
        outside_recordings(function)
        wanted = {"n_averaged": np.zeros(()), **{f"module.{name}": mean for name, mean in self.averages.items()}}
        for name, target in wanted.items():
            if name not in state_dict or np.shape(state_dict[name]) != target.shape:
                got = f"shape {np.shape(state_dict[name])}" if name in state_dict else "none"
                raise ValueError(f"{function}: {name}: got {got}, expected shape {target.shape}")
        unknown = [name for name in state_dict if name not in wanted]
        if unknown:
            raise ValueError(f"{function}: got {', '.join(unknown)}, which the model does not have")
        for name, target in wanted.items():
            target[...] = np.asarray(state_dict[name])
        self.state[0] = float(wanted["n_averaged"])
