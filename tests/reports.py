"""Reports made of numbers, for the tests of pictures and pages."""

import numpy as np

from minidl.diagnose import Report, Verdict
from minidl.diagnose.evidence import Evidence, LayerFigures, ParameterFigures
from minidl.stabilize.probe import SIGNAL, WEIGHT


def rows(dtype, steps, **fields):
    """Measurements at some steps."""
    found = np.zeros(len(steps), dtype)
    found["step"] = steps
    for name, values in fields.items():
        found[name] = values
    return found


def report(signals, gradients=None, *, steps=(1,), names=None, sick=None, training=True, times=None, time=None):
    """A report on layers with signals (layers, steps) of one unit each."""
    signals = np.asarray(signals, np.float64).reshape(len(signals), len(steps))
    gradients = signals if gradients is None else np.asarray(gradients, np.float64).reshape(signals.shape)
    names = names or [f"layer{i}" for i in range(len(signals))]
    layers, parameters = [], []
    for name, signal, gradient in zip(names, signals, gradients, strict=True):
        weight = f"{name}.weight"
        outputs, signal = rows(SIGNAL, steps, rms=1.0), rows(SIGNAL, steps, rms=signal)
        bounds = (-np.inf, np.inf)
        layers.append(LayerFigures(f"{name}: linear", name, "linear", "weights", 1, bounds, [weight], outputs, signal))
        measured = rows(WEIGHT, steps, weight=2.0, gradient=gradient, update=0.02)
        parameters.append(ParameterFigures(weight, (1, 1), True, 0.1, True, 1.0, 0.0, measured))
    verdicts = [Verdict("vanishing", "it <vanishes> & more", 0.9, list(sick), time, 1, {"ratio": 1e-9})] if sick else []
    losses = np.linspace(2.0, 1.0, steps[-1] + 1)
    evidence = Evidence(layers=layers, parameters=parameters, losses=losses, times=times or {})
    evidence.step = int(steps[-1]) if training else 0
    return Report(verdicts, evidence)
