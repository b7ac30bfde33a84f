"""Penalties on weights, as terms of a loss: l1_penalty, l2_penalty, max_norm_penalty, orthogonal_penalty."""

import math

import numpy as np

from minidl.engine import Node, Tensor, as_tensor, memory
from minidl.engine.checks import at_least
from minidl.functional import _backward as B
from minidl.functional._shapes import plan_of
from minidl.kernels import gemm
from minidl.kernels import penalty as K


class Penalty(Node):
    """y = share weight (sum of a measure of every input), the sum in float64.

    A subclass says of how many sums its measure consists and makes them; what it returns, `backward_one` gets.

    Parameters
    ----------
    function : str
        Name of the function that users called.
    weight : float
    """

    share = 1.0
    name = property(lambda self: self.function)
    named_by = ("path", "function")

    def __init__(self, function, weight):
        super().__init__()
        self.function, self.weight = function, weight

    def forward(self, *tensors):
        ends = np.cumsum([self.count(x) for x in tensors])
        sums = memory.empty(int(ends[-1]), np.float64)
        self.kept = [self.measure(part, x) for part, x in zip(np.split(sums, ends[:-1]), tensors, strict=True)]
        self.values = [x.array for x in tensors]
        y = self.new(())
        self.call(K.total, [y], [sums], [sums.size], [self.share * self.weight])
        return y

    def backward(self, dy):
        for i, (x, kept) in enumerate(zip(self.values, self.kept, strict=True)):
            dx = self.grad(i)
            if dx is not None:
                self.backward_one(dx, dy, x, kept)

    def count(self, x):
        """Number of sums for one input."""
        return -(-x.array.size // K.PIECE)

    def measure(self, sums, x):
        """Write the sums of one input."""
        raise NotImplementedError

    def backward_one(self, dx, dy, x, kept):
        """Write the gradient of one input."""
        raise NotImplementedError


class L1(Penalty):
    """y = weight sum |x|;  dx = dy weight sign(x)."""

    def measure(self, sums, x):
        self.call(K.magnitudes, [sums], [x], [x.array.size], dtype=x.dtype)

    def backward_one(self, dx, dy, x, kept):
        self.call(B.penalty.sign, [dx], [dy, x], [x.size], [self.weight])


class L2(Penalty):
    """y = weight / 2 sum x^2;  dx = dy weight x."""

    share = 0.5

    def measure(self, sums, x):
        self.call(K.squares, [sums], [x], [x.array.size], dtype=x.dtype)

    def backward_one(self, dx, dy, x, kept):
        self.call(B.elementwise.multiply, [dx], [x, dy], plan_of(dx, x, dy), [self.weight])


class MaxNorm(Penalty):
    """y = weight / 2 sum over the rows of max(|x| - max_norm, 0)^2;  dx = dy weight max(|x| - max_norm, 0) x / |x|."""

    share = 0.5

    def __init__(self, function, weight, max_norm):
        super().__init__(function, weight)
        self.max_norm = max_norm

    def count(self, x):
        return rows_of(x)[0]

    def measure(self, sums, x):
        norms = memory.empty(sums.size, np.float64)
        self.call(K.excesses, [sums, norms], [x], rows_of(x), [self.max_norm], dtype=x.dtype)
        return norms

    def backward_one(self, dx, dy, x, kept):
        self.call(B.penalty.shrink, [dx], [dy, x, kept], rows_of(x), [self.weight, self.max_norm])


class Orthogonal(Penalty):
    """y = weight / 2 sum of G^2, G = x x^T - I;  dx = 2 dy weight G x.

    With more rows than columns, G = x^T x - I and dx = 2 dy weight x G.
    """

    share = 0.5

    def count(self, x):
        return min(rows_of(x))

    def measure(self, sums, x):
        D, g = sums.size, memory.empty((sums.size, sums.size), x.dtype)
        product = gemm.matmul_nt if rows_of(x)[0] == D else gemm.matmul_tn
        self.call(product, [g], [x, x], [D, D, max(rows_of(x)), 0, 1, 0, 0, 0])
        self.call(K.from_identity, [sums, g], [], [D], dtype=x.dtype)
        return g

    def backward_one(self, dx, dy, x, kept):
        (rows, columns), D = rows_of(x), len(kept)
        scaled = memory.empty(kept.shape, kept.dtype)
        self.call(B.elementwise.multiply, [scaled], [kept, dy], plan_of(scaled, kept, dy), [2 * self.weight])
        factors = [scaled, x] if rows == D else [x, scaled]
        self.call(gemm.matmul_nn, [dx], factors, [rows, columns, D, 0, 1, 0, 0, 0])


def l1_penalty(parameters, weight):
    """weight * sum |x|: pulls weights to 0 and keeps many there (Tibshirani 1996).

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Of one dtype.
    weight : float
        >= 0.

    Returns
    -------
    Tensor, shape ()
        A term to add to a loss; the sum is made in float64. At x = 0 the gradient is 0.

    Raises
    ------
    ValueError
        If there are no parameters, or `weight` is negative, infinite or NaN.
    """
    return L1("l1_penalty", at_least("l1_penalty", "weight", weight)).apply(*tensors_of("l1_penalty", parameters))


def l2_penalty(parameters, weight):
    """weight / 2 * sum x^2, whose gradient weight * x is that of an optimizer's coupled `weight_decay`.

    See `l1_penalty` for the parameters and errors.
    """
    return L2("l2_penalty", at_least("l2_penalty", "weight", weight)).apply(*tensors_of("l2_penalty", parameters))


def max_norm_penalty(parameters, max_norm, weight):
    """weight / 2 * sum over the units of max(|row| - max_norm, 0)^2: holds the weights of each unit within a ball.

    The row of a unit is what stands under one index of the first dimension: the incoming weights of an output of
    `Linear` or a convolution, one number of a bias. The soft form of the constraint of Srebro and Shraibman (2005).
    See `l1_penalty` for the other parameters and errors.

    Parameters
    ----------
    max_norm : float
        >= 0: rows up to this norm cost nothing.
    """
    name = "max_norm_penalty"
    node = MaxNorm(name, at_least(name, "weight", weight), at_least(name, "max_norm", max_norm))
    return node.apply(*tensors_of(name, parameters))


def orthogonal_penalty(parameters, weight):
    """weight / 2 * |W W^T - I|^2 (Frobenius), or of W^T W where W has more rows than columns.

    Its minimum, 0, is at matrices that keep the norms of signals or of gradients. Kernels of convolutions count as
    matrices (out, rest). See `l1_penalty` for the parameters and errors; all of them need two dimensions or more.

    References
    ----------
    Brock et al., "Neural photo editing with introspective adversarial networks", 2017. Bansal et al., "Can we gain
    more from orthogonality regularizations in training deep CNNs?", 2018, for the smaller side.
    """
    name = "orthogonal_penalty"
    tensors = tensors_of(name, parameters)
    for i, x in enumerate(tensors):
        if x.ndim < 2:
            raise ValueError(f"{name}: parameters: tensor {i} has shape {x.shape}, expected two dimensions or more")
    return Orthogonal(name, at_least(name, "weight", weight)).apply(*tensors)


def rows_of(x):
    """Rows and columns of a tensor or array as a matrix of one row per unit."""
    rows = x.shape[0] if x.shape else 1
    return rows, math.prod(x.shape[1:])


def tensors_of(name, parameters):
    """The parameters as a list of tensors; ValueError if there are none, TypeError if their dtypes do not fit."""
    one = isinstance(parameters, (Tensor, np.ndarray))
    tensors = [as_tensor(x) for x in ([parameters] if one else parameters)]
    if not tensors:
        raise ValueError(f"{name}: parameters: got none (a generator used up before?), expected at least one")
    for i, x in enumerate(tensors):
        if x.dtype.kind != "f" or x.dtype != tensors[0].dtype:
            wanted = "float32 or float64" if not i else f"{tensors[0].dtype} as of tensor 0"
            raise TypeError(f"{name}: parameters: tensor {i} is {x.dtype}, expected {wanted}")
    return tensors
