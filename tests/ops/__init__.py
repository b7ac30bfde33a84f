"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import activation, linear, loss, matmul, shape, softmax

OPS = [*activation.OPS, *linear.OPS, *loss.OPS, *matmul.OPS, *shape.OPS, *softmax.OPS]
