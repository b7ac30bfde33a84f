"""Learning rates."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

LARGE_STEP, SMALL_STEP = 0.3, 2e-5  # update by weight; about 0.001 to 0.05 is usual at the start
WINDOW = 25  # steps at both ends of a training whose losses are compared
WORSE, STANDING = 1.5, 0.98  # times the first loss
STUCK = 0.65  # of the first loss: a rate that comes below it in so few steps is not too low
HIGH, LOW = (
    0.75,
    0.6,
)  # times the loss, for a lower or a higher rate to be the better one; short trials favour high ones


def rate(evidence):
    """Rates that are too high or too low, by trials with others, and by the size of the first updates."""
    if evidence.trials:
        return by_trials(evidence)
    ratio, name = largest_step(evidence)
    figures = {"ratio": ratio}
    if ratio > LARGE_STEP:
        text = f"an update changes {name} by {ratio:.0%} of its size, expected about 0.1 % to 5 %"
        return [Verdict("learning rate too high", text, sureness(ratio, LARGE_STEP), evidence=figures)]
    losses = evidence.losses
    if len(losses) < WINDOW * 2:
        return []
    begin, end = float(losses[:WINDOW].mean()), float(losses[-WINDOW:].mean())
    if end > WORSE * begin:
        text = f"the loss has risen from {begin:.3g} to {end:.3g} in {len(losses)} steps"
        return [
            Verdict("learning rate too high", text, sureness(end / begin, WORSE), evidence={"from": begin, "to": end})
        ]
    if 0 < ratio < SMALL_STEP and end > STANDING * begin:
        text = f"no update changes a weight by more than {ratio:.2g} of its size, and the loss stands at {end:.3g}"
        return [Verdict("learning rate too low", text, sureness(ratio, SMALL_STEP), evidence=figures)]
    return []


def by_trials(evidence):
    """The rate that is set, against others."""
    ends = {factor: end_of(losses) for factor, losses in evidence.trials.items()}
    steps, begin, now = len(evidence.trials[1.0]), float(np.mean(evidence.losses)), ends[1.0]
    lower, higher = (
        min(side, key=lambda f: ends[f]) for side in ([f for f in ends if f < 1], [f for f in ends if f > 1])
    )
    for factor, bound, disease in (
        (lower, HIGH, "learning rate too high"),
        (higher, LOW, "learning rate too low"),
    ):
        if ends[factor] < bound * now and (factor < 1 or now > STUCK * begin):
            text = (
                f"a trial of {steps} steps takes the loss from {begin:.3g} to {now:.3g}, "
                f"with {factor:g} times the rate to {ends[factor]:.3g}"
            )
            figures = {"now": now, "better": ends[factor], "factor": factor}
            return [Verdict(disease, text, sureness(now, ends[factor] / bound, 3), evidence=figures)]
    return []


def largest_step(evidence):
    """The largest update by weight of a matrix, and which."""
    found = [(0.0, "")]
    for p in evidence.parameters:
        if len(p.shape) > 1 and p.rows is not None:
            rows = p.rows[p.rows["weight"] > 0]  # NaN where no gradient came
            if len(rows):
                found.append((float(np.median(rows["update"] / rows["weight"])), p.name))
    return max(found)


def end_of(losses):
    """The mean of the last tenth."""
    return float(np.mean(losses[-max(len(losses) // 10, 1) :])) if len(losses) else np.inf
