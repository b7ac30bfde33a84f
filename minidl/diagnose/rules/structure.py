"""Layers that do not train."""

import numpy as np

from minidl.diagnose.verdict import Verdict


def frozen(evidence):
    """Parameters that want no gradient, have a rate of 0, belong to no optimizer, or that no gradient reaches."""
    reasons: dict[str, list[str]] = {}
    optimised = any(p.lr is not None for p in evidence.parameters)
    for p in evidence.parameters:
        reason = why_frozen(p, optimised)
        if reason:
            reasons.setdefault(reason, []).append(p.name)
    verdicts = []
    for reason, names in reasons.items():
        paths = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
        who = ", ".join(path or "the model itself" for path in paths)
        text = f"{who} {'does' if len(paths) == 1 else 'do'} not learn: {', '.join(names)} {reason}"
        if reason == UNREACHED:
            paths.reverse()  # the way back ends behind the last of them
        verdicts.append(Verdict("frozen layer", text, 1.0, paths))
    return verdicts


UNREACHED = "get no gradient: the graph is cut between here and the loss (detach, no_grad, a comparison?)"


def why_frozen(parameter, optimised):
    """In words; None if it trains."""
    if not parameter.trains:
        return "have requires_grad=False"
    if optimised and parameter.lr is None:
        return "are not in the optimizer"
    if parameter.lr == 0:
        return "have a learning rate of 0"
    if parameter.rows is not None and len(parameter.rows) and np.isnan(parameter.rows["gradient"]).all():
        return UNREACHED
    return None
