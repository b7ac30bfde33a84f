"""The patients, by disease."""

from zoo.diseases import data, depth, learning, numbers, units

PATIENTS = (*depth.PATIENTS, *units.PATIENTS, *learning.PATIENTS, *numbers.PATIENTS, *data.PATIENTS)


def patient(name):
    """The patient of this name."""
    return next(p for p in PATIENTS if p.name == name)
