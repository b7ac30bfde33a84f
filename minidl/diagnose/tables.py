"""Tables of the HTML report: layers, and the nodes of a recorded step."""

from html import escape

import numpy as np

from minidl.diagnose.flow import mean, number
from minidl.diagnose.svg import tag
from minidl.engine.listing import COLUMNS

LAYER = ("layer", "output rms", "zeros", "saturated", "dead", "signal")
WEIGHTS = ("weights", "norm", "gradient", "update / weight")


def layers(report, flow):
    """A table of all layers, activations among them: outputs, signals, weights."""
    if not report.evidence.layers:
        return ""
    ill = {row.path for row in flow.rows if row.diseases}
    parameters = {p.name: p for p in report.evidence.parameters}
    latest = slice(-1, None) if flow.unit == "step" else slice(None)
    lines = []
    for layer in report.evidence.layers:
        outputs, signals = layer.output[latest], layer.signal[latest]
        cells = [layer.title, typical(outputs["rms"])]
        cells += [share(outputs[name]) for name in ("zeros", "saturated", "dead")]
        cells.append(typical(signals["rms"] * np.sqrt(layer.units)))
        p = parameters.get(next(iter(layer.weights), None))
        if p is None or p.rows is None or not len(p.rows):
            cells += [""] * len(WEIGHTS)
        else:
            rows = p.rows[latest]
            with np.errstate(all="ignore"):
                ratio = rows["update"] / rows["weight"]
            cells += [" x ".join(map(str, p.shape)), typical(rows["weight"]), typical(rows["gradient"])]
            cells.append("" if p.lr is None or np.isnan(ratio).all() else typical(ratio))
        lines.append((cells, "sick" if layer.path in ill else ""))
    return table([*LAYER, *WEIGHTS], lines) + tag("p", escape(flow.when), class_="soft")


def typical(values):
    """The geometric mean, as text."""
    return number(mean(values)) if len(values) else ""


def share(values):
    """The mean, in percent."""
    return f"{np.mean(values):.1%}" if len(values) else ""


def nodes(listing):
    """What each phase of the recorded step costs, and its nodes."""
    whole = max(listing.microseconds, 1e-9)
    phases: dict[str, list] = {}
    for row in listing:
        phases.setdefault(row.phase, []).append(row)
    totals = []
    for phase, rows in phases.items():
        cost = sum(row.microseconds for row in rows)
        cells = [phase, str(len(rows)), str(sum(row.calls for row in rows)), f"{cost:.2f}", f"{cost / whole:.1%}"]
        totals.append(([*cells, str(cost / whole)], ""))
    calls = sum(row.calls for row in listing)
    totals.append((["all", str(len(listing)), str(calls), f"{whole:.2f}", "", ""], "total"))
    largest = max(row.microseconds for row in listing) or 1.0
    lines = [([*row.cells(), str(row.microseconds / largest)], "") for row in listing]
    return (
        table(["phase", "nodes", "calls", "us", "share", ""], totals, bar=5)
        + "<details><summary>all nodes, in order</summary>"
        + table([*COLUMNS, ""], lines, left=(0, 1, 2, 3, 6), bar=7)
        + "</details>"
    )


def table(titles, lines, left=(0,), bar=None):
    """A table of pairs (cells, class); cells in the column `bar` are shares, to be drawn."""
    sides = ["left" if i in left else "" for i in range(len(titles))]
    top = tag("tr", *[tag("th", escape(t), class_=side) for t, side in zip(titles, sides, strict=True)])
    rows = []
    for cells, kind in lines:
        row = [
            tag("td", tag("i", style=f"width:{100 * float(cell):.1f}%"), class_="bar")
            if i == bar and cell
            else tag("td", escape(cell), class_=side)
            for i, (cell, side) in enumerate(zip(cells, sides, strict=True))
        ]
        rows.append(tag("tr", *row, class_=kind))
    return tag("div", tag("table", tag("thead", top), tag("tbody", *rows)), class_="card scroll")
