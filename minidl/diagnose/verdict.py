"""What a diagnosis says."""

import math
from dataclasses import dataclass, field

DISEASES = (
    "vanishing",
    "exploding",
    "dead units",
    "saturation",
    "initialisation scale",
    "learning rate too high",
    "learning rate too low",
    "non-finite",
    "no signal from the data",
    "label or loss mismatch",
    "masked-out sequences",
    "frozen layer",
)


@dataclass
class Verdict:
    """One disease that was found.

    Attributes
    ----------
    disease : str
        One of `diagnose.DISEASES`.
    text : str
        One sentence: what is wrong, with the numbers.
    certainty : float
        From 0.5 (at the threshold) to 1.
    layers : list of str
        Paths of the layers that are ill, where it begins first; empty where the whole model is.
    time : int or None
        The time step where it begins, in a recurrent layer.
    step : int or None
        The training step that showed it first.
    evidence : dict of str to float
        The numbers behind it.
    prescriptions : list of Prescription
        What may help, the best first.
    """

    disease: str
    text: str
    certainty: float
    layers: list[str] = field(default_factory=list)
    time: int | None = None
    step: int | None = None
    evidence: dict = field(default_factory=dict)
    prescriptions: list = field(default_factory=list)

    def __str__(self):
        since = f" since step {self.step}" if self.step else ""
        lines = [f"{self.disease.upper()} ({self.certainty:.0%} sure{since}): {self.text}"]
        lines += [f"    {i}. {prescription}" for i, prescription in enumerate(self.prescriptions, 1)]
        return "\n".join(lines)


def sureness(value, threshold, scale=10.0):
    """How sure a verdict is whose figure is `value` times over its threshold: 0.5 at it, 0.9 `scale` times beyond."""
    if not value > 0 or not threshold > 0:
        return 1.0 if value > 0 or threshold > 0 else 0.5
    if math.isinf(value):
        return 1.0
    margin = abs(math.log(value / threshold)) / math.log(scale)
    return 1 - 0.5 * 0.2**margin
