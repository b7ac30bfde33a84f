"""The rules: each looks at the evidence for one kind of disease and gives its verdicts."""

from minidl.diagnose.rules import data, depth, learning, numbers, scale, structure, time, units

RULES = (
    numbers.nonfinite,
    structure.frozen,
    data.silent_input,
    data.masked_sequences,
    data.mismatched_loss,
    units.dead,
    units.saturated,
    units.saturated_gates,
    scale.misscaled,
    depth.over_layers,
    depth.forward,
    time.over_steps,
    learning.rate,
)


# a disease in the first place makes those behind it likely: they come after it, whatever their certainty
EXPLAINS = {
    "frozen layer": {"vanishing", "learning rate too low"},
    "no signal from the data": {"dead units", "saturation", "vanishing", "exploding", "learning rate too high"},
    "masked-out sequences": {"saturation", "vanishing", "learning rate too low"},
    "label or loss mismatch": {"learning rate too high", "learning rate too low", "exploding"},
    "initialisation scale": {"dead units", "saturation", "vanishing", "exploding", "learning rate too high"},
    "dead units": {"vanishing", "learning rate too high", "learning rate too low"},
    "saturation": {"vanishing", "learning rate too high", "learning rate too low"},
    "exploding": {"learning rate too high"},
    "vanishing": {"learning rate too low"},
}


def judge(evidence):
    """All verdicts on the evidence: causes before what they explain, and the surest first.

    A NaN or an Inf makes all other figures meaningless, so that it is then the only verdict. Whether labels tell
    something cannot be seen through another disease, so that is asked last.
    """
    verdicts = numbers.nonfinite(evidence) or [verdict for rule in RULES for verdict in rule(evidence)]
    verdicts = verdicts or data.mute_labels(evidence)
    found = {verdict.disease for verdict in verdicts}
    causes = {verdict.disease: sum(verdict.disease in EXPLAINS.get(d, ()) for d in found) for verdict in verdicts}
    return sorted(verdicts, key=lambda verdict: (causes[verdict.disease], -verdict.certainty))
