"""Signals over the layers: the gradient of the loss by the outputs of each, on its way back."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

VANISHED = 1e-3  # of the signal at the last layer; healthy networks keep a tenth or more
EXPLODED = 1e3
LOUD = 50.0  # root mean square of the model's outputs; initial values aim at about 1
SHARE = 0.5  # of the whole change that one layer makes, to be where it begins


def over_layers(evidence):
    """Signals that vanish or explode between the last layer and the first."""
    # the product of a recurrent layer's inputs is a part of it
    recurrent = {layer.path for layer in evidence.layers if layer.role == "recurrent"}
    layers = [
        layer
        for layer in evidence.layers
        if len(layer.signal) and (layer.role == "recurrent" or layer.role == "weights" and layer.path not in recurrent)
    ]
    if len(layers) < 3:
        return []
    signals = np.array([np.exp(np.mean(np.log(np.maximum(norms(layer), 1e-300)))) for layer in layers])
    if not (signals > 0).all():
        return []
    ratio = signals[0] / signals[-1]
    disease = "vanishing" if ratio < VANISHED else "exploding" if ratio > EXPLODED else None
    if disease is None:
        return []
    steps = np.diff(np.log(signals))  # of each layer but the first: what it does to the signal that passes through
    slope = -steps.mean()
    culprits = where(steps if disease == "vanishing" else -steps)
    begins = [layers[i + 1].path for i in culprits]
    place = f", most of it at {begins[0]}" if begins else ""
    lost = not norms(layers[0]).any()
    change = "nothing is left" if lost else f"a factor of {np.exp(slope):.3g} per layer"
    text = (
        f"the gradient's norm is {signals[-1]:.2g} at {layers[-1].title} and {0 if lost else signals[0]:.2g} at "
        f"{layers[0].title}: {change} over {len(layers)} layers{place}"
    )
    figures = {"ratio": 0.0} if lost else {"ratio": float(ratio), "factor": float(np.exp(slope))}
    certainty = sureness(ratio, VANISHED if disease == "vanishing" else EXPLODED, 100)
    return [Verdict(disease, text, certainty, begins, evidence=figures)]


def forward(evidence):
    """Outputs that have grown on their way through the layers."""
    layers = [layer for layer in evidence.layers if layer.role in ("weights", "recurrent") and len(layer.output)]
    if len(layers) < 2 or any(abs(x.high) > LOUD or abs(x.low) > LOUD for x in evidence.inputs if not x.integer):
        return []
    sizes = np.array([np.clip(np.mean(layer.output["rms"]), 1e-300, 1e300) for layer in layers])
    if not sizes[-1] > LOUD:
        return []
    growth = np.diff(np.log(sizes), prepend=0.0)
    begins = [layers[i].path for i in where(growth)]
    text = f"outputs grow to a size of {sizes[-1]:.3g} on their way through {len(layers)} layers"
    return [Verdict("exploding", text, sureness(sizes[-1], LOUD, 100), begins, evidence={"output": float(sizes[-1])})]


def norms(layer):
    """Norm of the signal per sample, in every measured step."""
    return layer.signal["rms"] * np.sqrt(layer.units)


def where(changes):
    """The positions that make most of the change; none where it is spread over all."""
    total = changes.sum()
    order = np.argsort(-changes)
    if changes[order[0]] > SHARE * total and len(changes) > 2:
        return [int(order[0])]
    big = np.flatnonzero(changes > 2 * np.median(changes.clip(0)) + 0.05 * total)
    return [int(i) for i in big[::-1]] if 0 < len(big) < 0.7 * len(changes) else []
