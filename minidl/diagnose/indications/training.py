"""What is prescribed for trainings: rates, numbers that are not finite, layers that do not learn."""

import numpy as np

from minidl.diagnose.indications.common import clip, example, unscaled
from minidl.diagnose.indications.data import bottomless, mismatch
from minidl.diagnose.prescriptions import (
    Advice,
    ClampInput,
    LearningRate,
    Reattach,
    Reinitialise,
    ReplaceNonFinite,
    Together,
    Unfreeze,
    WarmUp,
)
from minidl.diagnose.rules.structure import UNREACHED, why_frozen

UPDATE = 0.01  # of the weights, in the first steps: healthy networks have 0.002 to 0.06
SMALLER = 5.0  # times, for the second try of a learning rate
LEAST = 1e-2  # what a logarithm or a division gets at least: its slope is then at most 100
GREATEST = 10.0  # what exp gets at most


def rate(verdict, evidence):
    """Learning rates that are too high or too low."""
    if bottomless(evidence):  # no rate makes such a loss settle
        return mismatch(verdict, evidence)
    high = verdict.disease == "learning rate too high"
    ratio = update_ratio(evidence)
    factor = UPDATE / ratio if ratio else 0.03 if high else 100.0
    factor = float(np.clip(factor, *((1e-6, 0.3) if high else (3.0, 1e6))))
    further = factor / SMALLER if high else factor * SMALLER
    remedies = [LearningRate(factor), LearningRate(further)]
    return [*unscaled(evidence), *remedies, WarmUp(100), *clip(evidence)] if high else remedies


def update_ratio(evidence):
    """Update by weight, typical of the matrices; None if it was not measured."""
    ratios = []
    for p in evidence.parameters:
        if len(p.shape) > 1 and p.rows is not None and len(p.rows):
            with np.errstate(all="ignore"):
                ratios.append(np.nanmedian(p.rows["update"] / p.rows["weight"]))
    ratios = [r for r in ratios if np.isfinite(r) and r > 0]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def nonfinite(verdict, evidence):
    """NaN and Inf in the weights, in the data, or made by a layer."""
    spoiled = tuple(dict.fromkeys(p.path for p in evidence.parameters if not p.finite))
    if spoiled:
        return [Reinitialise(spoiled, example(evidence)), Reinitialise((), example(evidence))]
    bad = [i for i, x in enumerate(evidence.inputs) if x.nonfinite]
    if bad and evidence.batches:
        return [
            ReplaceNonFinite.from_batches(evidence.batches, bad[0]),
            Advice("leave out the rows that hold NaN or Inf"),
        ]
    finding = getattr(evidence.failure, "finding", None)
    remedies = unscaled(evidence)
    modules = dict(evidence.model.named_modules())
    if finding is not None and not finding.layer:
        remedies.append(
            Advice(
                f"{finding.operation} is called by the loss or by the model itself, in no layer: keep its argument "
                "where it is defined (clamp it), or take one function for all, as log_softmax for the log of a softmax"
            )
        )
    elif finding is not None and finding.layer in modules:
        remedies += bounds(finding.layer, finding.operation)
    return [*remedies, LearningRate(0.01), Reinitialise((), example(evidence))]


def bounds(path, operation):
    """What keeps the input of a layer where its operation is defined."""
    if operation in ("exp", "expm1", "cosh", "sinh"):
        return [ClampInput(path, high=GREATEST)]
    if operation in ("log", "log1p", "rsqrt"):
        return [ClampInput(path, low=LEAST), ClampInput(path, from_zero=LEAST)]
    return [ClampInput(path, from_zero=LEAST), ClampInput(path, low=LEAST)]


def frozen(verdict, evidence):
    """Layers that do not learn."""
    figures = [p for p in evidence.parameters if p.path in verdict.layers]
    thawing = Unfreeze(tuple(verdict.layers))
    optimised = any(p.lr is not None for p in evidence.parameters)
    if any(why_frozen(p, optimised) not in (None, UNREACHED) for p in figures):
        return [thawing, Together(thawing, WarmUp(100))]
    advice = Advice(
        "the gradient is cut off between these layers and the loss: look for detach, no_grad or a comparison"
    )
    return [Reattach(example(evidence)), advice] if evidence.batches else [advice]
