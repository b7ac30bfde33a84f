import numpy as np
from op_table import Op

from minidl import functional as F


def torch_f(name):
    return getattr(__import__("torch").nn.functional, name)


def per_channel(values, x):
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def normalized(x, axes, mean=None, var=None):
    if not x.size:
        return x
    mean = x.mean(axes, keepdims=True) if mean is None else mean
    var = x.var(axes, keepdims=True) if var is None else var
    return (x - mean) / np.sqrt(var + 1e-5)


def batch_norm(x, weight=None, bias=None, mean=None, var=None):
    y = normalized(x, (0, *range(2, x.ndim)), *(None if s is None else per_channel(s, x) for s in (mean, var)))
    y = y if weight is None else y * per_channel(weight, x)
    return y if bias is None else y + per_channel(bias, x)


def group_norm(x, groups, weight, bias):
    y = normalized(x.reshape(x.shape[0], groups, -1), 2).reshape(x.shape) if x.size else x
    return y * per_channel(weight, x) + per_channel(bias, x)


def layer_norm(x, weight, bias):
    return normalized(x, tuple(range(x.ndim - weight.ndim, x.ndim))) * weight + bias


def rms_norm(x, weight, eps=2.0**-52):
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + eps) * weight if x.size else x


def train(x, w=None, b=None, **options):
    return F.batch_norm(x, None, None, w, b, True, **options)


def running(channels):
    """Running mean and variance of the evaluation cases."""
    return np.linspace(-1, 1, channels), np.linspace(0.5, 2, channels)


def evaluate(x, *affine, batch_norm=F.batch_norm, tensor=np.asarray, **options):
    dtype = str(x.dtype).removeprefix("torch.")
    return batch_norm(x, *(tensor(s.astype(dtype)) for s in running(x.shape[1])), *affine, **options)


def relu(x):
    return np.maximum(x, 0)


def wide(rng, shape):
    """Numbers far from 0, compared to their deviation."""
    return 100 + 0.5 * rng.standard_normal(shape)


def with_affine(*shapes):
    return [(shape, shape[1:2], shape[1:2]) for shape in shapes]


MATRICES = [(7, 5), (2, 1), (0, 3), (5, 70), (3, 32), (66, 3)]
IMAGES = [(3, 4, 5), (1, 2, 3, 3), (2, 3, 1, 1), (0, 2, 3), (2, 2, 0), (2, 2, 5, 7), (2, 1, 1, 40)]

