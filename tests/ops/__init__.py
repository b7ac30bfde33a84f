"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import (
    activation,
    arithmetic,
    convolution,
    embedding,
    linear,
    loss,
    matmul,
    normalization,
    pooling,
    reduce,
    resampling,
    sequence,
    shape,
    softmax,
)

FAMILIES = [
    activation,
    arithmetic,
    convolution,
    embedding,
    linear,
    loss,
    matmul,
    normalization,
    pooling,
    reduce,
    resampling,
    sequence,
    shape,
    softmax,
]
OPS = [op for family in FAMILIES for op in family.OPS]
