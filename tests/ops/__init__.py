"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import activation, linear

OPS = [*activation.OPS, *linear.OPS]
