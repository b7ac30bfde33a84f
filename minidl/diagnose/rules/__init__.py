"""The rules: each looks at the evidence for one kind of disease and gives its verdicts."""

from minidl.diagnose.rules import data, depth, learning, numbers, scale, structure, time, units

RULES = (
    numbers.nonfinite,
    structure.frozen,
    data.silent_input,
    data.masked_sequences,
    data.mismatched_loss,
    data.mute_labels,
    units.dead,
    units.saturated,
    units.saturated_gates,
    scale.misscaled,
    depth.over_layers,
    depth.forward,
    time.over_steps,
    learning.rate,
)


def judge(evidence):
    """All verdicts on the evidence, the surest first.

    A NaN or an Inf makes all other figures meaningless, so that it is then the only verdict.
    """
    verdicts = numbers.nonfinite(evidence) or [verdict for rule in RULES for verdict in rule(evidence)]
    return sorted(verdicts, key=lambda verdict: -verdict.certainty)
