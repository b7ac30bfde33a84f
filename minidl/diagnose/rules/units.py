"""Units that say nothing."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

DEAD = 0.5  # share of a layer's units that are 0 for every sample; a healthy ReLU layer has up to a quarter of them
SATURATED = 0.6  # share of a layer's outputs at the flat ends of its activation


def dead(evidence):
    """Layers whose units are 0 whatever the input."""
    found = above(DEAD, "dead", filter(rectifies, evidence.layers))
    if not found:
        return []
    layer, share = found[0]
    text = f"{share:.0%} of the units of {layer.title} are 0 for every sample, so nothing behind them learns from them"
    evidence = {"dead": share}
    return [Verdict("dead units", text, sureness(share, DEAD, 2), paths(found), evidence=evidence)]


def rectifies(layer):
    """Whether its outputs are never negative, as behind a ReLU."""
    return layer.output["low"].min(initial=0) >= 0


def saturated(evidence):
    """Layers whose outputs lie at the flat ends of the activation."""
    found = above(SATURATED, "saturated", (layer for layer in evidence.layers if np.isfinite(layer.saturates[0])))
    if not found:
        return []
    layer, share = found[0]
    text = f"{share:.0%} of the outputs of {layer.title} are at the flat ends of the activation, where gradients end"
    evidence = {"saturated": share}
    return [Verdict("saturation", text, sureness(share, SATURATED, 1.5), paths(found), evidence=evidence)]


def saturated_gates(evidence):
    """Recurrent layers one of whose gates is shut or open for good."""
    for path, gates in evidence.gates.items():
        for gate, share in gates.items():
            if share > SATURATED:
                text = f"{share:.0%} of the values of the {gate} gate of {path} are at 0 or 1"
                return [Verdict("saturation", text, sureness(share, SATURATED, 1.5), [path], evidence={gate: share})]
    return []


def above(bound, field, layers):
    """(layer, share) where a share is above `bound` in every batch: a unit that lives in one of them is alive."""
    shares = ((layer, layer.output[field]) for layer in layers if len(layer.output))
    return [(layer, float(share.min())) for layer, share in shares if share.min() > bound]


def paths(found):
    """Of the layers, each once."""
    return list(dict.fromkeys(layer.path for layer, _ in found))
