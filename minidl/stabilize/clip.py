"""Clipping of gradients by a bound that is given, as update nodes."""

import numpy as np

from minidl.engine import Statistics, Tensor, memory, state
from minidl.kernels import update as kernels
from minidl.kernels.elementwise import fill
from minidl.stabilize.update import (
    Setting,
    Update,
    above_zero,
    gradient_segments,
    parameter_list,
    policy,
    positive,
    sizes,
    with_gradient,
)


class ClipGradNorm(Update):
    """g = g * max_norm / (norm + 1e-6) where the norm over all parameters together exceeds max_norm.

    Called between `backward` and the optimizer's step.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    max_norm : float
        > 0. May be changed between steps, as `norm_type` may.
    norm_type : float
        Order of the norm; ``inf`` for the largest absolute value.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the norm is NaN or Inf: raise, leave the gradients as they are, or set them all to 0.

    Attributes
    ----------
    statistics : Statistics
        The norms before and after, and how often it clipped.

    Examples
    --------
    >>> clip = stabilize.ClipGradNorm(model.parameters(), max_norm=1.0)
    >>> loss.backward()
    >>> clip()
    >>> optimizer.step()

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """

    name = "clip_grad_norm_"
    max_norm = Setting(0, above_zero)
    norm_type = Setting(1, above_zero)

    def __init__(self, parameters, max_norm, norm_type=2.0, on_nonfinite="raise"):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.cells = np.zeros(3)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.on_nonfinite, self.cells[2] = on_nonfinite, policy(self.name, on_nonfinite)
        self.statistics = Statistics("clipped")

    def __call__(self):
        """Clip; returns the norm before, a tensor of shape ()."""
        groups = with_gradient(self.parameters)
        if len(groups) > 1:
            raise TypeError(f"{self.name}: got parameters of dtypes {', '.join(map(str, groups))}, expected one dtype")
        dtype, members = next(iter(groups.items())) if groups else (np.dtype(np.float32), [])
        norm = Tensor.public(memory.empty((), dtype))
        norm.recording = state.recording
        if not members:
            self.call(fill, [norm], [], [1], [0.0])
            return norm
        pieces = gradient_segments(members)
        partial = memory.empty(len(pieces), np.float64)
        self.call(
            kernels.clip_norm, [norm, partial, *pieces], [], sizes(pieces), self.cells, scratch=[self.statistics.cells]
        )
        if state.recording is not None and self.on_nonfinite != "skip":
            state.recording.checked.update(members)
        return norm


class ClipGradValue(Update):
    """g = min(max(g, -clip_value), clip_value), element by element; called between `backward` and the step.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    clip_value : float
        > 0. May be changed between steps.

    Attributes
    ----------
    statistics : Statistics
        The largest absolute value before and after, and how often one was clipped.
    """

    name = "clip_grad_value_"
    clip_value = Setting(0, positive)

    def __init__(self, parameters, clip_value):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.cells = np.zeros(1)
        self.clip_value = clip_value
        self.statistics = Statistics("clipped", "largest")

    def __call__(self):
        """Clip."""
        for group in with_gradient(self.parameters).values():
            pieces = gradient_segments(group)
            largest = memory.empty(len(pieces), np.float64)
            self.call(
                kernels.clip_value,
                [largest, *pieces],
                [],
                sizes(pieces),
                self.cells,
                dtype=group[0].dtype,
                scratch=[self.statistics.cells],
            )


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, on_nonfinite="raise"):
    """Scale all gradients so that their common norm is at most `max_norm`: a `ClipGradNorm`, called once.

    Returns
    -------
    Tensor, shape ()
        The norm before clipping.

    Raises
    ------
    NonFiniteError
        If the norm is not finite; names the parameters.
    """
    return ClipGradNorm(parameters, max_norm, norm_type, on_nonfinite)()


def clip_grad_value_(parameters, clip_value):
    """Clamp every element of every gradient to [-clip_value, clip_value]: a `ClipGradValue`, called once."""
    ClipGradValue(parameters, clip_value)()
