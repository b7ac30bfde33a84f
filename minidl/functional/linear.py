"""Matrix products: linear, matmul."""

import math

import numpy as np

from minidl.engine import Node, as_tensor, memory
from minidl.functional import _backward as B
from minidl.functional.shape import expand, reshape
from minidl.kernels import gemm
from minidl.kernels.elementwise import fill

ACTIVATIONS = {None: 0, "relu": 1}


class Linear(Node):
    """y = f(x W^T + b);  dz = dy f'(z),  dx = dz W,  dW = dz^T x,  db = sum of dz over the rows. f is none or relu."""

    role = "weights"

    def __init__(self, activation=None):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"linear: activation: got {activation!r}, expected None or 'relu'")
        self.activation = activation

    def forward(self, x, w, b=None):
        if w.ndim != 2:
            raise ValueError(f"linear: weight has shape {w.shape}, expected (out_features, in_features)")
        N, K = w.shape
        if x.ndim < 1 or x.shape[-1] != K:
            raise ValueError(
                f"linear: input has {x.shape[-1] if x.ndim else 0} features (shape {x.shape}), expected {K}"
            )
        if b is not None and b.shape != (N,):
            raise ValueError(f"linear: bias has shape {b.shape}, expected ({N},)")
        for name, tensor in (("weight", w), ("bias", b)):
            if tensor is not None and tensor.dtype != x.dtype:
                raise TypeError(f"linear: input is {x.dtype}, but {name} is {tensor.dtype}; expected the same dtype")
        M = math.prod(x.shape[:-1])
        y = self.new((*x.shape[:-1], N))
        self.call(gemm.linear, [y], [x, w, b], [M, N, K, ACTIVATIONS[self.activation]])
        self.y = y.array if self.activation else None
        self.x, self.w, self.sizes = x.array, w.array, (M, N, K)
        return y

    def backward(self, dy):
        M, N, K = self.sizes
        if self.activation:
            dz = memory.empty(dy.shape, dy.dtype)
            self.call(B.activation.relu, [dz], [dy, self.y], [dy.size])
            dy = dz
        dx, dw = self.grad(0), self.grad(1)
        db = self.grad(2) if len(self.inputs) == 3 else None
        if dw is not None:
            self.call(gemm.matmul_tn, [dw], [dy, self.x], [N, K, M, 0, 1, 0, 0, 0])
        if db is not None:
            self.call(B.reduce.column_sum, [db], [dy], [M, N])
        if dx is not None:
            self.call(gemm.matmul_nn, [dx], [dy, self.w], [M, K, N, 0, 1, 0, 0, 0])


def linear(input, weight, bias=None, activation=None):
    """y = input @ weight.T + bias, through `activation` if there is one.

    Parameters
    ----------
    input : Tensor, shape (..., in_features)
    weight : Tensor, shape (out_features, in_features)
    bias : Tensor, shape (out_features,), optional
    activation : {None, "relu"}
        Applied while the product is still in registers.

    Returns
    -------
    Tensor, shape (..., out_features)
    """
    tensors = (input, weight) if bias is None else (input, weight, bias)
    return Linear(activation).apply(*tensors)


class MatMul(Node):
    """c = a b;  da = dc b^T,  db = a^T dc, over a batch where a, b or neither has only one matrix."""

    def forward(self, a, b):
        (M, K), N = a.shape[-2:], b.shape[-1]
        batches = math.prod(a.shape[:-2]), math.prod(b.shape[:-2])
        if batches[1] == 1:  # one tall product
            shape, M, batch = (*a.shape[:-1], N), M * batches[0], 1
        else:
            shape, batch = (*b.shape[:-2], M, N), batches[1]
        self.a, self.b, self.sizes, self.batch = a.array, b.array, (M, N, K), batch
        self.stride_a, self.stride_b, self.stride_c = M * K if batches[0] == batch else 0, K * N, M * N
        c = self.new(shape)
        strides = [self.stride_c, self.stride_a, self.stride_b]
        self.call(gemm.matmul_nn, [c], [a, b], [M, N, K, 0, batch, *strides])
        return c

    def backward(self, dc):
        M, N, K = self.sizes
        da, db = self.grad(0), self.grad(1)
        if da is not None and not self.batch:  # a sum of no products
            self.call(fill, [da], [], [da.size], [0.0])
        elif da is not None:
            strides = [self.stride_a, self.stride_c, self.stride_b]
            self.call(gemm.matmul_nt, [da], [dc, self.b], [M, K, N, 0, self.batch, *strides])
        if db is not None:
            strides = [self.stride_b, self.stride_a, self.stride_c]
            self.call(gemm.matmul_tn, [db], [self.a, dc], [K, N, M, 0, self.batch, *strides])


def matmul(input, other):
    """Matrix product; the dimensions before the last two are a batch and broadcast.

    Parameters
    ----------
    input : Tensor, shape (..., M, K) or (K,)
    other : Tensor, shape (..., K, N) or (K,)

    Returns
    -------
    Tensor, shape (..., M, N), without M or N where an input is a vector
    """
    a, b = _pair("matmul", input, other)
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: got shapes {a.shape} and {b.shape}, expected at least 1 dimension")
    rows = a if a.ndim > 1 else reshape(a, (1, *a.shape))
    columns = b if b.ndim > 1 else reshape(b, (*b.shape, 1))
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(
            f"matmul: got shapes {a.shape} and {b.shape}: {rows.shape[-1]} columns do not meet {columns.shape[-2]} rows"
        )
    try:
        batch = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    except ValueError:
        raise ValueError(f"matmul: got shapes {a.shape} and {b.shape}, whose batches do not broadcast") from None
    shape = batch + rows.shape[-2:-1] * (a.ndim > 1) + columns.shape[-1:] * (b.ndim > 1)
    if math.prod(rows.shape[:-2]) != 1 and math.prod(columns.shape[:-2]) != 1:
        rows, columns = expand(rows, batch + rows.shape[-2:]), expand(columns, batch + columns.shape[-2:])
    product = MatMul().apply(rows, columns)
    return product if product.shape == shape else reshape(product, shape)


def mm(input, mat2):
    """Product of two matrices, (M, K) and (K, N)."""
    return _product("mm", input, mat2, 2)


def bmm(input, mat2):
    """Products of two batches of matrices, (B, M, K) and (B, K, N)."""
    input, mat2 = as_tensor(input), as_tensor(mat2)
    if input.shape[:1] != mat2.shape[:1]:
        raise ValueError(f"bmm: got shapes {input.shape} and {mat2.shape}, expected the same number of matrices")
    return _product("bmm", input, mat2, 3)


def dot(input, other):
    """Inner product of two vectors."""
    return _product("dot", input, other, 1)


def outer(input, vec2):
    """Products of every element of one vector (M,) with every element of another (N,), shape (M, N)."""
    a, b = _pair("outer", input, vec2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: got shapes {a.shape} and {b.shape}, expected 1 dimension each")
    return MatMul().apply(reshape(a, (*a.shape, 1)), reshape(b, (1, *b.shape)))


def _product(name, input, other, ndim):
    a, b = _pair(name, input, other)
    if a.ndim != ndim or b.ndim != ndim:
        raise ValueError(f"{name}: got shapes {a.shape} and {b.shape}, expected {ndim} dimension(s) each")
    return matmul(a, b)


def _pair(name, input, other):
    a, b = as_tensor(input), as_tensor(other)
    if a.dtype != b.dtype:
        raise TypeError(f"{name}: the first input is {a.dtype}, but the second is {b.dtype}; expected the same dtype")
    return a, b
