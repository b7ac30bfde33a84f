"""What all rows share: how one is told, where real data lies, and the training loop."""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minidl as dl
from minidl import functional as F

DATA = Path(os.environ.get("MINIDL_DATA", Path(__file__).parents[3] / "shared/data"))
CHANCE = math.log(10)  # the loss of one who guesses among ten classes


class Row(NamedTuple):
    """What was done, what is expected, what was measured, and whether that is near enough."""

    setting: str
    expected: str
    measured: str
    ok: bool


def real(name):
    """The path of a real data set; FileNotFoundError if it is not there."""
    if not (DATA / name).exists():
        raise FileNotFoundError(f"no {DATA / name}; MINIDL_DATA names the folder with the real data sets")
    return DATA / name


def rms(values):
    return math.sqrt(np.mean(np.square(values, dtype=np.float64)))


def endless(batches):
    """A loader's batches, epoch after epoch."""
    while True:
        yield from batches


def train(model, optimizer, batches, steps, clip=None, loss_of=F.cross_entropy):
    """Losses of some steps; inf for all that would follow a NaN or an Inf. `clip` is called behind backward."""

    @dl.record
    def step(x, *targets):
        optimizer.zero_grad()
        loss = loss_of(model(x), *targets)
        loss.backward()
        if clip is not None:
            clip()
        optimizer.step()
        return loss

    losses = np.full(steps, np.inf)
    for i, batch in zip(range(steps), endless(batches), strict=False):
        try:
            losses[i] = step(*batch).item()
        except FloatingPointError:
            break
    return losses
