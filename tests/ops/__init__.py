"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import activation, linear, matmul, shape

OPS = [*activation.OPS, *linear.OPS, *matmul.OPS, *shape.OPS]
