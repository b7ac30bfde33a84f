"""Changes of dtype."""

import numpy as np

from minidl.engine import Node, Tensor, as_tensor
from minidl.engine.tensor import DTYPES
from minidl.kernels import arithmetic as K

KERNELS = {
    np.dtype(np.float32): K.to_float32,
    np.dtype(np.float64): K.to_float64,
    np.dtype(np.int64): K.to_int64,
    np.dtype(np.bool_): K.to_bool,
}


class Cast(Node):
    """y = x in another dtype;  dx = dy in the dtype of x."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, x):
        y = self.new(x.shape, self.dtype)
        self.convert(y.array, x.array)
        return y

    def backward(self, dy):
        self.convert(self.grad(), dy)

    def convert(self, y, x):
        """Call the kernel from the one dtype to the other."""
        self.call(KERNELS[y.dtype], [y], [x], [x.size], dtype=x.dtype)


def cast(input, dtype):
    """`input` in another dtype; itself where it has it already. Differentiable between float dtypes.

    Parameters
    ----------
    input : Tensor, any shape
    dtype : dtype, str or Tensor
        float32, float64, int64 or bool; or a tensor that has the wanted dtype.

    Returns
    -------
    Tensor of the same shape
    """
    input = as_tensor(input)
    try:
        wanted = dtype.dtype if isinstance(dtype, Tensor) else np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in DTYPES:
        raise TypeError(f"to: dtype: got {dtype!r}, expected float32, float64, int64 or bool")
    return input if input.dtype == wanted else Cast(wanted).apply(input)
