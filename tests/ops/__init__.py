"""The declarations of all operations, one file per family of `minidl.functional`."""

from ops import (
    activation,
    arithmetic,
    attention,
    convolution,
    embedding,
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
    weight_norm,
)

FAMILIES = [
    activation,
    arithmetic,
    attention,
    convolution,
    embedding,
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
    weight_norm,
]
OPS = [op for family in FAMILIES for op in family.OPS]
