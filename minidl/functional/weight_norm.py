"""Weights by norm: what `nn.utils.parametrizations` computes."""

import math

import numpy as np

from minidl.engine import Caller, Node, as_tensor, memory, state
from minidl.functional import _backward as B
from minidl.functional.normalization import check_affine
from minidl.functional.reduce import float_tensor
from minidl.kernels import weight_norm as K
from minidl.kernels.elementwise import copy


class WeightNorm(Node):
    """w = g v / |v| for every unit;  dg = dw.v / |v|,  dv = g / |v| (dw - v dw.v / |v|^2); all are 0 where v is 0."""

    name = "weight_norm"

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def forward(self, v, g):
        w, self.norm = self.new(v.shape), memory.empty(self.sizes[1], v.dtype)
        self.v, self.g = v.array, g.array
        self.call(K.weight_norm, [w, self.norm], [v, g], self.sizes)
        return w

    def backward(self, dw):
        dv, dg = self.grad(0), self.grad(1)
        inputs, flags = [dw, self.v, self.g, self.norm], [dv is not None, dg is not None]
        self.call(B.weight_norm.weight_norm, [dv, dg], inputs, [*self.sizes, *flags], dtype=dw.dtype)


class PowerIteration(Caller):
    """u = W v / |W v|,  v = W^T u / |W^T u|, in place; both stay where the product has no direction."""

    name = "power_iteration"

    def run(self, w, u, v, sizes, iterations, eps):
        """Make the call."""
        if state.recording is not None:
            state.recording.rely_on_leaves([w, u, v])
            for vector in (u, v):
                state.recording.changes(vector, self.name)
        scratch = [memory.empty(max(u.array.size, v.array.size), w.dtype)]
        self.call(K.power_iteration, [u, v], [w], [*sizes, iterations], [eps], scratch=scratch)


class SpectralNorm(Node):
    """y = W / sigma,  sigma = u^T W v;  dW = (dy - (dy.y) u v^T) / sigma. u and v are constants."""

    name = "spectral_norm"

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def forward(self, w, u, v):
        y, self.sigma = self.new(w.shape), memory.empty(1, w.dtype)
        self.call(
            K.spectral_norm, [y, self.sigma], [w, u, v], self.sizes, scratch=[memory.empty(u.array.size, w.dtype)]
        )
        if self.tracked:  # the next power iteration changes u and v
            self.y, self.u, self.v = y.array, memory.empty(u.shape, w.dtype), memory.empty(v.shape, w.dtype)
            for kept, vector in ((self.u, u), (self.v, v)):
                self.call(copy, [kept], [vector], [kept.size])
        return y

    def backward(self, dy):
        dots = memory.empty(self.sizes[1], np.float64)
        inputs = [dy, self.y, self.u, self.v, self.sigma]
        self.call(B.weight_norm.spectral_norm, [self.grad(0), dots], inputs, self.sizes, dtype=dy.dtype)


def weight_norm(v, g, dim=0):
    """g v / |v|, with a norm for every index of dimension `dim`.

    Parameters
    ----------
    v : Tensor, any shape
    g : Tensor
        Of the shape of v with size 1 in all dimensions but `dim`; () for a norm of the whole.
    dim : int or None
        None, or -1 as in PyTorch: one norm of the whole.

    Returns
    -------
    Tensor of v's shape; zeros where v is 0

    References
    ----------
    Salimans and Kingma, "Weight normalization", 2016.
    """
    name = "weight_norm"
    v = float_tensor(name, v)
    (g,) = check_affine(name, v, norm_shape(name, v, dim), g=g)
    return WeightNorm(whole(v) if dim in (None, -1) else units(name, v, dim)).apply(v, g)


def spectral_norm(weight, u, v, dim=0, n_power_iterations=0, eps=1e-12):
    """`weight` divided by its largest singular value u^T W v, W being a matrix with a row for every index of `dim`.

    Parameters
    ----------
    weight : Tensor, at least 2 dimensions
    u, v : Tensor, shapes (rows of W,) and (columns of W,)
        Its singular vectors, or what comes close: unit vectors that are improved in place. Constants for gradients.
    dim : int
    n_power_iterations : int
        How often u and v are improved before.
    eps : float
        Least norm that u and v are divided by.

    Returns
    -------
    Tensor of the shape of `weight`; NaN where all is 0

    References
    ----------
    Miyato et al., "Spectral normalization for generative adversarial networks", 2018.
    """
    name = "spectral_norm"
    weight, u, v = float_tensor(name, weight), as_tensor(u), as_tensor(v)
    sizes = units(name, weight, dim)
    outer, C, inner = sizes
    check_affine(name, weight, (C,), u=u)
    check_affine(name, weight, (outer * inner,), v=v)
    if n_power_iterations:
        PowerIteration().run(weight, u, v, sizes, n_power_iterations, eps)
    return SpectralNorm(sizes).apply(weight, u, v)


def units(name, weight, dim):
    """Sizes (outer, C, inner) of a weight whose units lie along `dim`; IndexError if there is no such dimension."""
    check_dim(name, weight, dim)
    shape, dim = weight.shape, dim % weight.ndim
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


def whole(weight):
    """The same, if the whole weight is one unit."""
    return 1, 1, weight.array.size


def norm_shape(name, weight, dim):
    """Shape of the norms of `weight`."""
    if dim in (None, -1):
        return ()
    check_dim(name, weight, dim)
    return tuple(size if d == dim % weight.ndim else 1 for d, size in enumerate(weight.shape))


def check_dim(name, weight, dim):
    """IndexError if `weight` has no dimension `dim`; TypeError if that is no integer."""
    if not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{name}: dim: got {dim!r}, expected an integer")
    if not -weight.ndim <= dim < weight.ndim:
        raise IndexError(f"{name}: dim: got {dim}, out of range for weight of shape {weight.shape}")
