"""What counts as found: the marks of what was said about a patient or its twin."""

from typing import NamedTuple

from zoo.networks import RECURRENT, paths, weighted


class Finding(NamedTuple):
    """One thing that was said.

    Attributes
    ----------
    name : str
        In the words of who said it.
    diseases : frozenset of str
        What it may mean: a patient with one of them has been understood.
    layers : tuple of str
        Paths; the first is where it begins.
    time : int or None
        The time step where it begins.
    """

    name: str
    diseases: frozenset
    layers: tuple = ()
    time: int | None = None

    def __str__(self):
        place = f" at {self.layers[0]}" if self.layers else ""
        return self.name + place + (f" from step {self.time}" if self.time is not None else "")


def marks(patient, findings):
    """True or false for everything that can be right or wrong about the findings, which come the most important first.

    Returns
    -------
    dict of str to bool
        Of a patient: whether its disease is ``"found"``, as the ``"first"`` finding, within the first ``"two"``, and
        ``"any"``: whether something was said at all; where it has ill layers, whether the first that names its disease
        begins at one of them or a neighbour (``"layer"``) and at one of them (``"exact"``); where it has a time step,
        whether it is met to within one (``"step"``). Who does not find the disease has not found the layer either.
        Of a twin: whether there was a false ``"alarm"``.
    """
    if patient.disease is None:
        return {"alarm": bool(findings)}
    true = {patient.disease, *patient.also}
    right = [i for i, finding in enumerate(findings) if finding.diseases & true]
    given = {"found": bool(right), "first": 0 in right, "two": not {0, 1}.isdisjoint(right), "any": bool(findings)}
    _, _, layers, time = findings[right[0]] if right else Finding("", frozenset())
    if patient.where:
        begin = layers[0] if layers else None
        given["exact"] = begin in patient.where
        given["layer"] = any(near(patient.network, begin, path) for path in patient.where)
    if patient.step is not None:
        given["step"] = time is not None and abs(time - patient.step) <= 1
    return given


def near(network, path, other):
    """Whether two layers are the same or neighbours; of a recurrent network, only the same.

    Linear and convolution layers are counted; an activation, normalisation or pooling belongs to the one before it.
    """
    order = [p for p, _ in paths(network)]
    if path not in order or network[0][0] in RECURRENT:
        return path == other
    counted = [order.index(p) for p in weighted(network)]
    place, there = (sum(i <= order.index(p) for i in counted) for p in (path, other))
    return abs(place - there) <= 1


def share(given, column):
    """How many of the marks that have this column are true, as text: "3/4"; empty where none has it."""
    column = [m[column] for m in given if column in m]
    return f"{sum(column)}/{len(column)}" if column else ""
