"""Signals over time: the gradient of the loss by the state of a recurrent layer at every step."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

SHRINKS = 0.35  # per step: healthy LSTMs start at 0.7, GRUs at 0.5
GROWS = 1.25


def over_steps(evidence):
    """Gradients that vanish or explode on their way back through time."""
    verdicts = []
    for name, norms in evidence.times.items():
        factor, begin = per_step(norms)
        if factor is None or SHRINKS <= factor <= GROWS:
            continue
        disease = "vanishing" if factor < SHRINKS else "exploding"
        path = name.rpartition(".")[0]
        text = (
            f"on its way back through time in {name} the gradient changes by a factor of {factor:.3g} per step: "
            f"|dE/dh_t| is {norms[begin]:.2g} at step {begin} and {norms[0]:.2g} at step 0"
        )
        certainty = sureness(factor, SHRINKS if factor < SHRINKS else GROWS, 2)
        figures = {"factor": factor, "last": float(norms[begin]), "first": float(norms[0])}
        verdicts.append(Verdict(disease, text, certainty, [path], int(begin), evidence=figures))
    return verdicts


def per_step(norms):
    """The typical factor from a step to the one before, and the step where the way back begins; None if too short."""
    begin = int(np.argmax(norms > 0)) if not norms.any() else int(np.flatnonzero(norms)[-1])
    past = norms[: begin + 1][::-1]
    past = past[: np.argmin(past > 1e-30)] if not (past > 1e-30).all() else past
    if len(past) < 4:
        return None, begin
    return float(np.exp(np.median(np.diff(np.log(past)))[()])), begin
