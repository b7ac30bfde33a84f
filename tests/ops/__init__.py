"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import (
    activation,
    arithmetic,
    attention,
    convolution,
    embedding,
    gradient,
    linear,
    loss,
    matmul,
    normalization,
    pooling,
    recurrent,
    reduce,
    resampling,
    sequence,
    shape,
    softmax,
)

FAMILIES = [
    activation,
    arithmetic,
    attention,
    convolution,
    embedding,
    gradient,
    linear,
    loss,
    matmul,
    normalization,
    pooling,
    recurrent,
    reduce,
    resampling,
    sequence,
    shape,
    softmax,
]
OPS = [op for family in FAMILIES for op in family.OPS]
