"""Updates of each output unit by itself: the numbers of a parameter that lead to one output."""

import math

import numpy as np

from minidl.engine import Statistics, memory, state
from minidl.engine.checks import policy, positive
from minidl.kernels import units as kernels
from minidl.kernels.update import SEGMENT
from minidl.stabilize.update import Setting, Update, by_dtype, parameter_list, with_gradient


class AdaptiveClip(Update):
    """g = g * bound / |g| for each output unit with |g| > bound = clipping * max(|w|, eps), w its weights.

    Units are the rows of a weight as (out, rest); a vector is one unit, as in the authors' code. Called between
    `backward` and the optimizer's step.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    clipping : float
        > 0. May be changed between steps, as `eps` may.
    eps : float
        > 0: lets units train whose weights are 0.
    exclude_last : bool
        Leave out the layer of the last parameter, as the authors advise for the one in front of the loss.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the gradient of a unit is NaN or Inf: raise when all others are clipped, leave it as it is, or
        set it to 0.

    Attributes
    ----------
    statistics : Statistics
        The largest ratio |g| / max(|w|, eps) before and after, and how often a unit was clipped.

    References
    ----------
    Brock, De, Smith, Simonyan, "High-performance large-scale image recognition without normalization", 2021.
    """

    name = "AdaptiveClip"
    clipping = Setting(0, positive)
    eps = Setting(1, positive)

    def __init__(self, parameters, clipping=0.01, eps=1e-3, exclude_last=True, on_nonfinite="raise"):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        if exclude_last:
            self.parameters = without_last_layer(self.name, self.parameters)
        self.on_nonfinite = on_nonfinite
        self.cells = np.array([0, 0, policy(self.name, on_nonfinite)], np.float64)
        self.clipping, self.eps = clipping, eps
        self.statistics = Statistics("clipped", "largest ratio")

    def __call__(self):
        """Clip."""
        for dtype, members in with_gradient(self.parameters).items():
            rows = [row_length(parameter) for parameter in members]
            gradients, lengths = row_segments([parameter.buffer for parameter in members], rows)
            weights, _ = row_segments([parameter.array for parameter in members], rows)
            extents = [len(gradients), *(piece.size for piece in gradients), *lengths]
            scratch = [memory.empty(len(gradients), np.float64), self.statistics.cells]
            self.call(kernels.adaptive_clip, gradients, weights, extents, self.cells, dtype, scratch)
            self.found_finite(members)


class CentralizeGradient(Update):
    """g = g - mean(g) over all but the first dimension, for parameters of more than one dimension.

    A unit of a single number keeps its gradient, which would be 0 ever after. Called between `backward` and the
    optimizer's step.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the mean of a unit is NaN or Inf: raise when all others are changed, leave that unit's gradient
        as it is, or set it to 0.

    Attributes
    ----------
    statistics : Statistics
        The largest absolute mean of a unit, which becomes 0.

    References
    ----------
    Yong, Huang, Hua, Zhang, "Gradient centralization: A new optimization technique for deep neural networks", 2020.
    """

    name = "CentralizeGradient"

    def __init__(self, parameters, on_nonfinite="raise"):
        super().__init__()
        self.parameters = of_several_dimensions(self.name, parameters)
        self.on_nonfinite = on_nonfinite
        self.cells = np.array([policy(self.name, on_nonfinite)], np.float64)
        self.statistics = Statistics("centralized", "largest unit mean")

    def __call__(self):
        """Subtract the means."""
        for dtype, members in with_gradient(p for p in self.parameters if math.prod(p.shape[1:]) > 1).items():
            rows = [math.prod(parameter.shape[1:]) for parameter in members]
            pieces, lengths = row_segments([parameter.buffer for parameter in members], rows)
            extents = [len(pieces), *(piece.size for piece in pieces), *lengths]
            scratch = [memory.empty(len(pieces), np.float64), self.statistics.cells]
            self.call(kernels.centralize, pieces, [], extents, self.cells, dtype, scratch)
            self.found_finite(members)


