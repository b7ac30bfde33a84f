import numpy as np
from op_table import Op, apart

from minidl import functional as F


def fixed(size, kernel, stride, padding, dilation, ceil_mode):
    """(first, stop) of every window along one dimension, padding included."""
    steps = (size + 2 * padding - dilation * (kernel - 1) - 1) / stride
    count = int(np.ceil(steps) if ceil_mode else np.floor(steps)) + 1
    starts = [o * stride - padding for o in range(count) if o * stride - padding < size]
    return [(start, start + dilation * (kernel - 1) + 1) for start in starts]


def adaptive(size, count):
    return [(int(np.floor(o * size / count)), int(np.ceil((o + 1) * size / count))) for o in range(count)]


def pool(x, rows, columns, fold, dilation=(1, 1)):
    """fold(elements, row window, column window) of every window; x: (..., H, W)."""
    y = np.empty((*x.shape[:-2], len(rows), len(columns)))
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            h, w = [
                [i for i in range(*window, step) if 0 <= i < size]
                for window, step, size in zip((row, column), dilation, x.shape[-2:], strict=True)
            ]
            y[..., r, c] = fold(x[..., h, :][..., w], row, column)
    return y


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    axes = zip(*map(pair, (kernel_size, stride or kernel_size, padding, dilation)), strict=True)
    windows = [fixed(size, *axis, ceil_mode) for size, axis in zip(x.shape[-2:], axes, strict=True)]
    return pool(x, *windows, lambda v, row, column: v.max((-2, -1)), pair(dilation))


