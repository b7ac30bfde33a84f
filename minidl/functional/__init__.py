"""The operations, one family per file: a node class with its two formulas, and the function that users call."""

from minidl.functional.activation import relu
from minidl.functional.linear import linear

__all__ = ["linear", "relu"]
