"""What a recorded step does, node by node: names, shapes, what was clipped, and what it costs."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

COLUMNS = ("phase", "layer", "node", "shape", "calls", "us", "did")


@dataclass(frozen=True)
class Row:
    """The calls that a node makes in a row.

    Attributes
    ----------
    phase : str
        ``"forward"``, ``"backward"``, ``"update"`` or ``"probe"``.
    layer : str
        Path in the model; empty outside of it.
    node : str
        The operation.
    kernels : tuple of str
    shapes : tuple of tuple of int
        Of what the call writes that writes most.
    calls : int
    microseconds : float
        Median over the timed replays.
    statistics : Statistics or None
        Of the node, where it keeps any.
    """

    phase: str
    layer: str
    node: str
    kernels: tuple
    shapes: tuple
    calls: int
    microseconds: float
    statistics: object

    def cells(self):
        """As text, in the order of `COLUMNS`."""
        if len(self.shapes) > 3:
            shape = f"{sum(int(np.prod(shape)) for shape in self.shapes):,} values in {len(self.shapes)} arrays"
        else:
            shape = " ".join(str(shape) for shape in self.shapes)
        did = "" if self.statistics is None else str(self.statistics)
        node = "zero_grad" if self.phase == "update" and self.kernels == ("set_flags",) else self.node
        return (self.phase, self.layer, node, shape, str(self.calls), f"{self.microseconds:.2f}", did)


class Listing(list):
    """The rows of a step, in order; printed as a table, those of probes as one line."""

    microseconds = property(lambda self: sum(row.microseconds for row in self), doc="Of all rows together.")

    def __str__(self):
        probes = [row for row in self if row.phase == "probe"]
        lines = [COLUMNS, *(row.cells() for row in self if row.phase != "probe")]
        texts = [table(lines, {COLUMNS.index("calls"), COLUMNS.index("us")})]
        texts.append(f"{len(self)} nodes, {sum(row.calls for row in self)} calls, {self.microseconds:.1f} us")
        if probes:
            cost = sum(row.microseconds for row in probes)
            texts.append(f"of these {len(probes)} of probes, between their measurements: {cost:.1f} us")
        return "\n".join(texts)


def table(lines, right):
    """Lines of cells as text, in columns as wide as they need; those whose numbers are in `right` to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def listing(calls, nanoseconds):
    """The rows of `calls`, given how long each took."""
    times = iter(np.asarray(nanoseconds) / 1000)
    rows = Listing()
    for _, group in groupby(calls, lambda call: (call.phase, call.node.title)):
        same = list(group)
        node, largest = same[0].node, max(same, key=written)
        rows.append(
            Row(
                same[0].phase,
                node.path,
                node.name,
                tuple(dict.fromkeys(call.kernel.name for call in same)),
                tuple(array.shape for array in largest.outputs if array is not None),
                len(same),
                float(sum(next(times) for _ in same)),
                node.statistics,
            )
        )
    return rows


def written(call):
    """How many numbers a call writes."""
    return sum(array.size for array in call.outputs if array is not None)
