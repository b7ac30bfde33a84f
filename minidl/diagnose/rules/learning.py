"""Learning rates."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

LARGE_STEP, SMALL_STEP = 0.3, 2e-5  # update by weight; about 0.001 to 0.05 is usual at the start
WINDOW = 25  # steps at both ends of a training whose losses are compared
WORSE, STANDING = 1.5, 0.98  # times the first loss
SMALL_TRIAL = 3e-4  # update by weight above which a rate is not called too low, though a short trial liked a higher one
BETTER = 0.75  # times the loss, for a lower or a higher rate to be the better one


def rate(evidence):
    """Rates that are too high or too low, by trials with others, and by the size of the first updates."""
    if evidence.trials:
        return by_trials(evidence)
    ratio, name = largest_step(evidence)
    if ratio > LARGE_STEP:
        return large_step(ratio, name)
    losses = evidence.losses
    if len(losses) < WINDOW * 2:
        return []
    begin, end = float(losses[:WINDOW].mean()), float(losses[-WINDOW:].mean())
    if end > WORSE * begin:
        text = f"the loss has risen from {begin:.3g} to {end:.3g} in {len(losses)} steps"
        figures = {"from": begin, "to": end}
        return [Verdict("learning rate too high", text, sureness(end / begin, WORSE), evidence=figures)]
    return small_step(ratio, begin, end)


def by_trials(evidence):
    """The rate that is set, against others."""
    ends = {factor: end_of(losses) for factor, losses in evidence.trials.items()}
    steps, begin, now = len(evidence.trials[1.0]), float(np.mean(evidence.losses)), ends[1.0]
    ratio, name = largest_step(evidence)
    best = min(ends, key=lambda factor: ends[factor])
    if ends[best] >= BETTER * now or (best > 1 and ratio > SMALL_TRIAL):
        return large_step(ratio, name) if ratio > LARGE_STEP else small_step(ratio, begin, now)
    disease = "learning rate too high" if best < 1 else "learning rate too low"
    text = (
        f"a trial of {steps} steps takes the loss from {begin:.3g} to {now:.3g}, "
        f"with {best:g} times the rate to {ends[best]:.3g}"
    )
    figures = {"now": now, "better": ends[best], "factor": best}
    return [Verdict(disease, text, sureness(now, ends[best] / BETTER, 3), evidence=figures)]


def small_step(ratio, begin, end):
    """The verdict on updates that are tiny beside the weights, if the loss has not moved."""
    if not 0 < ratio < SMALL_STEP or end <= STANDING * begin:
        return []
    text = f"no update changes a weight by more than {ratio:.2g} of its size, and the loss stands at {end:.3g}"
    return [Verdict("learning rate too low", text, sureness(ratio, SMALL_STEP), evidence={"ratio": ratio})]


def large_step(ratio, name):
    """The verdict on updates that are large beside the weights."""
    size = f"{100 * ratio:.0f} % of its size" if ratio < 10 else f"{ratio:,.0f} times its size"
    text = f"an update changes {name} by {size}, expected about 0.1 % to 5 %"
    return [Verdict("learning rate too high", text, sureness(ratio, LARGE_STEP), evidence={"ratio": ratio})]


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
