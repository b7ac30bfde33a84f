"""Initial values, drawn with NumPy, so that they are the same in every framework.

Schemes for linear and convolution layers, with a factor that is 1 unless said: ("he", factor), ("xavier", factor),
("lecun", factor), ("orthogonal", factor), ("normal", std), ("same", value). Biases are 0.
Recurrent layers have Xavier's input weights, orthogonal recurrences and, in an LSTM, a forget gate's bias of 1.
"""

import numpy as np

from zoo.networks import paths

GATES = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
NORMS = ("batch_norm", "batch_norm2d", "layer_norm")


def draw(patient, seed):
    """Initial values of all parameters.

    Returns
    -------
    dict of str to float32 ndarray
        By the parameters' names in PyTorch.
    """
    rng = np.random.default_rng(seed)
    values = {}
    for path, layer in paths(patient.network):
        for name, value in _layer(rng, layer, *patient.init).items():
            values[f"{path}.{name}"] = value.astype(np.float32)
    for name, operation, value in patient.planted:
        if name not in values:
            raise ValueError(f"{patient.name}: planted: there is no parameter {name}, only {', '.join(values)}")
        OPERATIONS[operation](values[name], value)
    return values


def _layer(rng, layer, scheme, factor=1.0):
    kind, *numbers = layer
    if kind in NORMS:
        return {"weight": np.ones(numbers[0]), "bias": np.zeros(numbers[0])}
    if kind in ("linear", "conv"):
        inputs, outputs, *kernel = numbers
        weight = _scheme(rng, (outputs, inputs, *kernel * 2), scheme) * factor
        return {"weight": weight, "bias": np.zeros(outputs)}
    if kind in GATES:
        return _recurrent(rng, kind, *numbers)
    return {}


def _scheme(rng, shape, scheme):
    area = np.prod(shape[2:])
    fan_in, fan_out = shape[1] * area, shape[0] * area
    if scheme == "same":
        return np.ones(shape)
    if scheme == "orthogonal":
        return _orthogonal(rng, shape[0], int(fan_in)).reshape(shape)
    variance = {"he": 2 / fan_in, "lecun": 1 / fan_in, "xavier": 2 / (fan_in + fan_out), "normal": 1.0}[scheme]
    return rng.standard_normal(shape) * np.sqrt(variance)


def _recurrent(rng, kind, inputs, units):
    gates = GATES[kind]
    bias = np.zeros(gates * units)
    if kind == "lstm":
        bias[units : 2 * units] = 1
    return {
        "weight_ih_l0": rng.standard_normal((gates * units, inputs)) * np.sqrt(2 / (inputs + units)),
        "weight_hh_l0": np.concatenate([_orthogonal(rng, units, units) for _ in range(gates)]),
        "bias_ih_l0": bias,
        "bias_hh_l0": np.zeros(gates * units),
    }


def _orthogonal(rng, rows, columns):
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return q if rows >= columns else q.T


# What can be planted: functions (array, value) that change the array.


def _scale(array, factor):
    array *= np.float32(factor)


def _add(array, value):
    array += np.float32(value)


def _minus_abs(array, factor):
    """Negative everywhere: a ReLU behind inputs that are never negative is then dead."""
    array[...] = -abs(array) * np.float32(factor)


def _most(array, value):
    """Nine units in ten."""
    array[: len(array) * 9 // 10] = value


def _first(array, value):
    """One element."""
    array.flat[0] = value


def _gate(array, gate_value):
    """The bias of one gate: (its number, the number of gates, the value)."""
    gate, gates, value = gate_value
    units = len(array) // gates
    array[gate * units : (gate + 1) * units] = value


OPERATIONS = {"scale": _scale, "add": _add, "minus_abs": _minus_abs, "most": _most, "first": _first, "gate": _gate}
