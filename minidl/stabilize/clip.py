"""Gradient clipping, as update nodes."""

import numpy as np

from minidl.engine import Tensor, memory, state
from minidl.kernels import update as kernels
from minidl.kernels.elementwise import fill
from minidl.stabilize.update import Update, gradient_segments, parameter_list, policy, positive, sizes, with_gradient


class ClipGradNorm(Update):
    """g = g * max_norm / (norm + 1e-6) where the norm over all parameters together exceeds max_norm."""

    name = "clip_grad_norm_"


class ClipGradValue(Update):
    """g = min(max(g, -limit), limit)."""

    name = "clip_grad_value_"


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, on_nonfinite="raise"):
    """Scale all gradients so that their common norm is at most `max_norm` (Pascanu et al. 2013).

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    max_norm : float
        > 0.
    norm_type : float
        Order of the norm; ``inf`` for the largest absolute value.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the norm is NaN or Inf: raise, leave the gradients as they are, or set them all to 0.

    Returns
    -------
    Tensor, shape ()
        The norm before clipping.

    Raises
    ------
    NonFiniteError
        If the norm is not finite; names the parameters.
    """
    function = ClipGradNorm.name
    scalars = [
        positive(function, "max_norm", max_norm, finite=False),
        positive(function, "norm_type", norm_type, finite=False),
        policy(function, on_nonfinite),
    ]
    groups = with_gradient(parameter_list(function, parameters))
    if len(groups) > 1:
        raise TypeError(f"{function}: got parameters of dtypes {', '.join(map(str, groups))}, expected one dtype")
    node = ClipGradNorm()
    dtype, node.parameters = next(iter(groups.items())) if groups else (np.dtype(np.float32), [])
    norm = Tensor.public(memory.empty((), dtype))
    norm.recording = state.recording
    if not groups:
        node.call(fill, [norm], [], [1], [0.0])
        return norm
    pieces = gradient_segments(node.parameters)
    partial = memory.empty(len(pieces), np.float64)
    node.call(kernels.clip_norm, [norm, partial, *pieces], [], sizes(pieces), scalars)
    if state.recording is not None and on_nonfinite != "skip":
        state.recording.checked.update(node.parameters)
    return norm


def clip_grad_value_(parameters, clip_value):
    """Clamp every element of every gradient to [-clip_value, clip_value].

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    clip_value : float
        > 0.
    """
    limit = positive(ClipGradValue.name, "clip_value", clip_value)
    node = ClipGradValue()
    for group in with_gradient(parameter_list(node.name, parameters)).values():
        node.parameters = group
        pieces = gradient_segments(group)
        node.call(kernels.clip_value, pieces, [], sizes(pieces), [limit])
