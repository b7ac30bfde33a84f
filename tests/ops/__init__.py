"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import activation, linear, loss, softmax

OPS = [*activation.OPS, *linear.OPS, *loss.OPS, *softmax.OPS]
