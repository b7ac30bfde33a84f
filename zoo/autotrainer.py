"""The published rules of AUTOTRAINER, for comparison, on patients that minidl trains.

X. Zhang, J. Zhai, S. Ma, C. Shen: "AUTOTRAINER: An Automatic DNN Training Problem Detection and Repair System", ICSE
2021; thresholds and order of the rules as in the authors' code, github.com/shiningrain/AUTOTRAINER (`utils/monitor.py`,
defaults in `utils/utils.py`). It watches a whole training: losses and accuracies of every epoch, and after every third
the gradients of one batch. Gradients only count against a model that is not accurate. Here it is asked once more at the
end, because trainings in the zoo are short.
"""

from itertools import islice
from typing import NamedTuple

import numpy as np

from minidl.engine import as_tensor
from zoo import minidl_zoo
from zoo.datasets import score

# The five problems, and what each may mean in the zoo. This is generous: a problem counts as right for every disease
# that can bring about what it looks at, and slow convergence for all those that it has no rule for.
MEANS = {
    "vanishing gradient": {"vanishing", "saturation", "dead units", "initialisation scale"},
    "exploding gradient": {"exploding", "non-finite", "initialisation scale", "learning rate too high"},
    "dying ReLU": {"dead units", "saturation", "vanishing", "initialisation scale", "learning rate too high"},
    "oscillating loss": {"learning rate too high"},
    "slow convergence": {
        "learning rate too low",
        "initialisation scale",
        "frozen layer",
        "no signal from the data",
        "label or loss mismatch",
        "masked-out sequences",
    },
}

VANISHED, TINY = 1e-3, 1e-4  # beta_1, beta_2: the first layer's gradient by the last one's, and alone
EXPLODED = 70.0  # beta_3
DYING = 0.7  # gamma: share of all gradients that are 0
SWING, OFTEN = 0.03, 0.2  # zeta, eta: of the accuracy, and in how many epochs
FASTER = 0.01  # delta: what the accuracy gains in its best epoch, at least
ACCURATE = 0.7  # Theta
HUGE = 1e5  # a loss that counts as infinite
JUDGED = 0.3  # of all epochs, before accuracies are looked at
EVERY = 3  # epochs from one check to the next


class Watched(NamedTuple):
    """One number for each epoch."""

    loss: list
    accuracy: list
    test_loss: list
    test_accuracy: list


def watch(patient, seed=0):
    """The problem it finds while a patient trains; None if it finds none."""
    case = minidl_zoo.build(patient, seed)
    step = minidl_zoo.recorded_step(case, patient.clip)
    part, batches = case.batches.part, iter(case.batches)
    size = len(part.target) // patient.batch
    epochs = patient.steps // size
    sample = [array[: patient.batch] for array in (*part.inputs, part.target)]
    history, signs = Watched([], [], [], []), set()
    for epoch in range(epochs):
        one_epoch(case, step, islice(batches, size), history)
        if epoch % EVERY == 0 or epoch == epochs - 1 or np.isnan(history.loss[-1]):
            signs |= gradient_signs(gradients(case, sample))
            found = problem(history, signs, epochs)
            if found:
                return found
    return None


def one_epoch(case, step, batches, history):
    """Train for an epoch; the loss is NaN if it diverges."""
    losses, scores = [], []
    try:
        for batch in batches:
            output, loss = step(*batch)
            losses.append(float(loss))
            scores.append(score(output.numpy(), batch[-1]))
    except FloatingPointError:
        losses.append(np.nan)
    history.loss.append(np.mean(losses))
    history.accuracy.append(np.mean(scores or [0.0]))
    for column, value in zip((history.test_loss, history.test_accuracy), minidl_zoo.examine(case), strict=True):
        column.append(value)


def gradients(case, batch):
    """The gradients of all weights that train, by one batch in evaluation mode; NaN where it cannot be calculated."""
    *inputs, target = batch
    trained = [p for p in case.model.parameters() if p.requires_grad]
    case.model.eval()
    case.model.zero_grad()
    try:
        case.loss_fn(case.model(*inputs), as_tensor(target)).backward()
        return [p.grad.numpy().copy() if p.has_grad() else np.zeros(p.shape) for p in trained]
    except FloatingPointError:
        return [np.full(p.shape, np.nan) for p in trained]
    finally:
        case.model.zero_grad()
        case.model.train()


def gradient_signs(found):
    """What gradients show, the first layer's first: names of problems, or "non-finite"."""
    if not all(np.isfinite(g).all() for g in found):
        return {"non-finite"}
    kernels = [np.linalg.norm(g) for g in found if g.ndim > 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.divide(kernels[0], kernels[-1])
    zeros = sum((g == 0).sum() for g in found) / sum(g.size for g in found)
    signs = {
        "vanishing gradient": ratio < VANISHED and kernels[0] < TINY,
        "exploding gradient": ratio > EXPLODED,
        "dying ReLU": zeros >= DYING,
    }
    return {name for name, seen in signs.items() if seen}


def problem(history, signs, epochs):
    """The problem that a training of so many epochs has, by what was seen of it so far; None if it has none."""
    finite = np.isfinite([history.loss, history.test_loss]).all()
    if not finite or history.test_loss[-1] >= HUGE or "non-finite" in signs:
        return "exploding gradient"
    if len(history.loss) < JUDGED * epochs:
        return None
    accuracies = history.accuracy, history.test_accuracy
    slow = all(max(np.diff(a), default=0.0) < FASTER for a in accuracies)
    if slow or any(max(a) < ACCURATE for a in accuracies):
        for name in ("dying ReLU", "exploding gradient", "vanishing gradient"):
            if name in signs:
                return name
        return "slow convergence" if slow else None
    return "oscillating loss" if oscillates(history.accuracy) else None


def oscillates(accuracy):
    """Whether peaks and dips, taken in pairs in their order, are often far apart."""
    inner = [accuracy[i - 1 : i + 2] for i in range(1, len(accuracy) - 1)]
    peaks = [b for a, b, c in inner if b >= a and b >= c]
    dips = [b for a, b, c in inner if b <= a and b <= c]
    return sum(p - d >= SWING for p, d in zip(peaks, dips, strict=False)) >= OFTEN * len(accuracy)
