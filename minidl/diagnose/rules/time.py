"""Signals over time: the gradient of the loss by the state of a recurrent layer at every step."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

SHRINKS = 0.45  # factor per step: in healthy layers 0.7 or more, in the sick ones of the zoo 0.3 or less
LOST = 1e-12  # what is left of it at the first step, however slowly it shrinks; healthy layers of the zoo keep 1e-9
GROWN = 100.0  # times over all steps: in healthy layers less than 1, in the sick ones 10,000 or more


def over_steps(evidence):
    """Gradients that vanish or explode on their way back through time."""
    verdicts = []
    for name, norms in evidence.times.items():
        factor, begin = per_step(norms)
        if factor is None:
            continue
        growth = float(norms[: begin + 1].max() / norms[begin])
        left = float(norms[0] / norms[begin])
        if growth <= GROWN and factor >= SHRINKS and left >= LOST:
            continue
        disease = "exploding" if growth > GROWN else "vanishing"
        path = name.rpartition(".")[0]
        text = (
            f"on its way back through time in {name} the gradient changes by a factor of {factor:.3g} per step: "
            f"|dE/dh_t| is {norms[begin]:.2g} at step {begin} and {norms[0]:.2g} at step 0"
        )
        certainty = max(sureness(min(factor, SHRINKS), SHRINKS, 2), sureness(min(max(left, 1e-300), LOST), LOST, 1e6))
        if growth > GROWN:
            certainty = sureness(growth, GROWN, 100)
        figures = {"factor": factor, "last": float(norms[begin]), "first": float(norms[0])}
        verdicts.append(Verdict(disease, text, certainty, [path], int(begin), evidence=figures))
    return verdicts


def per_step(norms):
    """The typical factor from a step to the one before, and the step where the way back begins; None if too short."""
    if not norms.any():
        return None, 0
    begin = int(np.flatnonzero(norms)[-1])
    past = norms[: begin + 1][::-1]
    past = past[: np.argmin(past > 1e-30)] if not (past > 1e-30).all() else past
    if len(past) < 4:
        return None, begin
    return float(np.exp(np.median(np.diff(np.log(past)))[()])), begin
