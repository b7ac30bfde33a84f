"""NaN and Inf."""

from minidl.diagnose.verdict import Verdict


def nonfinite(evidence):
    """Spoiled parameters, spoiled data, or a calculation that makes the first NaN or Inf."""
    spoiled = [p for p in evidence.parameters if not p.finite]
    if spoiled:
        names = ", ".join(p.name for p in spoiled)
        text = f"{names} hold{'s' if len(spoiled) == 1 else ''} NaN or Inf before any calculation"
        return [Verdict("non-finite", text, 1.0, [p.path for p in spoiled])]
    counts = [figures.nonfinite for figures in evidence.inputs]
    if any(counts):
        text = f"the data holds {sum(counts)} NaN or Inf (input {next(i for i, n in enumerate(counts) if n)})"
        return [Verdict("non-finite", text, 1.0, evidence={"nonfinite": float(sum(counts))})]
    if evidence.failure is None:
        return []
    finding = getattr(evidence.failure, "finding", None)
    layer = getattr(finding, "layer", "") if finding is not None else ""
    return [Verdict("non-finite", str(evidence.failure), 1.0, [layer] if layer else [])]
