"""Data, labels and losses that do not go together."""

import numpy as np

from minidl.diagnose.verdict import Verdict, sureness

LARGE, SMALL = 8.0, 0.02  # deviation of an input; what is normalised has about 1
FAR = 10.0  # deviations between an input's mean and 0
SPREAD = 300.0  # between the widest feature and the median one
MUTE = 2.0  # deviations by which labels explain gradients
LEARNED = (
    0.6  # times the loss of the best constant answer: a trial that comes below it has found something in the labels
)
TAIL = 0.3  # share of the steps of sequences that say nothing
FOREIGN = 50.0  # times that targets are larger than outputs


def silent_input(evidence):
    """Inputs that are constant, or of a scale that initial weights do not expect."""
    verdicts = []
    for i, x in enumerate(evidence.inputs):
        if x.integer or x.nonfinite:
            continue
        checks = [
            (x.constant >= 1, np.inf, 1, "is the same in every sample"),
            (x.std > LARGE and x.spread <= SPREAD, x.std, LARGE, f"has a deviation of {x.std:.3g}, expected about 1"),
            (0 < x.std < SMALL, SMALL / max(x.std, 1e-300), 1, f"has a deviation of {x.std:.2g}, expected about 1"),
            (
                abs(x.mean) > FAR * x.std > 0,
                abs(x.mean) / max(x.std, 1e-300),
                FAR,
                f"lies around {x.mean:.3g}, {abs(x.mean) / max(x.std, 1e-300):.0f} deviations from 0",
            ),
            (
                x.spread > SPREAD,
                x.spread,
                SPREAD,
                f"has a feature, {list(x.widest)}, that varies {x.spread:.3g} times as much as the median one",
            ),
        ]
        for wrong, value, threshold, text in checks:
            if wrong:
                verdicts.append(Verdict("no signal from the data", f"input {i} {text}", sureness(value, threshold)))
                break
    return verdicts


def masked_sequences(evidence):
    """Sequences of which the model sees little: padding without lengths, lengths that are too short, masked targets."""
    verdicts = []
    if not evidence.inputs or not evidence.times:
        return []
    x, T = evidence.inputs[0], max(len(norms) for norms in evidence.times.values())
    path = [name.rpartition(".")[0] for name in evidence.times][:1]
    if evidence.lengths is None and TAIL * T < x.tail < T:
        text = (
            f"the last {x.tail} of {T} steps are the same in every sequence (padding?), and the model gets no lengths"
        )
        verdicts.append(Verdict("masked-out sequences", text, sureness(x.tail / T, TAIL, 3), path, T - x.tail))
    if evidence.lengths is not None:
        known, seen = T - x.tail, float(np.mean(evidence.lengths))
        if seen < (1 - TAIL) * known:
            text = f"the model is told lengths of {seen:.3g} on average, but the sequences go on for {known} steps"
            begin = int(np.median(evidence.lengths))
            verdicts.append(
                Verdict("masked-out sequences", text, sureness(known / max(seen, 0.1), 1 / (1 - TAIL), 3), path, begin)
            )
    target = evidence.target
    if target is not None and target.dtype.kind == "i" and (target == -100).any():
        left = target[target != -100]
        if left.size == 0 or (left == left.flat[0]).all():
            text = f"{np.mean(target == -100):.0%} of the targets are masked, and all that are left are the same"
            when = int(np.flatnonzero((target == -100).any(0))[0]) if target.ndim == 2 else None
            verdicts.append(Verdict("masked-out sequences", text, 0.95, path, when))
    return verdicts


def mismatched_loss(evidence):
    """Outputs, targets and losses that do not fit one another."""
    y, target, verdicts = evidence.output, evidence.target, []
    if y is None or target is None:
        return []
    labels = target.dtype.kind == "i"
    lowest = min((losses.min() for losses in (evidence.losses, *evidence.trials.values()) if len(losses)), default=0.0)
    if labels and lowest < 0:
        text = (
            f"the loss for labels becomes negative ({lowest:.3g}): logits where log-probabilities are expected, or a "
            "wrong sign"
        )
        verdicts.append(Verdict("label or loss mismatch", text, 0.99))
    if labels and y.ndim > 1 and y.shape[-1] > 1 and (y >= 0).all() and np.allclose(y.sum(-1), 1, atol=1e-4):
        text = (
            "the outputs are probabilities (they are positive and add up to 1), but the loss has a softmax of its own"
        )
        last = evidence.layers[-1].path if evidence.layers else ""
        verdicts.append(Verdict("label or loss mismatch", text, 0.97, [last]))
    if not labels and target.dtype.kind == "f":
        size, scale = (
            float(np.sqrt(np.mean(target.astype(np.float64) ** 2))),
            float(np.sqrt(np.mean(y.astype(np.float64) ** 2))),
        )
        if size > FOREIGN * max(scale, 1):
            text = f"targets are of size {size:.3g}, outputs of size {scale:.3g}"
            verdicts.append(Verdict("label or loss mismatch", text, sureness(size / max(scale, 1), FOREIGN)))
    return verdicts


def mute_labels(evidence):
    """Targets that the inputs do not explain: shuffled, shifted by a row, or of another data set."""
    z, trials = evidence.labels, evidence.trials.values()
    if z is None or z > MUTE or any(losses[-1] < LEARNED * constant_answer(evidence.target) for losses in trials):
        return []
    text = f"gradients of different batches agree no better than with shuffled targets ({z:.1f} deviations)"
    return [Verdict("label or loss mismatch", text, 0.6, evidence={"z": z})]


def constant_answer(target):
    """The loss of the best constant answer: cross entropy for labels, squared error for numbers."""
    if target.dtype.kind == "f":
        return float(target.var(axis=0, dtype=np.float64).mean())
    shares = np.unique(target[target >= 0], return_counts=True)[1] / max((target >= 0).sum(), 1)
    return float(-(shares * np.log(shares)).sum())
