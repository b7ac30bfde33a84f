"""What the nodes of reductions share."""

import math

import numpy as np

from minidl.functional._elementwise import Elementwise, reduce_passes
from minidl.functional._shapes import normalized_dims, passes, reduced_shape


class Reduction(Elementwise):
    """An operation that folds dimensions."""

    def __init__(self, dim, keepdim):
        super().__init__()
        self.dim, self.keepdim = dim, keepdim

    def fold(self, kernel, x, *scalars):
        """Output of a kernel that folds."""
        self.dims = normalized_dims(self.name, self.dim, x.ndim)
        self.kept = reduced_shape(x.shape, self.dims, True)
        y = self.new(reduced_shape(x.shape, self.dims, self.keepdim))
        reduce_passes(self, kernel, y.array, x.array, passes(x.shape, self.dims), *scalars)
        return y

    def fold_not_empty(self, kernel, x):
        """Output of a kernel that needs an element."""
        if count(self.name, x, self.dim) == 0:
            raise ValueError(
                f"{self.name}: shape {x.shape} has no elements along dim {self.dim}, expected at least one"
            )
        return self.fold(kernel, x)

    def aligned(self, array):
        """What was folded, in a shape that broadcasts with the input."""
        return array.reshape(self.kept)


def integer_dim(name, dim):
    """`dim`; TypeError if it is not one integer."""
    if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool):
        raise TypeError(f"{name}: dim: got {dim!r}, expected an integer")
    return dim


def count(name, input, dim):
    """How many elements are folded into one."""
    return math.prod(input.shape[d] for d in normalized_dims(name, dim, input.ndim))
