"""Learning rates."""

import numpy as np

from minidl.diagnose.verdict import Verdict

TOO_LARGE = 0.3  # update by weight
TOO_SMALL = 1e-6


def rate(evidence):
    """Learning rates that are too high or too low: by trials with other rates, and by the size of the updates."""
    if not evidence.trials:
        return []
    now, lower, higher = (
        end_of(evidence.trials[factor]) for factor in sorted(evidence.trials, key=lambda f: (f != 1, f))
    )
    begin = float(np.mean(evidence.trials[1.0][:3]))
    if not np.isfinite(now) or (now > begin * 1.5 and lower < now) or (lower < 0.8 * now and now > 0.9 * begin):
        text = f"after a trial of {len(evidence.trials[1.0])} steps the loss is {now:.3g}, with a tenth of the rate {lower:.3g} (from {begin:.3g})"
        return [Verdict("learning rate too high", text, 0.9, evidence={"now": now, "a tenth": lower})]
    if now > 0.97 * begin and higher < 0.7 * now:
        text = f"after a trial the loss has gone from {begin:.3g} to {now:.3g}, with 30 times the rate to {higher:.3g}"
        return [Verdict("learning rate too low", text, 0.9, evidence={"now": now, "thirty times": higher})]
    return []


def end_of(losses):
    """The mean of the last tenth."""
    return float(np.mean(losses[-max(len(losses) // 10, 1) :])) if len(losses) else np.inf
