"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import activation, arithmetic, images, linear, loss, matmul, reduce, shape, softmax

FAMILIES = [activation, arithmetic, images, linear, loss, matmul, reduce, shape, softmax]
OPS = [op for family in FAMILIES for op in family.OPS]
