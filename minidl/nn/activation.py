"""Activations as modules; the formulas are in `minidl.functional`.

`inplace` is accepted for PyTorch's sake and changes nothing: the result is a new tensor.
"""

from minidl import functional as F
from minidl.nn.module import Module


class _Activation(Module):
    """An activation whose only argument is `inplace`."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class ReLU(_Activation):
    """max(x, 0)."""

    def forward(self, input):
        return F.relu(input)
