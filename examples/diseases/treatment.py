"""What the scripts in this folder have in common: train, examine, apply the first prescription, train again."""

import numpy as np

import minidl as dl
from minidl import diagnose
from minidl.data import DataLoader, digits
from minidl.train.trainer import mode

STEPS = 150


def digit_batches(count=20, size=32):
    """Some batches of handwritten digits: images (size, 64) from 0 to 1, labels (size,)."""
    loader = DataLoader(digits(), size, shuffle=True, seed=0, drop_last=True)
    return [(x.reshape(size, 64), y) for (x, y), _ in zip(loader, range(count), strict=False)]


def treat(model, loss_fn, batches, optimizer):
    """Before, verdict, cure and after; the report, and the accuracies before and after."""
    course = diagnose.Course(model, loss_fn, optimizer)
    before = outcome("before", course.copy(), batches)
    report = diagnose.examine(model, loss_fn, batches[:8], optimizer, steps=50)
    print(report)
    print(report.picture(100))
    prescription = report.verdicts[0].prescriptions[0]
    print(f"\napplied: {prescription}")
    after = outcome("after", prescription.apply(course), batches)
    return report, before, after


def outcome(when, course, batches):
    """Train; prints the losses of the first and the last steps, and gives the accuracy."""
    losses = course.train(batches, STEPS)
    with mode(course.model, False), dl.no_grad(), np.errstate(all="ignore"):
        right = [course.model(*inputs).numpy().argmax(-1) == target for *inputs, target in batches]
    accuracy = float(np.mean(right))
    print(
        f"{when}: loss {losses[0]:.3g} to {losses[-10:].mean():.3g} in {len(losses)} steps, accuracy {accuracy:.0%}\n"
    )
    return accuracy
