"""Initial weights of the wrong size."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

WRONG = 8.0  # times too large or too small; what is in use differs by 2 to 4


def misscaled(evidence):
    """Single layers whose weights are far larger or smaller than what keeps a signal's size, or all alike."""
    found = []
    tables = {name for layer in evidence.layers if layer.operation.startswith("embedding") for name in layer.weights}
    for p in evidence.parameters:
        if len(p.shape) < 2 or np.prod(p.shape) < 2 or not p.trains or p.name in tables:  # one number has no deviation
            continue
        gain = p.std * np.sqrt(np.prod(p.shape[1:]))
        if p.alike > 0.99 and p.shape[0] > 1:
            found.append(
                (
                    p,
                    np.inf,
                    f"all {p.shape[0]} units of {p.path or p.name} have the same weights and will learn the same",
                )
            )
        elif gain > WRONG or gain < 1 / WRONG:
            ratio = gain if gain > 1 else 1 / gain if gain else np.inf
            text = (
                f"{p.name} has a deviation of {p.std:.2g}, a gain of {gain:.2g} where about 1 to 2 keeps signals alive"
            )
            found.append((p, ratio, text))
    if not found:
        return []
    found.sort(key=lambda item: -item[1])
    p, ratio, text = found[0]
    paths = list(dict.fromkeys(p.path for p, _, _ in found))
    return [Verdict("initialisation scale", text, sureness(ratio, WRONG), paths, evidence={"gain": float(ratio)})]
