"""The patients, by disease."""

from zoo.diseases import data, depth, learning, numbers, units
from zoo.patient import DISEASES

PATIENTS = (*depth.PATIENTS, *units.PATIENTS, *learning.PATIENTS, *numbers.PATIENTS, *data.PATIENTS)


def patient(name):
    """The patient of this name."""
    return next(p for p in PATIENTS if p.name == name)


def select(names=(), half=None):
    """The patients with these names or diseases, all if there are none, of one half or both.

    Raises
    ------
    ValueError
        For a name that is neither.
    """
    unknown = set(names) - set(DISEASES) - {p.name for p in PATIENTS}
    if unknown:
        raise ValueError(f"no such patient or disease: {', '.join(sorted(unknown))}")
    return [p for p in PATIENTS if (not names or {p.name, p.disease} & set(names)) and half in (None, p.half)]
