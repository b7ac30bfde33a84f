"""How windows sweep over planes: the sizes and tables that `minidl.kernels.convolution` works from.

A correlation is ``y[m, r, q] = sum over c, i, j of w[m, c, i, j] x[c, r stride + rows[i], q stride + columns[j]]``;
`rows` and `columns` are the distances of the taps, and x is 0 outside. A convolution, the gradient of its input and a
transposed convolution are all of this form.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

from minidl.kernels.convolution import LANES

SCRATCH = 1 << 16  # elements that a strip's windows should fit into: they are read again for every tile of outputs
COPY = 0.25  # cycles to lay out an element
VECTORS = 64  # that correlate_weight should add up before it sums over the lanes


@dataclass(frozen=True)
class Sweep:
    """One correlation.

    Attributes
    ----------
    images, groups : int
    channels, size : int, (int, int)
        Channels per group and the height and width of x.
    outputs, plane : int, int
        Outputs per group and the number of elements in a plane of y.
    out : (int, int)
        Rows and columns of y that are computed.
    first, spacing : int, (int, int)
        Where they lie in a plane: the first, and how far apart rows and columns are, in elements.
    stride : (int, int)
    rows, columns : tuple of int
        Distances of the taps, in pixels of x; no taps give zeros.
    sources : tuple of int
        Where the weights of the taps of one channel are; those of the next are `channel_stride` further.
    channel_stride, output_stride, group_stride : int
        Steps in the weights.
    """

    images: int
    groups: int
    channels: int
    size: tuple
    outputs: int
    plane: int
    out: tuple
    first: int
    spacing: tuple
    stride: tuple
    rows: tuple
    columns: tuple
    sources: tuple
    channel_stride: int
    output_stride: int
    group_stride: int


@dataclass
class Layout:
    """What a sweep becomes for one dtype and number of threads.

    Attributes
    ----------
    sizes, weight_sizes : list of int
        Of the kernels `correlate` and `correlate_weight`.
    workspace, weight_workspace : int
        Elements of scratch memory that they need.
    taps, sources, places, runs : ndarray of int64
        Their tables.
    """

    sizes: list
    weight_sizes: list
    workspace: int
    weight_workspace: int
    taps: np.ndarray
    sources: np.ndarray
    places: np.ndarray
    runs: np.ndarray


@functools.lru_cache(1024)
def layout(sweep, dtype, threads, split=True):
    """The `Layout` of a sweep; with `split`, images are cut where there are fewer of them than threads.

    Sums over pixels are made strip by strip, so strips must not depend on the threads there.
    """
    lanes = LANES[dtype.name]
    axes = [_axis(taps, stride) for taps, stride in zip((sweep.rows, sweep.columns), sweep.stride, strict=True)]
    (pad_h, phases_h, phase_h, ahead_h), (pad_w, phases_w, phase_w, ahead_w) = axes
    (rows, columns), (step_h, step_w) = sweep.out, sweep.spacing
    beyond = max(ahead_h, default=0)  # rows that the windows of a strip see behind its last one
    copies = phases_h * (rows + beyond) * columns  # elements per channel and column of taps; wasted: cycles, likewise
    wasted = sweep.outputs * len(sweep.rows) * rows * (math.ceil(columns / lanes) - columns / lanes) / 2
    fits = 0 < sweep.channels * len(sweep.columns) * copies <= SCRATCH
    compact = fits and wasted > COPY * copies and _even(sweep.columns)
    phase_step = 1
    if compact:
        # A phase for every column of taps, as wide as the output: rows follow each other without a gap, and vectors run
        # on over their ends.
        phases_w, phase_w, ahead_w = len(sweep.columns), range(len(sweep.columns)), [0] * len(sweep.columns)
        phase_step = sweep.columns[1] - sweep.columns[0] if phases_w > 1 else 1
        pad_w = -sweep.columns[0]
    pitch = columns + max(ahead_w, default=0)
    strip = rows if compact else _strip_rows(sweep, phases_h * phases_w * pitch, beyond, threads if split else 1)
    strips = math.ceil(rows / strip) if strip else 0
    window = strip + beyond

    phase = window * pitch
    laid = phases_h * phases_w * phase
    taps = [
        (a * phases_w + b) * phase + up * pitch + left
        for a, up in zip(phase_h, ahead_h, strict=True)
        for b, left in zip(phase_w, ahead_w, strict=True)
    ]
    channels = np.arange(sweep.channels)[:, None]
    if not compact:
        places, runs = _by_rows(strip, columns, pitch, lanes)
    elif (step_h, step_w) == (columns, 1):  # as if there were one long row
        places, runs = _by_rows(1, rows * columns, rows * columns, lanes)
    else:
        places, runs = _running(rows, columns, lanes)
    runs = np.array(runs, np.int64).reshape(-1, 4)
    runs[:, 2] = sweep.first + runs[:, 3] * step_h + runs[:, 2] * step_w
    depth = sweep.channels * len(taps)
    furthest = max((start for start, _ in places[:-1]), default=0) + max(taps, default=0) + lanes
    extent = _round(max(sweep.channels, 1) * laid + max(furthest - laid, 0) + lanes)
    vectors = len(places) - 1
    together = max(1, min(sweep.images, math.ceil(VECTORS / max(vectors, 1))))
    while together > 1 and together * (extent + sweep.outputs * vectors * lanes) > 2 * SCRATCH:
        together -= 1
    scratch = _round(together * (extent + sweep.outputs * vectors * lanes) + 16 * sweep.outputs)
    sizes = [
        sweep.images, sweep.groups, sweep.channels, *sweep.size, *sweep.stride, pad_h, pad_w, phases_h, phases_w,
        phase_step, window, pitch, extent, sweep.outputs, sweep.plane, step_w, rows, strip, strips, strip * step_h,
        vectors, depth, sweep.group_stride, sweep.output_stride, together, threads,
    ]  # fmt: skip
    return Layout(
        [*sizes, extent],
        [*sizes, scratch],
        _round(sweep.groups * sweep.outputs * depth) + threads * extent,
        threads * scratch,
        _flat(channels * laid + np.array(taps, np.int64)),
        _flat(channels * sweep.channel_stride + np.array(sweep.sources, np.int64)),
        np.array(places, np.int64),
        runs,
    )


def _flat(table):
    return np.ascontiguousarray(table.reshape(-1))


def _axis(taps, stride):
    """Padding before the first pixel, number of phases, and each tap's phase and distance in it."""
    if not taps:
        return 0, 0, [], []
    first = min(taps)
    phases = min(stride, max(taps) - first + 1)
    return -first, phases, [(tap - first) % stride for tap in taps], [(tap - first) // stride for tap in taps]


def _strip_rows(sweep, row, beyond, threads):
    """Rows of y to work on at a time: as many as fit into the scratch, but so few that all threads have work."""
    rows = sweep.out[0]
    fit = SCRATCH // max(sweep.channels * row, 1) - beyond
    tasks = sweep.images * sweep.groups
    share = math.ceil(rows / math.ceil(threads / tasks)) if 0 < tasks < threads else rows
    strip = max(min(rows, fit, max(share, 4)), min(rows, 1))
    return math.ceil(rows / math.ceil(rows / strip)) if strip else 0


def _even(numbers):
    """Whether they are equally far from each other."""
    return len({b - a for a, b in itertools.pairwise(numbers)}) <= 1


def _by_rows(rows, columns, pitch, lanes):
    """Where each vector of outputs begins and its first run, and all runs (begin, end, column, row)."""
    places: list[tuple] = []
    runs: list[tuple] = []
    for row in range(rows):
        for i in range(math.ceil(columns / lanes)):
            column = max(min(i * lanes, columns - lanes), 0)  # the last vector overlaps the one before
            places.append((row * pitch + column, len(runs)))
            runs.append((0, min(lanes, columns), column, row))
    return [*places, (0, len(runs))], runs


def _running(rows, columns, lanes):
    """The same for vectors that run on over the ends of rows, between which there is no gap."""
    places: list[tuple] = []
    runs: list[tuple] = []
    for start in range(0, rows * columns, lanes):
        places.append((start, len(runs)))
        for row in range(start // columns, min((start + lanes - 1) // columns + 1, rows)):
            begin, end = max(row * columns, start), min((row + 1) * columns, start + lanes)
            runs.append((begin - start, end - start, begin - row * columns, row))
    return [*places, (0, len(runs))], runs


def _round(size):
    """Whole cache lines of float32."""
    return -(-size // 16) * 16
