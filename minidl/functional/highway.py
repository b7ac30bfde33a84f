"""highway: a learned gate between what a layer makes of its input and the input itself."""

from minidl.engine import Node, as_tensor, memory
from minidl.functional import _backward as B
from minidl.kernels import gate


class Highway(Node):
    """y = t h + (1 - t) x, t = sigmoid(z);  dh = dy t,  dx = dy (1 - t),  dz = dy (h - x) t (1 - t)."""

    def forward(self, z, h, x):
        y, t = self.new(z.shape), memory.empty(z.shape, z.dtype)
        self.call(gate.highway, [y, t], [z, h, x], [z.array.size])
        self.t, self.h, self.x = t, h.array, x.array
        return y

    def backward(self, dy):
        wanted = [self.grad(i) for i in range(3)]
        gradients = [memory.empty(dy.shape, dy.dtype) if dx is None else dx for dx in wanted]
        self.call(B.gate.highway, gradients, [dy, self.t, self.h, self.x], [dy.size])


def highway(gate, body, input):
    """t * body + (1 - t) * input, with t = sigmoid(gate), in one pass.

    Parameters
    ----------
    gate, body, input : Tensor, any shape, the same for all
        The gate before its sigmoid, what passes where it is open, and what passes where it is closed.

    References
    ----------
    Srivastava, Greff and Schmidhuber, "Training very deep networks", 2015.
    """
    input = as_tensor(input)
    tensors = {"gate": as_tensor(gate), "body": as_tensor(body)}
    for name, tensor in tensors.items():
        if tensor.shape != input.shape:
            raise ValueError(f"highway: {name} has shape {tensor.shape}, expected {input.shape} as of the input")
        if tensor.dtype != input.dtype:
            raise TypeError(f"highway: input is {input.dtype}, but {name} is {tensor.dtype}; expected the same dtype")
    if input.dtype.kind != "f":
        raise TypeError(f"highway: input: got dtype {input.dtype}, expected float32 or float64")
    return Highway().apply(*tensors.values(), input)
