"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import activation, arithmetic, linear, reduce

OPS = [*activation.OPS, *arithmetic.OPS, *linear.OPS, *reduce.OPS]
