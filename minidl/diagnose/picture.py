"""The gradient flow as text, for a terminal: blocks whose length or height is a logarithm."""

import numpy as np

from minidl.diagnose.flow import decades, flow_of, number, thinned

NARROWEST = 40
ACROSS, UP = " ▏▎▍▌▋▊▉█", " ▁▂▃▄▅▆▇█"
ROWS = 6  # of a chart over time
WIDEST = 6  # characters for a time step


def picture(report, width=80):
    """The gradient flow of a report: per layer, over the measured steps, and over time in recurrent layers.

    Parameters
    ----------
    report : Report
    width : int
        Characters in a line, at least 40.

    Returns
    -------
    str
    """
    if width < NARROWEST:
        raise ValueError(f"picture: width: got {width}, expected at least {NARROWEST}")
    flow = flow_of(report)
    parts = [layers(flow, width)] if flow.rows else ["no gradient flow: nothing was measured"]
    if flow.rows and flow.unit == "step" and len(flow.steps) > 1:
        parts.append(history(flow, width))
    parts += [over_time(flow, name, width) for name in flow.times]
    return "\n\n".join(parts)


def layers(flow, width):
    """A line per layer: signal and weight gradient as numbers and bars."""
    name, mark = name_width(flow, width), mark_width(flow, width)
    room = (width - 2 - name - (1 + mark if mark else 0)) // 2 - 9  # behind a space, a number and a space
    columns = []
    for title, quantity in (("signal", "signal"), ("weight gradient", "gradient")):
        values = flow.now(quantity)
        low, high = decades(values)
        cells = [bar(value, low, high, room) for value in values]
        if quantity == "signal" and flow.bounds:
            cells = [dotted(cell, [position(b, low, high, room) for b in flow.bounds]) for cell in cells]
        lines = [f" {number(value):>7} {cell}" for value, cell in zip(values, cells, strict=True)]
        heads = (f"{title}, 1e{low:+d} to 1e{high:+d}", title, quantity)
        head = next(text for text in heads if len(text) <= room + 8)
        columns.append([f" {head:<{room + 8}}", *lines])
    names = ["  " + " " * name] + [
        f"{'▶' if row.diseases else ' '} {shortened(row.title, name):<{name}}" for row in flow.rows
    ]
    marks = [""] + [f" {cut(diseases(row), mark)}" if mark else "" for row in flow.rows]
    lines = [cut(f"gradient flow by layer, {flow.when} (log scale, signal: |dE/d output|)", width)]
    lines += ["".join(parts).rstrip() for parts in zip(names, *columns, marks, strict=True)]
    if flow.bounds and any("┊" in line for line in lines):
        lines.append(cut("  ┊ bounds of a signal that has vanished, or exploded", width))
    return "\n".join(lines)


def history(flow, width):
    """A line per layer: its signal over the measured steps."""
    name = name_width(flow, width)
    table = flow.table("signal")
    low, high = decades(table)
    scale = f"▁ 1e{low:+d} to █ 1e{high:+d}, log scale"
    lines = [cut(f"signal by layer, steps {int(flow.steps[0])} to {int(flow.steps[-1])} ({scale})", width)]
    for row, values in zip(flow.rows, table, strict=True):
        heights = [height(value, low, high, 7) for value in thinned(values, width - name - 3)]
        line = "".join(h if isinstance(h, str) else UP[h + 1] for h in heights)
        lines.append(f"{'▶' if row.diseases else ' '} {shortened(row.title, name):<{name}} {line}".rstrip())
    return "\n".join(lines)


def over_time(flow, name, width):
    """A chart of |dE/dh_t| over the time steps of one recurrent layer."""
    norms, label = flow.times[name], 7
    low, high = decades(norms)
    values = thinned(norms, width - label - 1)
    repeats = min(max((width - label - 1) // max(len(values), 1), 1), WIDEST)
    heights = [height(value, low, high, 8 * ROWS - 1) for value in values]
    title = f" over {len(norms)} time steps (log scale)"
    lines = [cut(f"|dE/dh_t| in {shortened(name, max(width - len(title) - 13, 8))}{title}", width)]
    for level in reversed(range(ROWS)):
        cells = [
            (h if level == 0 else " ") if isinstance(h, str) else UP[min(max(h + 1 - 8 * level, 0), 8)] for h in heights
        ]
        tick = f"1e{high:+d}" if level == ROWS - 1 else f"1e{low:+d}" if level == 0 else ""
        lines.append((f"{tick:>{label - 1}} ┤" + "".join(cell * repeats for cell in cells)).rstrip())
    across = len(values) * repeats
    last = str(max(len(norms) - 1, 0))
    lines.append(" " * label + "└" + "─" * across)
    lines.append(" " * (label + 1) + "0" + (last.rjust(across - 1) if across > len(last) + 1 else ""))
    if name in flow.begins:
        time, disease = flow.begins[name]
        column = int(time * across / len(norms))
        text = f"▲ {disease} begins at step {time}"
        fits = column + len(text) < width - label
        lines.append(cut(" " * (label + 1) + (" " * column + text if fits else text_before(text, column)), width))
    return "\n".join(lines)


def text_before(text, column):
    """The same, with its arrow at `column` and the words to the left of it."""
    words = text[2:]
    return " " * max(column - len(words) - 1, 0) + words + " ▲"


def position(value, low, high, room):
    """How far along `room` characters a value lies."""
    return (np.log10(value) - low) / (high - low) * room


def bar(value, low, high, room):
    """`room` characters, filled as far as the value reaches."""
    if np.isnan(value) or value <= 0:
        return ("" if value < 0 else "·").ljust(room)
    if np.isinf(value):
        return "█" * (room - 1) + "▶"
    eighths = int(np.clip(round(8 * position(value, low, high, room)), 1, 8 * room))
    return ("█" * (eighths // 8) + ACROSS[eighths % 8].strip()).ljust(room)


def dotted(cell, positions):
    """A bar with marks where there is room for them."""
    characters = list(cell)
    for at in positions:
        if 0 <= at < len(characters) and characters[int(at)] == " ":
            characters[int(at)] = "┊"
    return "".join(characters)


def height(value, low, high, most):
    """A whole number from 0 to `most`; a character for what has no height."""
    if np.isnan(value):
        return "×"
    if np.isinf(value):
        return "!"
    if value <= 0:
        return " " if value < 0 else "·"
    return int(np.clip(round(position(value, low, high, most)), 0, most))


def name_width(flow, width):
    """Characters for the layers' names."""
    return min(max(len(row.title) for row in flow.rows), max(width // 4, 14))


def mark_width(flow, width):
    """Characters for the names of diseases; none in a narrow terminal, where the arrows say enough."""
    return 0 if width < 60 else min(max(len(diseases(row)) for row in flow.rows), width // 5)


def diseases(row):
    """Those of a layer, each once."""
    return ", ".join(dict.fromkeys(row.diseases))


def cut(text, room):
    """At most `room` characters: the beginning."""
    return text if len(text) <= room else text[: room - 1] + "…"


def shortened(text, room):
    """At most `room` characters: the end, which tells layers apart."""
    return text if len(text) <= room else "…" + text[len(text) - room + 1 :]
