"""What several indications share."""

import numpy as np

from minidl.diagnose.evidence import RECURRENT
from minidl.diagnose.prescriptions import AddResidual, Clip, InsertNorm, NormaliseInputs

UNSCALED = 8.0  # deviations, or a mean, of inputs that are meant to be about 1


def example(evidence):
    """The inputs of the first batch."""
    return evidence.batches[0][:-1] if evidence.batches else ()


def recurrent_among(layers, evidence):
    """Those of the layers that are recurrent."""
    modules = dict(evidence.model.named_modules())
    return tuple(path for path in layers if isinstance(modules.get(path), RECURRENT))


def memory_of(evidence):
    """Time steps of the sequences."""
    return max((len(norms) for norms in evidence.times.values()), default=10)


def structural(evidence):
    """Changes of structure that are possible with this model."""
    return [remedy for remedy in (InsertNorm(), AddResidual()) if remedy.places(evidence.model)]


def has(model, kind):
    """Whether a model has a module of a class."""
    return any(isinstance(module, kind) for module in model.modules())


def unscaled(evidence):
    """What puts inputs right that are far from mean 0 and deviation 1."""
    found = []
    for i, x in enumerate(evidence.inputs):
        far = x.std > UNSCALED or abs(x.mean) > max(UNSCALED * x.std, 1) or 0 < x.std < 1 / 50
        if evidence.batches and not x.integer and x.constant < 1 and (far or x.spread > 100):
            found += normalised(evidence, i)
    return found


def normalised(evidence, i):
    """What normalises an input, if it can be."""
    try:
        return [NormaliseInputs.from_batches(evidence.batches, i)]
    except ValueError:  # it is constant, but for rounding
        return []


def clip(evidence):
    """A clip at the median of the norms that were measured, or at 1 if that is larger."""
    rows = [p.rows["gradient"] for p in evidence.parameters if p.rows is not None and len(p.rows)]
    if not rows:
        return []
    norms = np.sqrt(np.nansum(np.square(rows), 0))
    norms = norms[np.isfinite(norms) & (norms > 0)]
    return [Clip(float(min(np.median(norms), 1.0)))] if norms.size else []
