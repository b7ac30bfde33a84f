"""Reductions."""

import math

import numpy as np
from op_table import Op, apart, normal, positive

from minidl import functional as F

ANY = [((3, 4),), ((1,),), ((),), ((5, 33),), ((2, 3, 4),), ((2, 70, 3),), ((200,),)]
EMPTY = [((0, 4),)]
# dim, and the shapes that have it
DIMS = [
    (None, ANY),
    (0, [((3, 4),), ((1,),), ((),), ((5, 33),), ((2, 70, 3),)]),
    (-1, [((3, 4),), ((2, 1),), ((5, 133),)]),
    (1, [((2, 3, 4),), ((2, 1, 4),), ((0, 2, 3),), ((2, 70, 3),)]),
]
TUPLES = [((0, 2), [((2, 3, 4),), ((2, 1, 1, 3),), ((1, 3, 1),)]), ((-1, 1), [((2, 3, 4),)])]


def family(name, function, reference, torch, sample=normal, dims=DIMS, differentiable=True):
    """One Op for each `dim`, with and without keepdim."""
    for dim, shapes in dims:
        for keepdim in (False, True):
            axis = dim if dim is None or isinstance(dim, tuple) else (dim,)

            def ours(x, dim=dim, keepdim=keepdim):
                return function(x, dim, keepdim=keepdim)

            def numpys(x, axis=axis, keepdim=keepdim):
                return reference(x, axis=axis if x.ndim else None, keepdims=keepdim)

            def theirs(x, dim=dim, keepdim=keepdim):
                every = tuple(range(x.ndim)) if dim is None else dim
                return torch(x, every, keepdim)

            yield Op(
                f"{name} {dim}{' keepdim' * keepdim}", ours, numpys, shapes, sample,
                torch=torch and theirs, differentiable=differentiable,
            )  # fmt: skip


def index(reference):
    """The same for one axis in a tuple."""
    return lambda x, axis, keepdims: reference(x, axis=axis and axis[0], keepdims=keepdims)


def logsumexp(x, axis, keepdims):
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def norm(p):
    return lambda x, axis, keepdims: (abs(x) ** p).sum(axis=axis, keepdims=keepdims) ** (1 / p)


FEW = [
    (dim, [case for case in shapes if case not in (((1,),), ((),), ((2, 1),), ((2, 1, 4),))]) for dim, shapes in DIMS
]
SINGLE = DIMS[1:]
# a product of many is too large for differences
SHORT = [(dim, [case for case in shapes if np.prod(case[0]) < 100]) for dim, shapes in SINGLE]

OPS = [
    *family("sum", F.sum, np.sum, lambda x, d, k: x.sum(d, k), dims=[*DIMS, *TUPLES, (None, EMPTY), (0, EMPTY), (1, EMPTY)]),
    *family("mean", F.mean, np.mean, lambda x, d, k: x.mean(d, k), dims=[*DIMS, *TUPLES, (1, EMPTY)]),
    *family("var", F.var, lambda x, axis, keepdims: x.var(axis, ddof=1, keepdims=keepdims), lambda x, d, k: x.var(d, keepdim=k), dims=[*FEW, TUPLES[1]]),
    *family("std", F.std, lambda x, axis, keepdims: x.std(axis, ddof=1, keepdims=keepdims), lambda x, d, k: x.std(d, keepdim=k), dims=[*FEW, TUPLES[1]]),
    *family("norm", lambda x, d, keepdim: F.norm(x, 2, d, keepdim), norm(2), lambda x, d, k: x.norm(2, d, k), apart, dims=[*DIMS, *TUPLES]),
    *family("norm 1", lambda x, d, keepdim: F.norm(x, 1, d, keepdim), norm(1), lambda x, d, k: x.norm(1, d, k), apart, dims=[*DIMS, *TUPLES]),
    *family("norm 3", lambda x, d, keepdim: F.norm(x, 3, d, keepdim), norm(3), lambda x, d, k: x.norm(3, d, k), apart, dims=TUPLES),
    *family("norm inf", lambda x, d, keepdim: F.norm(x, math.inf, d, keepdim), lambda x, axis, keepdims: abs(x).max(axis, keepdims=keepdims), lambda x, d, k: x.norm(math.inf, d, k), apart, dims=TUPLES),
    *family("logsumexp", F.logsumexp, logsumexp, lambda x, d, k: x.logsumexp(d, k), dims=[*DIMS, *TUPLES]),
    *family("prod", F.prod, np.prod, lambda x, d, k: x.prod(d, k), positive, dims=[*SHORT, (0, EMPTY), (1, EMPTY)]),
    *family("prod", F.prod, np.prod, None, positive, dims=[(None, ANY[:5])]),
    *family("amax", F.amax, np.max, lambda x, d, k: x.amax(d, k), apart, dims=[*DIMS, *TUPLES, (1, EMPTY)]),
    *family("amin", F.amin, np.min, lambda x, d, k: x.amin(d, k), apart, dims=[*DIMS, *TUPLES, (1, EMPTY)]),
    *family("max", lambda x, d, keepdim: F.max(x, d, keepdim)[0], np.max, lambda x, d, k: x.max(d, k)[0], apart, dims=[*SINGLE, (1, EMPTY)]),
    *family("min", lambda x, d, keepdim: F.min(x, d, keepdim)[0], np.min, lambda x, d, k: x.min(d, k)[0], apart, dims=[*SINGLE, (1, EMPTY)]),
    *family("argmax", F.argmax, index(np.argmax), lambda x, d, k: x.argmax(d, k), apart, dims=SINGLE, differentiable=False),
    *family("argmin", F.argmin, index(np.argmin), lambda x, d, k: x.argmin(d, k), apart, dims=SINGLE, differentiable=False),
    *family("argmax", F.argmax, np.argmax, None, apart, dims=[(None, ANY)], differentiable=False),
    *family("any", lambda x, d, keepdim: F.any(x > 1, d, keepdim), lambda x, axis, keepdims: (x > 1).any(axis, keepdims=keepdims), None, dims=[*DIMS, *TUPLES, (0, EMPTY)], differentiable=False),
    *family("all", lambda x, d, keepdim: F.all(x < 1, d, keepdim), lambda x, axis, keepdims: (x < 1).all(axis, keepdims=keepdims), None, dims=[*DIMS, *TUPLES, (0, EMPTY)], differentiable=False),
    Op("max of all", F.max, np.max, ANY, apart, torch=lambda x: x.max()),
    Op("min of all", F.min, np.min, ANY, apart, torch=lambda x: x.min()),
    Op("max of two", lambda x, y: x.max(y), np.maximum, [((3, 4), (4,))], [apart, normal], torch=lambda x, y: x.max(y)),
    Op("var 0", lambda x: x.var(0, correction=0), lambda x: x.var(0), [((3, 4),), ((1, 2),)], torch=lambda x: x.var(0, correction=0)),
]  # fmt: skip
