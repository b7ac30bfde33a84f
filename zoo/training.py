"""What both frameworks share about a training: its parts, and what it leaves."""

from typing import Any, NamedTuple

from zoo.datasets import Batches, Part


class Case(NamedTuple):
    """A patient that is ready to train."""

    model: Any
    loss_fn: Any  # loss_fn(output, target)
    optimizer: Any
    batches: Batches
    test: Part


class History(NamedTuple):
    """What a training leaves.

    `losses` of every step; `diverged`: the step whose loss or gradient was not finite, which ended the training; the
    `loss` and `score` (share of right answers) on the test set.
    """

    losses: list
    diverged: int | None
    loss: float
    score: float


def parameter_groups(patient, parameters):
    """Groups for an optimizer, one for each learning rate, of parameters by their names."""
    rates = dict.fromkeys(parameters, patient.lr)
    for path, rate in patient.rates:
        rates |= {name: rate for name in parameters if name.startswith(f"{path}.")}
    return [
        {"params": [parameters[name] for name in parameters if rates[name] == rate], "lr": rate}
        for rate in dict.fromkeys(rates.values())
    ]
