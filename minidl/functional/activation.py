"""Activations."""

from minidl.engine import Node
from minidl.functional import _backward as B
from minidl.kernels import activation as K


class ReLU(Node):
    """y = max(x, 0);  dx = dy where y > 0, else 0."""

    def forward(self, x):
        y = self.new(x.shape)
        self.call(K.relu, [y], [x], [x.array.size])
        self.y = y.array
        return y

    def backward(self, dy):
        self.call(B.activation.relu, [self.grad()], [dy, self.y], [dy.size])


def relu(input):
    """max(input, 0), elementwise; NaN stays NaN.

    Parameters
    ----------
    input : Tensor, any shape

    Returns
    -------
    Tensor of the same shape
    """
    return ReLU().apply(input)
