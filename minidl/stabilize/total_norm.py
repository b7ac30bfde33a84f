"""The norm of many tensors together, and clipping by a norm that is known already."""

import numpy as np

from minidl.engine import Statistics, Tensor, as_array, memory, state
from minidl.engine.checks import above_zero, policy
from minidl.kernels import clip as kernels
from minidl.kernels.elementwise import fill
from minidl.stabilize.update import (
    Update,
    by_dtype,
    gradient_segments,
    only_dtype,
    parameter_list,
    separate,
    sizes,
    with_gradient,
)


class TotalNorm(Update):
    """(sum of |x|^norm_type)^(1 / norm_type) over all tensors together; made by `get_total_norm`."""

    name = "get_total_norm"

    def __init__(self, tensors, norm_type, error_if_nonfinite):
        super().__init__()
        self.parameters = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        answer = policy(self.name, "raise" if error_if_nonfinite else "skip")
        self.cells = np.array([above_zero(self.name, "norm_type", norm_type), answer])

    def __call__(self):
        dtype, members = only_dtype(self.name, by_dtype(self.parameters))
        norm = Tensor.public(memory.empty((), dtype))
        norm.recording = state.recording
        if not members:
            self.call(fill, [norm], [], [1], [0.0])
            return norm
        arrays = [tensor.array for tensor in members]
        pieces = separate(arrays)
        partial = memory.empty(len(pieces), np.float64)
        self.call(kernels.total_norm, [norm, partial], pieces, sizes(pieces), self.cells)
        return norm


class ClipWithNorm(Update):
    """g = g * min(1, max_norm / (total_norm + 1e-6)); made by `clip_grads_with_norm_`."""

    name = "clip_grads_with_norm_"

    def __init__(self, parameters, max_norm):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.cells = np.array([above_zero(self.name, "max_norm", max_norm), policy(self.name, "raise")])
        self.statistics = Statistics("clipped")

    def __call__(self, total_norm):
        dtype, members = only_dtype(self.name, with_gradient(self.parameters))
        norm = as_array(total_norm, dtype)
        if norm.size != 1:
            raise ValueError(f"{self.name}: total_norm: got shape {norm.shape}, expected one number")
        if members:
            pieces = gradient_segments(members)
            outputs = [None, memory.empty(len(pieces), np.float64), *pieces]
            scratch = [self.statistics.cells]
            self.call(kernels.clip_with_norm, outputs, [norm], sizes(pieces), self.cells, dtype, scratch)

    def explain_nonfinite(self, call, recording):
        return "total_norm: got NaN or Inf, expected a finite number", None


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False):
    """The norm of all tensors together, as if they were one vector.

    Parameters
    ----------
    tensors : iterable of Tensor, or one
        Of one dtype; for example gradients.
    norm_type : float
        > 0; ``inf`` for the largest absolute value.
    error_if_nonfinite : bool

    Returns
    -------
    Tensor, shape (); detached

    Raises
    ------
    FloatingPointError
        If the norm is not finite and `error_if_nonfinite`.
    """
    return TotalNorm(tensors, norm_type, error_if_nonfinite)()


def clip_grads_with_norm_(parameters, max_norm, total_norm):
    """Scale all gradients by min(1, max_norm / (total_norm + 1e-6)).

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    max_norm : float
        > 0.
    total_norm : Tensor, shape (), or float
        What `get_total_norm` returned.

    Raises
    ------
    FloatingPointError
        If `total_norm` is not finite; nothing is changed then.
    """
    ClipWithNorm(parameters, max_norm)(total_norm)