class MaxNorm(Update):
    """w = w * max_norm / |w| for the weights w of each output unit with |w| > max_norm.

    Called after the optimizer's step. Parameters of one dimension, such as biases, are left alone.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    max_norm : float
        > 0. May be changed between steps.
    dim : int
        The dimension that numbers the units: 0 for `Linear` and convolutions, 1 for transposed convolutions.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the weights of a unit are NaN or Inf: raise when all others are projected, leave them as they
        are, or set them to 0.

    Attributes
    ----------
    statistics : Statistics
        The largest norm of a unit before and after, and how often one was projected.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: A simple way to prevent neural networks from
    overfitting", 2014, section 5.1.
    """

    name = "MaxNorm"
    acts = "after"
    max_norm = Setting(0, positive)

    def __init__(self, parameters, max_norm, dim=0, on_nonfinite="raise"):
        super().__init__()
        self.parameters = of_several_dimensions(self.name, parameters)
        for parameter in self.parameters:
            if not -parameter.ndim <= dim < parameter.ndim:
                raise ValueError(f"{self.name}: dim: got {dim} for a parameter of shape {parameter.shape}")
        self.dim, self.on_nonfinite = dim, on_nonfinite
        self.cells = np.array([0, policy(self.name, on_nonfinite)], np.float64)
        self.max_norm = max_norm
        self.statistics = Statistics("projected", "largest norm")

    def __call__(self):
        """Project."""
        for dtype, members in by_dtype(self.parameters).items():
            pieces, geometry = [], []
            for parameter in members:
                if state.recording is not None:
                    state.recording.rely_on(parameter, "array")
                dim = self.dim % parameter.ndim
                repeats, count = math.prod(parameter.shape[:dim]), parameter.shape[dim]
                length = math.prod(parameter.shape[dim + 1 :])
                step = max(SEGMENT // max(repeats * length, 1), 1)
                for first in range(0, count, step):
                    units = min(step, count - first)
                    end = (repeats - 1) * count * length + (first + units) * length
                    pieces.append(parameter.array.reshape(-1)[first * length : end])
                    geometry.append((units, length, repeats, count * length))
            scratch = [memory.empty(len(pieces), np.float64), self.statistics.cells]
            extents = [len(pieces), *np.transpose(geometry).ravel().tolist()]
            self.call(kernels.max_norm, pieces, [], extents, self.cells, dtype, scratch)


def row_length(parameter):
    """How many numbers belong to one unit."""
    vector = sum(size > 1 for size in parameter.shape) <= 1
    return parameter.array.size if vector else math.prod(parameter.shape[1:])


def row_segments(arrays, lengths):
    """Flat views of whole rows, as many as fit into SEGMENT numbers but at least one; and the length of their rows."""
    pieces, of = [], []
    for array, length in zip(arrays, lengths, strict=True):
        flat, step = array.reshape(-1), max(SEGMENT // max(length, 1), 1) * length
        for first in range(0, flat.size, step or 1):
            pieces.append(flat[first : first + step])
            of.append(length)
    return pieces, of


def without_last_layer(function, parameters):
    """Those that belong to another module than the last; ValueError if none are left."""

    def layer(parameter):
        if parameter.name is None:
            return id(parameter)
        return f".{parameter.name}".rpartition(".")[0].partition(".parametrizations")[0]

    kept = [parameter for parameter in parameters if layer(parameter) != layer(parameters[-1])]
    if not kept:
        raise ValueError(f"{function}: parameters: all belong to the last layer; exclude_last=False clips that, too")
    return kept


def of_several_dimensions(function, parameters):
    """Those of more than one dimension; ValueError if there are none."""
    parameters = parameter_list(function, parameters)
    kept = [parameter for parameter in parameters if parameter.ndim > 1]
    if not kept:
        raise ValueError(f"{function}: parameters: got shape {parameters[0].shape}, expected more than one dimension")
    return kept
