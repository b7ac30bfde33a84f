"""NaN and Inf."""

from minidl.diagnose.verdict import Verdict
from minidl.engine import NonFiniteError


def nonfinite(evidence):
    """Spoiled parameters, spoiled data, or a calculation that makes the first NaN or Inf."""
    spoiled = [p for p in evidence.parameters if not p.finite]
    if spoiled:
        names = ", ".join(p.name for p in spoiled)
        text = f"{names} hold{'s' if len(spoiled) == 1 else ''} NaN or Inf before any calculation"
        return [Verdict("non-finite", text, 1.0, [p.path for p in spoiled])]
    counts = [figures.nonfinite for figures in evidence.inputs]
    if any(counts):
        i = next(i for i, n in enumerate(counts) if n)
        time = evidence.inputs[i].spoiled_step
        place = f"input {i}" if time is None else f"input {i}, from time step {time} on"
        text = f"the data holds {sum(counts)} NaN or Inf ({place})"
        return [Verdict("non-finite", text, 1.0, time=time, evidence={"nonfinite": float(sum(counts))})]
    if evidence.failure is None:
        return []
    finding = evidence.failure.finding if isinstance(evidence.failure, NonFiniteError) else None
    if finding is None:
        return [Verdict("non-finite", str(evidence.failure), 1.0)]
    layers = [finding.layer] if finding.layer else []
    return [Verdict("non-finite", str(evidence.failure), 1.0, layers, finding.step)]
