"""Matrix products: linear, matmul."""

import math

from minidl.engine import Node
from minidl.functional import _backward as B
from minidl.kernels import gemm

ACTIVATIONS = {None: 0, "relu": 1}


class Linear(Node):
    """y = x W^T + b;  dx = dy W,  dW = dy^T x,  db = sum of dy over the rows."""

    def forward(self, x, w, b=None):
        if w.ndim != 2:
            raise ValueError(f"linear: weight has shape {w.shape}, expected (out_features, in_features)")
        N, K = w.shape
        if x.ndim < 1 or x.shape[-1] != K:
            raise ValueError(f"linear: input has {x.shape[-1] if x.ndim else 0} features (shape {x.shape}), expected {K}")
        if b is not None and b.shape != (N,):
            raise ValueError(f"linear: bias has shape {b.shape}, expected ({N},)")
        for name, tensor in (("weight", w), ("bias", b)):
            if tensor is not None and tensor.dtype != x.dtype:
                raise TypeError(f"linear: input is {x.dtype}, but {name} is {tensor.dtype}; expected the same dtype")
        M = math.prod(x.shape[:-1])
        y = self.new((*x.shape[:-1], N))
        self.call(gemm.linear, [y], [x, w, b], [M, N, K, 0])
        self.x, self.w, self.sizes = x.array, w.array, (M, N, K)
        return y

    def backward(self, dy):
        M, N, K = self.sizes
        dx, dw = self.grad(0), self.grad(1)
        db = self.grad(2) if len(self.inputs) == 3 else None
        if dw is not None:
            self.call(gemm.matmul_tn, [dw], [dy, self.x], [N, K, M, 0, 1, 0, 0, 0])
        if db is not None:
            self.call(B.reduce.column_sum, [db], [dy], [M, N])
        if dx is not None:
            self.call(gemm.matmul_nn, [dx], [dy, self.w], [M, K, N, 0, 1, 0, 0, 0])


def linear(input, weight, bias=None):
    """y = input @ weight.T + bias.

    Parameters
    ----------
    input : Tensor, shape (..., in_features)
    weight : Tensor, shape (out_features, in_features)
    bias : Tensor, shape (out_features,), optional

    Returns
    -------
    Tensor, shape (..., out_features)
    """
    return Linear().apply(input, weight) if bias is None else Linear().apply(input, weight, bias)
