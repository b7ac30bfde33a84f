"""The gradient flow as SVG: a profile over the layers, and heat maps over the steps."""

from html import escape

import numpy as np

from minidl.diagnose.flow import decades, number, thinned
from minidl.diagnose.picture import shortened
from minidl.diagnose.svg import Axis, drawing, line, path_of, tag, words

COLUMNS, COLORS = 150, 48  # most columns of a heat map, steps of its colours
NAME = 26  # most characters of a layer's name
WIDTH, LEFT = 560, 180
QUANTITIES = {"signal": "signal |dE/dy| per sample", "gradient": "weight gradient |dE/dW|"}
VIRIDIS = [(68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
           (170, 220, 50), (253, 231, 37)]  # fmt: skip


def profile(flow):
    """Signal and weight gradient of every layer, the first at the top."""
    row, top = row_height(flow), 44
    bottom = top + row * len(flow.rows)
    low, high = decades(flow.now("signal"), flow.now("gradient"))
    axis = Axis((low, high), LEFT, WIDTH - 40, log=True)
    parts = [line(x, top, x, bottom, "grid") + words(text, x, bottom + 16, "middle") for x, text in axis.ticks(7)]
    parts += names_of(flow, top)
    for bound, text in zip(flow.bounds or (), ("signal vanished", "signal exploded"), strict=False):
        if 10.0**low < bound < 10.0**high:
            x = float(axis(bound))
            parts += [line(x, top, x, bottom, "bound"), words(text, x, top - 4, "middle soft")]
    for i, (quantity, label) in enumerate(QUANTITIES.items()):
        values = flow.now(quantity)
        xs = np.where(values > 0, axis(np.maximum(values, 1e-300)), np.nan)
        ys = top + row * (np.arange(len(values)) + 0.5)
        parts.append(tag("path", d=path_of(xs, ys, top, bottom), class_=f"curve c{i}"))
        for x, y, value, layer in zip(xs, ys, values, flow.rows, strict=True):
            if np.isfinite(x):
                title = tag("title", escape(f"{layer.title}: {label}: {number(value)}"))
                parts.append(tag("circle", title, cx=round(x, 1), cy=round(y, 1), r=3, class_=f"c{i}"))
            elif not value < 0:
                x = (WIDTH - 60 if np.isinf(value) else LEFT + 4) + 28 * i
                parts.append(words(number(value), x, y + 4, f"text{i}"))
        legend = LEFT + 190 * i
        parts += [line(legend, 12, legend + 16, 12, f"curve c{i}"), words(label, legend + 22, 16)]
    parts.append(words(flow.when, (LEFT + WIDTH) / 2, bottom + 32, "middle soft"))
    return drawing(WIDTH, bottom + 40, *parts)


def heat(flow, quantity):
    """Layers by measured steps, as colours; grey where there is no number."""
    row, top, right = row_height(flow), 12, WIDTH - 10
    bottom, room = top + row * len(flow.rows), right - LEFT
    table = flow.table(quantity)
    low, high = decades(table)
    parts = names_of(flow, top)
    for i, values in enumerate(table):
        levels = levels_of(thinned(values, COLUMNS), low, high)
        edges = np.flatnonzero(np.diff(levels, prepend=-2, append=-2))
        for begin, end in zip(edges[:-1], edges[1:], strict=True):  # neighbours of one colour are one rectangle
            x, across = LEFT + room * begin / len(levels), room * (end - begin) / len(levels)
            parts.append(block(x, top + i * row, across, row, shade(levels[begin])))
    first, last, scale = int(flow.steps[0]), int(flow.steps[-1]), 160 / COLORS
    parts += [words(str(first), LEFT, bottom + 16), words(str(last), right, bottom + 16, "end")]
    parts.append(words("training step", (LEFT + WIDTH) / 2, bottom + 16, "middle"))
    parts += [block(LEFT + 40 + i * scale, bottom + 26, scale, 9, shade(i)) for i in range(COLORS)]
    parts += [words(f"1e{low}", LEFT + 34, bottom + 35, "end"), words(f"1e{high}", LEFT + 206, bottom + 35)]
    return drawing(WIDTH, bottom + 44, *parts)


def levels_of(values, low, high):
    """Whole numbers from 0 to COLORS - 1 for the powers of ten from `low` to `high`; -1 where there is no number."""
    axis = Axis((low, high), 0, COLORS - 1, log=True)
    levels = np.round(axis(np.where(values < 0, np.nan, np.clip(values, 10.0**low, 10.0**high))))
    return np.nan_to_num(levels, nan=-1).astype(int)


def row_height(flow):
    """Of a layer, in a figure."""
    return 18 if len(flow.rows) <= 40 else 13


def names_of(flow, top):
    """Names of the layers, and a mark over those that are ill."""
    row, parts = row_height(flow), []
    for i, layer in enumerate(flow.rows):
        if layer.diseases:
            parts.append(tag("rect", x=0, y=top + row * i, width=WIDTH, height=row, class_="sick"))
        full = tag("title", escape(": ".join([layer.title, *layer.diseases])))
        name = words(
            shortened(layer.title, NAME), LEFT - 8, top + row * (i + 0.5) + 4, "sick" if layer.diseases else ""
        )
        parts.append(tag("g", full, name, class_="end"))
    return parts


def block(x, y, width, height, fill):
    """A rectangle that leaves no gap to its neighbours."""
    return tag("rect", x=round(x, 1), y=round(y, 1), width=round(width + 0.2, 1), height=height + 0.2, fill=fill)


def shade(level):
    """A colour of the scale; grey for -1."""
    if level < 0:
        return "#999"
    at = level / (COLORS - 1) * (len(VIRIDIS) - 1)
    i = min(int(at), len(VIRIDIS) - 2)
    mixed = [round(a + (b - a) * (at - i)) for a, b in zip(VIRIDIS[i], VIRIDIS[i + 1], strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)
