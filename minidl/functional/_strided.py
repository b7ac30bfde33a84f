"""Strided copies: NumPy says where the elements of a view are, a kernel copies them."""

from minidl.engine.memory import address
from minidl.kernels import index as K
from minidl.kernels.elementwise import fill


def copy_view(caller, to, to_view, source, source_view):
    """Let `caller` call the copy of one view to another.

    Parameters
    ----------
    caller : Caller
    to, source : ndarray
        Contiguous buffers.
    to_view, source_view : ndarray
        Views of them, of the same shape.
    """
    if not to_view.size:
        return
    sizes, strides, others = merge(to_view.shape, to_view.strides, source_view.strides)
    item = to.itemsize
    offsets = [(address(to_view) - address(to)) // item, (address(source_view) - address(source)) // item]
    strides, others = [stride // item for stride in strides], [stride // item for stride in others]
    caller.call(K.strided_copy, [to], [source], [len(sizes), *offsets, *sizes, *strides, *others])


def scatter_view(caller, to, to_view, source):
    """Let `caller` call the copy of all of `source` to a view of `to`, and zero the rest of `to`."""
    if to_view.size < to.size:
        caller.call(fill, [to], [], [to.size], [0.0])
    copy_view(caller, to, to_view, source, source)


def merge(sizes, strides, others):
    """Describe the same elements with as few dimensions as possible, two at least; the innermost two are the tile.

    The last dimension is that of the smallest step in the target, the one before that of the smallest step in the
    source: a transposition, however deep it hides, is done in square tiles.
    """
    merged: list[tuple[int, int, int]] = []
    for size, stride, other in zip(sizes, strides, others, strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1:] == (stride * size, other * size):
            merged[-1] = (merged[-1][0] * size, stride, other)
        else:
            merged.append((size, stride, other))
    merged.sort(key=lambda dimension: -abs(dimension[1]))
    if len(merged) > 2:
        rows = min(merged[:-1], key=lambda dimension: abs(dimension[2]) or float("inf"))
        merged.remove(rows)
        merged.insert(-1, rows)
    merged = [(1, 0, 0)] * (2 - len(merged)) + merged
    return zip(*merged, strict=True)
