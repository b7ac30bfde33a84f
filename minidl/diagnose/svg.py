"""Drawing SVG inside a page, whose style sheet has the colours, so that they suit light and dark."""

from html import escape

import numpy as np

from minidl.diagnose.flow import decades

POINTS = 400  # most of a curve


def tag(name, *content, **attributes):
    """An element; `content` is markup already, values of attributes are escaped."""
    pairs = ((key.strip("_").replace("_", "-"), escape(str(value))) for key, value in attributes.items())
    written = "".join(f' {key}="{value}"' for key, value in pairs)
    return f"<{name}{written}>{''.join(content)}</{name}>"


def words(text, x, y, class_="", **attributes):
    """A text at a place."""
    return tag("text", escape(text), x=round(x, 1), y=round(y, 1), class_=class_, **attributes)


def line(x1, y1, x2, y2, class_):
    """A straight line."""
    return tag("line", x1=round(x1, 1), y1=round(y1, 1), x2=round(x2, 1), y2=round(y2, 1), class_=class_)


def drawing(width, height, *content):
    """The whole figure."""
    return tag("svg", *content, viewBox=f"0 0 {width:g} {height:g}", role="img", style=f"max-width:{width:g}px")


class Axis:
    """From numbers `low` to `high` (powers of ten if `log`) to places `begin` to `end`."""

    def __init__(self, limits, begin, end, log=False):
        low, high = limits
        self.low, self.high, self.begin, self.end, self.log = low, high, begin, end, log

    def __call__(self, values):
        with np.errstate(all="ignore"):
            values = np.log10(values) if self.log else np.asarray(values, np.float64)
        return self.begin + (values - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self, most, whole=False):
        """Places and labels, not more than `most`; of whole numbers only, if asked for."""
        if self.log:
            exponents = range(self.low, self.high + 1, -(-(self.high - self.low) // most))
            return [(float(self(10.0**e)), f"1e{e}") for e in exponents]
        power = 10.0 ** np.floor(np.log10((self.high - self.low) / most))
        size = next(power * f for f in (1, 2, 5, 10) if (self.high - self.low) / (power * f) <= most)
        size = max(size, 1.0) if whole else size
        values = np.arange(np.ceil(self.low / size), np.floor(self.high / size + 1e-9) + 1) * size
        return [(float(self(v)), f"{v:.6g}") for v in values]


def curves(series, xlabel, ylabel, log=False, bounds=(), mark=None):
    """Curves in a frame.

    Parameters
    ----------
    series : list of (str, array, array)
        Label, x and y of each; what is not finite is left out.
    log : bool
        A logarithmic axis for y.
    bounds : sequence of (str, array, array)
        Dotted lines, as far as they are near the curves.
    mark : (float, str), optional
        A place on the axis of x, and what is there.
    """
    width, height, left, bottom, top = 560, 280, 52, 240, 30
    series = [(label, thinned_line(x, POINTS), thinned_line(y, POINTS)) for label, x, y in series]
    xs = np.concatenate([x for _, x, _ in series])
    ys = np.concatenate([y[np.isfinite(y) & ((y > 0) | (not log))] for _, _, y in series])
    xaxis = Axis(apart(xs), left, width - 10)
    yaxis = Axis(decades(ys, least=1) if log else apart(ys), bottom, top, log)
    parts = [line(left, y, width - 10, y, "grid") + words(text, left - 6, y + 4, "end") for y, text in yaxis.ticks(5)]
    parts += [words(text, x, bottom + 16, "middle") for x, text in xaxis.ticks(6, whole=True)]
    parts += [words(xlabel, (left + width) / 2, height - 6, "middle"), words(ylabel, 4, 14)]
    right = left + 60.0
    for i, (label, x, y) in enumerate(series):
        parts.append(tag("path", d=path_of(xaxis(x), yaxis(y), top, bottom), class_=f"curve c{i}"))
        if len(series) > 1:
            parts += [line(right, 10, right + 16, 10, f"curve c{i}"), words(label, right + 20, 14)]
            right += 32 + 6.5 * len(label)
    for label, x, y in bounds:
        places = yaxis(np.maximum(y, 1e-300))
        near = np.flatnonzero((places >= top) & (places <= bottom))
        if len(near):
            parts.append(tag("path", d=path_of(xaxis(x[near]), places[near], top, bottom), class_="bound"))
            first = float(xaxis(x[near[0]]))
            below = 14 if places[near[-1]] < places[near[0]] else -5  # where the line does not go
            parts.append(beside(first, width, label, min(float(places[near[0]]) + below, bottom - 4), "soft"))
    if mark is not None:
        x = float(xaxis(mark[0]))
        parts += [line(x, top, x, bottom, "sick"), beside(x, width, mark[1], bottom - 6, "sick")]
    return drawing(width, height, *parts)


def beside(x, width, text, y, class_):
    """A text to the side of `x` where there is more room."""
    return words(text, x - 4, y, f"{class_} end") if x > width / 2 else words(text, x + 4, y, class_)


def thinned_line(values, most):
    """Not more than `most` arithmetic means of neighbours."""
    values = np.asarray(values, np.float64)
    return values if len(values) <= most else np.array([part.mean() for part in np.array_split(values, most)])


def apart(values):
    """The least and the largest value, or something around them where they are one."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def path_of(xs, ys, top, bottom):
    """Lines from point to point, interrupted where there is none; dots for points by themselves."""
    known = np.isfinite(xs) & np.isfinite(ys)
    ys = np.clip(ys, top, bottom)
    commands = []
    for i in np.flatnonzero(known):
        begins = i == 0 or not known[i - 1]
        commands.append(f"{'M' if begins else 'L'}{xs[i]:.1f} {ys[i]:.1f}")
        if begins and (i + 1 == len(known) or not known[i + 1]):
            commands.append("h.01")
    return "".join(commands)