OPS = [
    Op(
        "batch_norm",
        train,
        batch_norm,
        with_affine(*MATRICES, *IMAGES),
        torch=lambda x, w, b: torch_f("batch_norm")(x, None, None, w, b, True),
    ),
    Op(
        "batch_norm-plain",
        train,
        batch_norm,
        [((6, 5),), ((3, 2, 4),)],
        torch=lambda x: torch_f("batch_norm")(x, None, None, training=True),
    ),
    Op("batch_norm-weight", train, batch_norm, [((6, 5), (5,)), ((3, 2, 4), (2,))]),
    Op(
        "batch_norm-bias",
        lambda x, b: train(x, None, b),
        lambda x, b: batch_norm(x, None, b),
        [((6, 5), (5,)), ((3, 2, 4), (2,))],
    ),
    Op(
        "batch_norm-relu",
        lambda x, w, b: train(x, w, b, activation="relu"),
        lambda x, w, b: relu(batch_norm(x, w, b)),
        with_affine((6, 5), (5, 64), (0, 3), (3, 4, 5), (2, 2, 6, 6)),
        torch=lambda x, w, b: torch_f("batch_norm")(x, None, None, w, b, True).relu(),
    ),
    Op(
        "batch_norm-residual",
        lambda x, w, b, r: train(x, w, b, residual=r),
        lambda x, w, b, r: batch_norm(x, w, b) + r,
        [(shape, *affine, shape) for shape, *affine in with_affine((6, 5), (3, 4, 5), (0, 3))],
        torch=lambda x, w, b, r: torch_f("batch_norm")(x, None, None, w, b, True) + r,
    ),
    Op(
        "batch_norm-relu-residual",
        lambda x, w, b, r: train(x, w, b, residual=r, activation="relu"),
        lambda x, w, b, r: relu(batch_norm(x, w, b) + r),
        [(shape, *affine, shape) for shape, *affine in with_affine((6, 5), (5, 32), (3, 4, 5))],
        torch=lambda x, w, b, r: (torch_f("batch_norm")(x, None, None, w, b, True) + r).relu(),
    ),
    Op(
        "batch_norm-itself",
        lambda x: train(x, residual=x, activation="relu"),
        lambda x: relu(batch_norm(x) + x),
        [((6, 5),), ((3, 2, 4),)],
    ),
    Op(
        "batch_norm-eval",
        evaluate,
        lambda x, w, b: batch_norm(x, w, b, *running(x.shape[1])),
        with_affine((6, 5), (1, 1), (0, 3), (3, 64), (3, 4, 5), (1, 2, 1, 1), (2, 2, 0)),
        torch=lambda x, w, b: evaluate(x, w, b, batch_norm=torch_f("batch_norm"), tensor=__import__("torch").tensor),
    ),
    Op(
        "batch_norm-eval-relu-residual",
        lambda x, w, b, r: evaluate(x, w, b, activation="relu", residual=r),
        lambda x, w, b, r: relu(batch_norm(x, w, b, *running(x.shape[1])) + r),
        [(shape, *affine, shape) for shape, *affine in with_affine((6, 5), (3, 4, 5))],
    ),
    Op(
        "layer_norm",
        lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        layer_norm,
        [
            ((4, 6), (6,), (6,)),
            ((2, 3, 40), (40,), (40,)),
            ((2, 3, 4), (3, 4), (3, 4)),
            ((5,), (5,), (5,)),
            ((3, 1), (1,), (1,)),
            ((0, 4), (4,), (4,)),
            ((3, 0), (0,), (0,)),
        ],
        torch=lambda x, w, b: torch_f("layer_norm")(x, w.shape, w, b),
    ),
    Op(
        "layer_norm-plain",
        lambda x: F.layer_norm(x, x.shape[1:]),
        lambda x: normalized(x, tuple(range(1, x.ndim))),
        [((4, 6),), ((3, 2, 5),)],
        torch=lambda x: torch_f("layer_norm")(x, x.shape[1:]),
    ),
    Op(
        "layer_norm-weight",
        lambda x, w: F.layer_norm(x, 6, w),
        lambda x, w: layer_norm(x, w, 0),
        [((4, 6), (6,))],
        torch=lambda x, w: torch_f("layer_norm")(x, (6,), w),
    ),
    Op(
        "rms_norm",
        lambda x, w: F.rms_norm(x, w.shape, w),
        rms_norm,
        [
            ((4, 6), (6,)),
            ((2, 3, 70), (70,)),
            ((2, 3, 4), (3, 4)),
            ((5,), (5,)),
            ((3, 1), (1,)),
            ((0, 4), (4,)),
            ((3, 0), (0,)),
        ],
        torch=lambda x, w: torch_f("rms_norm")(x, w.shape, w),
    ),
    Op(
        "rms_norm-plain",
        lambda x: F.rms_norm(x, x.shape[1:], eps=0.1),
        lambda x: rms_norm(x, np.ones(x.shape[1:]), 0.1),
        [((4, 6),), ((3, 2, 17),)],
        torch=lambda x: torch_f("rms_norm")(x, x.shape[1:], eps=0.1),
    ),
    Op(
        "group_norm",
        lambda x, w, b: F.group_norm(x, 2, w, b),
        lambda x, w, b: group_norm(x, 2, w, b),
        with_affine((3, 4), (2, 6, 5), (2, 4, 3, 3), (1, 2, 2), (0, 4, 3), (2, 80, 1)),
        torch=lambda x, w, b: torch_f("group_norm")(x, 2, w, b),
    ),
    Op(
        "group_norm-empty",
        lambda x, w, b: F.group_norm(x, 2, w, b),
        lambda x, w, b: x,
        with_affine((2, 4, 0), (0, 4)),
    ),
    Op(
        "instance_norm-empty",
        lambda x, w, b: F.instance_norm(x, None, None, w, b),
        lambda x, w, b: x,
        with_affine((0, 2, 3), (2, 2, 0)),
    ),
    Op(
        "group_norm-1",
        lambda x, w, b: F.group_norm(x, 1, w, b),
        lambda x, w, b: group_norm(x, 1, w, b),
        with_affine((2, 3), (2, 3, 4)),
        torch=lambda x, w, b: torch_f("group_norm")(x, 1, w, b),
    ),
    Op(
        "group_norm-plain",
        lambda x: F.group_norm(x, 3),
        lambda x: group_norm(x, 3, np.ones(x.shape[1]), np.zeros(x.shape[1])),
        [((2, 6),), ((2, 6, 5),)],
        torch=lambda x: torch_f("group_norm")(x, 3),
    ),
    Op(
        "instance_norm",
        lambda x, w, b: F.instance_norm(x, None, None, w, b),
        lambda x, w, b: group_norm(x, x.shape[1], w, b),
        with_affine((2, 3, 5), (2, 1, 3, 40), (1, 2, 2)),
        torch=lambda x, w, b: torch_f("instance_norm")(x, None, None, w, b),
    ),
    Op(
        "instance_norm-eval",
        lambda x: evaluate(x, batch_norm=F.instance_norm, use_input_stats=False),
        lambda x: batch_norm(x, None, None, *running(x.shape[1])),
        [((2, 3, 5),), ((2, 3),)],
    ),
    Op("batch_norm-wide", lambda x: train(x), batch_norm, [((64, 6),), ((4, 2, 5, 5),)], sample=wide),
    Op(
        "layer_norm-wide",
        lambda x: F.layer_norm(x, x.shape[-1]),
        lambda x: normalized(x, -1),
        [((3, 50),)],
        sample=wide,
    ),
]
