"""Clipping of gradients by a bound that is given, as update nodes."""

import numpy as np

from minidl.engine import Statistics, Tensor, memory, state
from minidl.engine.checks import above_zero, policy, positive
from minidl.kernels import clip as kernels
from minidl.kernels.elementwise import fill
from minidl.kernels.kernel import Kernel
from minidl.stabilize.update import (
    Setting,
    Update,
    gradient_segments,
    only_dtype,
    owners,
    parameter_list,
    runs,
    segments,
    separate,
    sizes,
    with_gradient,
)


class NormClip(Update):
    """Base of clips by the norm over all parameters together.

    Called between `backward` and the optimizer's step. A subclass says which kernel, and makes `cells`.
    """

    kernel: Kernel
    kept: tuple[np.ndarray, ...] = ()  # what the kernel remembers from step to step
    extents: tuple[int, ...] = ()  # further sizes that the kernel reads

    def __init__(self, parameters, on_nonfinite):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.on_nonfinite = on_nonfinite
        self.statistics = Statistics("clipped")

    def __call__(self):
        """Clip; returns the norm before, a tensor of shape ()."""
        dtype, members = only_dtype(self.name, with_gradient(self.parameters))
        norm = Tensor.public(memory.empty((), dtype))
        norm.recording = state.recording
        if not members:
            self.call(fill, [norm], [], [1], [0.0])
            return norm
        pieces = separate([parameter.buffer for parameter in members])
        partial = memory.empty(len(pieces), np.float64)
        scratch = [self.statistics.cells, *self.kept]
        extents = [*sizes(pieces), *self.extents]
        self.call(self.kernel, [norm, partial, *pieces], [], extents, self.cells, scratch=scratch)
        self.found_finite(members)
        return norm


class ClipGradNorm(NormClip):
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
    kernel = kernels.clip_norm
    max_norm = Setting(0, above_zero)
    norm_type = Setting(1, above_zero)

    def __init__(self, parameters, max_norm, norm_type=2.0, on_nonfinite="raise"):
        super().__init__(parameters, on_nonfinite)
        self.cells = np.array([0, 0, policy(self.name, on_nonfinite)], np.float64)
        self.max_norm, self.norm_type = max_norm, norm_type


class ClipParameterNorm(Update):
    """g = g * max_norm / (norm + 1e-6) for each parameter by itself whose gradient has a norm above max_norm.

    Called between `backward` and the optimizer's step.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    max_norm : float
        > 0. May be changed between steps, as `norm_type` may.
    norm_type : float
        Order of the norm; ``inf`` for the largest absolute value.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when a norm is NaN or Inf: raise before anything is changed, leave that gradient as it is, or set it
        to 0.

    Attributes
    ----------
    statistics : Statistics
        The largest norm of a parameter before and after, and how often one was clipped.
    """

    name = "ClipParameterNorm"
    max_norm = Setting(0, above_zero)
    norm_type = Setting(1, above_zero)

    def __init__(self, parameters, max_norm, norm_type=2.0, on_nonfinite="raise"):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.on_nonfinite = on_nonfinite
        self.cells = np.array([0, 0, policy(self.name, on_nonfinite)], np.float64)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.statistics = Statistics("clipped", "largest norm")

    def __call__(self):
        """Clip."""
        for dtype, members in with_gradient(self.parameters).items():
            buffers = [parameter.buffer for parameter in members]
            stretches = runs([buffers], members)  # one for each parameter
            pieces = segments(buffers, stretches)
            counts = [len(segments(buffers, [stretch])) for stretch in stretches]
            partial = memory.empty(len(pieces), np.float64)
            outputs, extents = [None, partial, *pieces], [*sizes(pieces), *owners(counts)]
            scratch = [self.statistics.cells]
            self.call(kernels.clip_parameter_norm, outputs, [], extents, self.cells, dtype, scratch)
            self.found_finite(members)


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
        for dtype, members in with_gradient(self.parameters).items():
            pieces = gradient_segments(members)
            outputs = [None, memory.empty(len(pieces), np.float64), *pieces]
            self.call(kernels.clip_value, outputs, [], sizes(pieces), self.cells, dtype, [self.statistics.cells])


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
