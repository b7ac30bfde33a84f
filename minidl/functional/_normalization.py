"""The nodes of normalisation: one for each way that the elements with a common mean may lie in memory."""

import functools

import numpy as np

from minidl.engine import Node, memory
from minidl.functional import _backward as B
from minidl.kernels import batch_norm
from minidl.kernels import normalization as K
from minidl.kernels.elementwise import copy

STATS = 4  # numbers that describe a set: mean, rest, rstd, var; see kernels/normalization.pxd


@functools.lru_cache(64)
def constant(value, size, dtype):
    """The weight or bias of those who have none."""
    array = memory.allocate(size, dtype)  # written by Python, and used by many recordings
    array[...] = value
    return array


class Normalization(Node):
    """y = f(xhat weight + bias + residual), xhat = (x - mean) rstd, with mean and rstd of each set of elements.

    g = dy f'(y) weight;  dx = rstd (g - mean(g) - xhat mean(g xhat)), or rstd g where mean and rstd are given;
    dweight = sum(dy f'(y) xhat),  dbias = sum(dy f'(y)),  dresidual = dy f'(y). f is none or relu.

    The subclasses differ in how a set lies in memory.

    Parameters
    ----------
    function : str
        Name of the function that users called.
    sizes : tuple of int
        The kernels'.
    sets, affine : int
        Numbers of sets and of weights.
    eps : float
    relu : bool
    given : pair of ndarray, optional
        Mean and variance to use instead of the sets' own.
    """

    role = "normalization"

    def __init__(self, function, sizes, sets, affine, eps, relu=False, given=(None, None)):
        super().__init__()
        self.function, self.sizes, self.sets, self.affine, self.eps = function, sizes, sets, affine, eps
        self.relu, self.given = relu, given

    name = property(lambda self: self.function)
    named_by = ("path", "function")

    def run(self, input, **others):
        """Apply the node to `input` and those of weight, bias and residual that are not None."""
        present = {name: tensor for name, tensor in others.items() if tensor is not None}
        self.places = {name: i for i, name in enumerate(present, 1)}
        return self.apply(input, *present.values())

    def prepare(self, x, others):
        """y, and the inputs of the kernel behind x: weight, bias, residual."""
        given = {name: others[i - 1].array for name, i in self.places.items()}
        weight = given.get("weight", constant(1, self.affine, x.dtype))
        bias = given.get("bias", constant(0, self.affine, x.dtype))
        self.stats = memory.empty((STATS, self.sets), x.dtype)
        y = self.new(x.shape)
        if self.tracked:
            self.x, self.weight, self.y = x.array, weight, y.array if self.relu else None
        return y, weight, bias, given.get("residual")

    def grad_of(self, name):
        """Where to write the gradient of weight, bias or residual; None if nobody needs it."""
        return self.grad(self.places[name]) if name in self.places else None

    def backward(self, dy):
        dx, dw, db, dr = self.grad(), self.grad_of("weight"), self.grad_of("bias"), self.grad_of("residual")
        y = self.y
        if dr is not None and y is not None:  # what the relu lets through is dr itself
            self.call(B.activation.relu, [dr], [dy, y], [dy.size])
            dy, y = dr, None
        elif dr is not None:
            self.call(copy, [dr], [dy], [dy.size])
        affine = dw is not None or db is not None
        if affine or dx is not None:
            dw, db = (memory.empty(self.affine, dy.dtype) if array is None else array for array in (dw, db))
            self.backward_sets(dx, dw, db, affine, dy, y)

    def backward_sets(self, dx, dw, db, affine, dy, y):
        """Write `dx` if it is not None, `dw` and `db` at least if `affine`; y: None without a relu."""
        raise NotImplementedError


class Planes(Normalization):
    """A set is K contiguous planes at a distance; sizes: S K inner step_s step_k C."""

    unit_axis = 1

    def forward(self, x, *others):
        y, *inputs = self.prepare(x, others)
        self.call(K.planes, [y, self.stats], [x, *inputs, *self.given], [*self.sizes, self.relu], [self.eps])
        return y

    def backward_sets(self, dx, dw, db, affine, dy, y):
        S, planes = self.sizes[:2]
        sums = memory.empty((S * planes, 2), dy.dtype)
        flags = [y is not None, self.given[0] is not None, dx is not None]
        inputs = [dy, self.x, y, self.weight, self.stats]
        self.call(B.normalization.planes, [dx, dw, db, sums], inputs, [*self.sizes, *flags], dtype=dy.dtype)


class Columns(Normalization):
    """A set is a column of a matrix; sizes: N C."""

    def forward(self, x, *others):
        y, *inputs = self.prepare(x, others)
        self.call(batch_norm.columns, [y, self.stats], [x, *inputs, *self.given], [*self.sizes, self.relu], [self.eps])
        return y

    def backward_sets(self, dx, dw, db, affine, dy, y):
        C = self.sets
        outputs = [dx, dw, db, memory.empty((2, C), np.float64), memory.empty((3, C), dy.dtype)]
        flags = [y is not None, self.given[0] is not None, dx is not None]
        inputs = [dy, self.x, y, self.weight, self.stats]
        self.call(B.normalization.columns, outputs, inputs, [*self.sizes, *flags], dtype=dy.dtype)


class Rows(Normalization):
    """A set is a row of a matrix, with a weight for each element; sizes: R L G, where row r takes weight r % G."""

    def forward(self, x, *others):
        y, weight, bias, _ = self.prepare(x, others)
        self.call(K.rows, [y, self.stats], [x, weight, bias], self.sizes, [self.eps])
        return y

    def backward_sets(self, dx, dw, db, affine, dy, y):
        outputs = [dx, dw, db, memory.empty((2, self.affine), np.float64)]
        flags = [dx is not None, affine]
        inputs = [dy, self.x, self.weight, self.stats]
        self.call(B.normalization.rows, outputs, inputs, [*self.sizes, *flags], dtype=dy.dtype)
