import itertools

import numpy as np
from op_table import Op

from minidl import functional as F


def torch():
    """Imported late: only the parity tests need it."""
    return __import__("torch").nn.functional


# Padding ---------------------------------------------------------------------------------------------------------


def padding(name, pad, shapes, mode="constant", value=None):
    """One row: PyTorch's `pad`, which names the last dimension first, next to NumPy's."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    options = {"constant_values": value or 0} if mode == "constant" else {}

    def reference(x):
        if not pairs:
            return x
        widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs
        numpys = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
        cut = [slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, widths, strict=True)]
        return np.pad(x[tuple(cut)], [(max(low, 0), max(high, 0)) for low, high in widths], numpys, **options)

    return Op(
        name,
        lambda x: F.pad(x, pad, mode, value),
        reference,
        shapes,
        torch=lambda x: torch().pad(x, pad, mode, value),
    )


PADDING = [
    padding("pad", (1, 2, 0, 1), [((2, 3),), ((2, 1, 1),), ((0, 2),)], value=0.5),
    padding("pad_none", (), [((2, 3),), ((),)]),
    padding("pad_negative", (-1, 2), [((2, 3),), ((1,),), ((0, 2),)]),
    padding("pad_all_dims", (1, 0, -1, 2, 0, 1), [((2, 3, 2),), ((1, 1, 2, 1),)], value=-1.0),
    *[
        row
        for mode in ("reflect", "replicate", "circular")
        for row in (
            padding(f"pad_{mode}", (2, 1, 1, 0), [((2, 1, 3, 4),), ((0, 2, 3, 3),), ((2, 2, 3),)], mode),
            padding(f"pad_{mode}_1d", (2, 3), [((2, 1, 4),), ((3, 5),), ((0, 1, 4),)], mode),
            padding(f"pad_{mode}_negative", (-1, 1, 1, -2), [((1, 2, 4, 3),)], mode),
            padding(f"pad_{mode}_nothing", (0, 0), [((2, 1, 3),), ((2, 2, 1),)], mode),
        )
    ],
    padding("pad_replicate_one", (2, 3, 1, 2), [((1, 2, 1, 1),), ((1, 1, 1, 3),)], "replicate"),
    padding("pad_circular_whole", (3, 3, 2, 2), [((1, 2, 2, 3),)], "circular"),
    padding("pad_reflect_3d", (1, 0, 1, 2, 1, 1), [((1, 2, 2, 3, 2),)], "reflect"),
]
PADDING[[op.name for op in PADDING].index("pad_reflect_nothing")].torch = None  # PyTorch reflects no axis of size 1


# Interpolation ---------------------------------------------------------------------------------------------------


def positions(size, count, scale, mode, align_corners):
    """Where the elements of the output lie in the input, from the definition of the mode."""
    scale = scale or count / size
    i = np.arange(count)
    if align_corners:
        return i * (size - 1) / max(count - 1, 1)
    return i / scale if mode == "nearest" else (i + 0.5) / scale - 0.5


def resized(x, counts, scales, mode, align_corners):
    """Axis by axis, with the nearest element or NumPy's own linear interpolation."""
    for axis, (count, scale) in enumerate(zip(counts, scales, strict=True), start=2):
        size = x.shape[axis]
        at = positions(size, count, scale, mode, align_corners)
        if "nearest" in mode:
            index = np.floor(at + 0.5 * (mode == "nearest-exact") + 1e-12).astype(int)
            x = x.take(index.clip(0, size - 1), axis)
        elif x.size:
            x = np.apply_along_axis(lambda line, at=at: np.interp(at, np.arange(len(line)), line), axis, x)
        else:
            x = np.zeros((*x.shape[:axis], count, *x.shape[axis + 1 :]))
    return x


def interpolation(name, shapes, mode="nearest", size=None, scale=None, align_corners=None, recompute=None):
    arguments = {"size": size, "scale_factor": scale, "mode": mode, "align_corners": align_corners}

    def reference(x):
        dims = x.ndim - 2
        if size is not None:
            return resized(x, size if isinstance(size, tuple) else (size,) * dims, (None,) * dims, mode, align_corners)
        scales = scale if isinstance(scale, tuple) else (scale,) * dims
        counts = [int(length * factor) for length, factor in zip(x.shape[2:], scales, strict=True)]
        return resized(x, counts, (None,) * dims if recompute else scales, mode, align_corners)

    return Op(
        name,
        lambda x: F.interpolate(x, **arguments, recompute_scale_factor=recompute),
        reference,
        shapes,
        torch=lambda x: torch().interpolate(x, **arguments, recompute_scale_factor=recompute),
    )


LINES, IMAGES = [((2, 3, 4),), ((1, 1, 1),), ((0, 2, 3),)], [((2, 1, 3, 4),), ((1, 2, 1, 1),), ((0, 2, 3, 2),)]

