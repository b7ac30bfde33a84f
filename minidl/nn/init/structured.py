"""Identities, orthogonal and sparse matrices."""

import math

import numpy as np

from minidl.engine import generator
from minidl.nn.init.basic import check, check_matrix, check_tensor, write


def eye_(tensor):
    """The identity matrix, for a tensor of 2 dimensions."""
    check_matrix("eye_", tensor)
    return write("eye_", tensor, lambda shape: np.eye(*shape))


def orthogonal_(tensor, gain=1.0):
    """A random orthogonal matrix, uniform among all, times `gain`: Saxe et al. (2014).

    Parameters
    ----------
    tensor : Tensor, shape (rows, ...)
        At least 2 dimensions, those behind the first taken as one. The smaller side is the orthonormal one.
    gain : float
    """
    check_matrix("orthogonal_", tensor, more=True)

    return write("orthogonal_", tensor, lambda shape: gain * _orthogonal(shape[0], math.prod(shape[1:])).reshape(shape))


def _orthogonal(rows, columns):
    """A matrix whose rows or columns, whichever are fewer, are orthonormal."""
    q, r = np.linalg.qr(generator.numpy.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # otherwise the signs would depend on LAPACK: Mezzadri (2007)
    return q if rows >= columns else q.T


def dirac_(tensor, groups=1):
    """Kernels that pass as many channels on as there are: 1 in their middle, 0 elsewhere (Zagoruyko & Komodakis 2017).

    Parameters
    ----------
    tensor : Tensor, shape (out_channels, in_channels / groups, *kernel)
        Weights of a convolution over 1 to 3 dimensions.
    groups : int
    """
    _check_kernels("dirac_", tensor)
    check("dirac_", groups > 0 and tensor.shape[0] % groups == 0, "groups", groups, f"a divisor of {tensor.shape[0]}")

    def draw(shape):
        values = np.zeros(shape)
        per_group = shape[0] // groups
        i = np.arange(min(per_group, shape[1]))
        for group in range(groups):
            values[(group * per_group + i, i, *_middle(shape))] = 1
        return values

    return write("dirac_", tensor, draw)


def delta_orthogonal_(tensor, gain=1.0):
    """Kernels whose middle is a random orthogonal matrix times `gain`, 0 elsewhere: Xiao et al. (2018).

    With at least as many channels out as in, a convolution of stride 1 that keeps the size of the image also keeps its
    norm, times `gain`, in any number of layers.

    Parameters
    ----------
    tensor : Tensor, shape (out_channels, in_channels, *kernel)
        Weights of a convolution over 1 to 3 dimensions.
    gain : float

    References
    ----------
    Xiao et al., "Dynamical isometry and a mean field theory of CNNs: How to train 10,000-layer vanilla convolutional
    neural networks", 2018.
    """
    _check_kernels("delta_orthogonal_", tensor)

    def draw(shape):
        values = np.zeros(shape)
        values[(..., *_middle(shape))] = gain * _orthogonal(*shape[:2])
        return values

    return write("delta_orthogonal_", tensor, draw)


def _check_kernels(function, tensor):
    check_tensor(function, tensor)
    check(function, 3 <= tensor.ndim <= 5, "tensor", tensor.shape, "3 to 5 dimensions: the weights of a convolution")


def _middle(shape):
    return tuple(size // 2 for size in shape[2:])


def sparse_(tensor, sparsity, std=0.01):
    """N(0, std^2) with a part of every column set to 0: Martens (2010).

    Parameters
    ----------
    tensor : Tensor, shape (rows, columns)
    sparsity : float
        Share of zeros in each column, rounded up; 0 <= sparsity <= 1.
    std : float
    """
    check_matrix("sparse_", tensor)
    check("sparse_", 0 <= sparsity <= 1, "sparsity", sparsity, "0 <= sparsity <= 1")
    check("sparse_", std >= 0, "std", std, "std >= 0")

    def draw(shape):
        values = generator.numpy.normal(0.0, std, shape)
        ranks = generator.numpy.random(shape).argsort(axis=0)
        values[ranks < math.ceil(sparsity * shape[0])] = 0
        return values

    return write("sparse_", tensor, draw)