def avg_pool(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    axes = list(zip(*map(pair, (kernel_size, stride or kernel_size, padding)), strict=True))
    windows = [fixed(size, *axis, 1, ceil_mode) for size, axis in zip(x.shape[-2:], axes, strict=True)]

    def fold(v, row, column):
        cut = [
            min(window[1], size + axis[2]) - window[0]
            for window, size, axis in zip((row, column), x.shape[-2:], axes, strict=True)
        ]
        number = cut[0] * cut[1] if count_include_pad else v.shape[-2] * v.shape[-1]
        return v.sum((-2, -1)) / (divisor_override or number)

    return pool(x, *windows, fold)


def adaptive_pool(x, output_size, fold):
    counts = [size if count is None else count for size, count in zip(x.shape[-2:], pair(output_size), strict=True)]
    windows = [adaptive(*each) for each in zip(x.shape[-2:], counts, strict=True)]
    return pool(x, *windows, lambda v, row, column: fold(v, (-2, -1)))


def flat(reference):
    """A 2-d reference for 1-d inputs."""

    def one(x, size, stride=None, padding=0, *rest, **options):
        return reference(x[..., None, :], (1, size), (1, stride or size), (0, padding), *rest, **options)[..., 0, :]

    return one


SHAPES_2D = [((2, 3, 6, 8),), ((2, 7, 5),), ((1, 1, 4, 4),), ((0, 2, 5, 6),)]
SHAPES_1D = [((2, 3, 9),), ((3, 8),), ((1, 1, 4),), ((0, 2, 5),)]


def op(name, label, reference, shapes, *args, **options):
    """One function with some arguments, next to the reference and to PyTorch's."""
    return Op(
        f"{name}-{label}",
        lambda x: getattr(F, name)(x, *args, **options),
        lambda x: reference(x, *args, **options),
        shapes,
        sample=apart,
        torch=lambda x: getattr(__import__("torch").nn.functional, name)(x, *args, **options),
    )


def adaptive_max(x, output_size):
    return adaptive_pool(x, output_size, np.max)


def adaptive_mean(x, output_size):
    return adaptive_pool(x, output_size, np.mean)


def adaptive_max_1d(x, output_size):
    return adaptive_max(x[..., None, :], (1, output_size))[..., 0, :]


def adaptive_mean_1d(x, output_size):
    return adaptive_mean(x[..., None, :], (1, output_size))[..., 0, :]


OPS = [
    op("max_pool2d", "2", max_pool, [*SHAPES_2D, ((3, 4, 2),), ((1, 10, 36),)], 2),
    op("max_pool2d", "2-ceil", max_pool, SHAPES_2D, 2, ceil_mode=True),
    op("max_pool2d", "3-stride-1-padding", max_pool, SHAPES_2D, 3, 1, 1),
    op("max_pool2d", "3-stride-2-padding-ceil", max_pool, SHAPES_2D, 3, 2, 1, ceil_mode=True),
    op("max_pool2d", "2-stride-3-gaps", max_pool, SHAPES_2D, 2, 3),
    op("max_pool2d", "2-dilation", max_pool, SHAPES_2D, 2, (1, 2), 1, (3, 2)),
    op("max_pool2d", "oblong", max_pool, [((1, 3, 70),)], (2, 3), (3, 1), (0, 1)),
    op("max_pool2d", "more-places-than-a-byte", max_pool, [((1, 17, 18),)], (16, 17), 1),
    op("max_pool2d", "whole", max_pool, [((2, 3, 3, 4),), ((1, 3, 4),), ((0, 1, 3, 4),)], (3, 4)),
    op("max_pool1d", "2", flat(max_pool), [*SHAPES_1D, ((2, 150),)], 2),
    op("max_pool1d", "3-stride-1-padding", flat(max_pool), SHAPES_1D, 3, 1, 1),
    op("max_pool1d", "4-stride-3-padding-ceil", flat(max_pool), SHAPES_1D, 4, 3, 1, ceil_mode=True),
    op("avg_pool2d", "2", avg_pool, [*SHAPES_2D, ((3, 4, 2),), ((1, 10, 36),)], 2),
    op("avg_pool2d", "3-stride-1-padding", avg_pool, SHAPES_2D, 3, 1, 1),
    op("avg_pool2d", "3-stride-2-padding-ceil", avg_pool, SHAPES_2D, 3, 2, 1, True),
    op("avg_pool2d", "3-stride-2-no-pad-counted", avg_pool, SHAPES_2D, 3, 2, 1, True, False),
    op("avg_pool2d", "2-divisor", avg_pool, SHAPES_2D, 2, 1, 1, divisor_override=3),
    op("avg_pool2d", "oblong", avg_pool, [((1, 3, 70),)], (2, 3), (3, 1), (0, 1)),
    op("avg_pool2d", "whole", avg_pool, [((2, 3, 3, 4),), ((1, 3, 4),), ((0, 1, 3, 4),)], (3, 4)),
    op("avg_pool2d", "whole-divisor", avg_pool, [((2, 3, 4),)], (3, 4), divisor_override=-5),
    op("avg_pool1d", "2", flat(avg_pool), [*SHAPES_1D, ((2, 150),)], 2),
    op("avg_pool1d", "4-stride-3-padding-ceil", flat(avg_pool), SHAPES_1D, 4, 3, 1, True),
    op("avg_pool1d", "3-no-pad-counted", flat(avg_pool), SHAPES_1D, 3, 1, 1, False, False),
    op("adaptive_max_pool2d", "1", adaptive_max, SHAPES_2D, 1),
    op("adaptive_max_pool2d", "uneven", adaptive_max, SHAPES_2D, (3, 4)),
    op("adaptive_max_pool2d", "larger", adaptive_max, [((2, 3, 2, 3),)], (4, 5)),
    op("adaptive_max_pool2d", "kept", adaptive_max, SHAPES_2D, (None, 2)),
    op("adaptive_max_pool1d", "2", adaptive_max_1d, SHAPES_1D, 2),
    op("adaptive_max_pool1d", "1", adaptive_max_1d, SHAPES_1D, 1),
    op("adaptive_avg_pool2d", "1", adaptive_mean, SHAPES_2D, 1),
    op("adaptive_avg_pool2d", "uneven", adaptive_mean, SHAPES_2D, (3, 4)),
    op("adaptive_avg_pool2d", "larger", adaptive_mean, [((2, 3, 2, 3),)], (4, 5)),
    op("adaptive_avg_pool2d", "kept", adaptive_mean, SHAPES_2D, (None, 2)),
    Op(  # PyTorch has the value, but no gradient
        "adaptive_avg_pool2d-nothing",
        lambda x: F.adaptive_avg_pool2d(x, (0, 2)),
        lambda x: adaptive_mean(x, (0, 2)),
        [((2, 3, 3),)],
    ),
    op("adaptive_avg_pool1d", "2", adaptive_mean_1d, SHAPES_1D, 2),
    op("adaptive_avg_pool1d", "1", adaptive_mean_1d, SHAPES_1D, 1),
]