INTERPOLATION = [
    interpolation("nearest_1d", LINES, scale=2),
    interpolation("nearest_size_1d", LINES, size=7),
    interpolation("nearest", IMAGES, scale=2),
    interpolation("nearest_scales", [((1, 2, 5, 5),)], scale=(1.7, 0.5)),
    interpolation("nearest_size", IMAGES, size=(5, 2)),
    interpolation("nearest_same", IMAGES, size=3),
    interpolation("nearest_recomputed", [((1, 2, 5, 5),)], scale=1.5, recompute=True),
    interpolation("nearest_exact", IMAGES, "nearest-exact", scale=(3, 2)),
    interpolation("nearest_exact_size", [((1, 2, 7, 5),)], "nearest-exact", size=(4, 8)),
    interpolation("linear", LINES, "linear", scale=2),
    interpolation("linear_size", [*LINES, ((2, 3, 9),)], "linear", size=5),
    interpolation("linear_corners", LINES, "linear", size=7, align_corners=True),
    interpolation("bilinear", IMAGES, "bilinear", scale=2),
    interpolation("bilinear_scales", [((1, 2, 5, 6),)], "bilinear", scale=(1.7, 0.5)),
    interpolation("bilinear_recomputed", [((1, 2, 5, 6),)], "bilinear", scale=(1.7, 0.7), recompute=True),
    interpolation("bilinear_size", IMAGES, "bilinear", size=(2, 9), align_corners=False),
    interpolation("bilinear_corners", IMAGES, "bilinear", size=(5, 3), align_corners=True),
    interpolation("bilinear_to_one", [((2, 1, 3, 4),)], "bilinear", size=1, align_corners=True),
]


# Windows ---------------------------------------------------------------------------------------------------------


def windows(size, kernel_size, dilation, padding, stride):
    """For every window the image's rows (or columns) of its elements, and which of them lie in the image."""
    count = (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1
    at = stride * np.arange(count)[:, None] + dilation * np.arange(kernel_size) - padding
    return at, (at >= 0) & (at < size)


def pairs_of(*settings):
    return zip(*((value, value) if isinstance(value, int) else value for value in settings), strict=True)


def places(size, settings):
    """(row of the columns within a channel, column, row and column of the image) for every element in the image."""
    (rows, rows_in), (columns, columns_in) = (
        windows(length, *axis) for length, axis in zip(size, pairs_of(*settings), strict=True)
    )
    for (i, a), (j, b) in itertools.product(np.argwhere(rows_in), np.argwhere(columns_in)):
        yield a * columns.shape[1] + b, i * len(columns) + j, rows[i, a], columns[j, b]


def unfolded(x, settings):
    if x.ndim == 3:
        return unfolded(x[None], settings)[0]
    (rows, _), (columns, _) = (
        windows(size, *axis) for size, axis in zip(x.shape[2:], pairs_of(*settings), strict=True)
    )
    y = np.zeros((*x.shape[:2], rows.shape[1] * columns.shape[1], len(rows) * len(columns)))
    for k, column, r, c in places(x.shape[2:], settings):
        y[:, :, k, column] = x[:, :, r, c]
    return y.reshape(len(x), x.shape[1] * y.shape[2], y.shape[3])


def folded(x, size, settings):
    if x.ndim == 2:
        return folded(x[None], size, settings)[0]
    area = np.prod(settings[0]) if isinstance(settings[0], tuple) else settings[0] ** 2
    channels = x.shape[1] // area
    x, y = x.reshape(len(x), channels, area, x.shape[2]), np.zeros((len(x), channels, *size))
    for k, column, r, c in places(size, settings):
        y[:, :, r, c] += x[:, :, k, column]
    return y


def sliding(name, size, *settings, batches=((2,),)):
    """Rows for both directions on images of `size` with 2 channels."""
    rows, columns = unfolded(np.zeros((1, 2, *size)), settings).shape[1:]
    return [
        Op(
            f"unfold_{name}",
            lambda x: F.unfold(x, *settings),
            lambda x: unfolded(x, settings),
            [((*batch, 2, *size),) for batch in batches],
            torch=lambda x: torch().unfold(x, *settings),
        ),
        Op(
            f"fold_{name}",
            lambda x: F.fold(x, size, *settings),
            lambda x: folded(x, size, settings),
            [((*batch, rows, columns),) for batch in batches],
            torch=lambda x: torch().fold(x, size, *settings),
        ),
    ]


WINDOWS = [
    *sliding("plain", (4, 5), 3, 1, 0, 1, batches=((2,), (1,), (0,), ())),
    *sliding("pairs", (4, 6), (2, 3), (1, 2), (1, 0), (2, 1)),
    *sliding("padded", (3, 4), 3, 2, 2, 1),
    *sliding("strided", (7, 8), 2, 1, 1, 3),
    *sliding("only_padding", (1, 1), 1, 1, 2, 2),
    *sliding("one", (1, 1), 1, 1, 0, 1),
    *sliding("wide", (12, 17), 5, 1, 2, 2),
]

OPS = [*PADDING, *INTERPOLATION, *WINDOWS]
