"""Gradients that vanish or explode over many layers, or over many time steps."""

from zoo.diseases.settings import (
    CNN,
    DEEP,
    DEEP_CNN,
    GRU_ORDER,
    LSTM_ADDING,
    LSTM_ORDER,
    MNIST,
    RNN_ORDER,
    RNN_ROWS,
)
from zoo.networks import mlp, reader, residual_mlp, weighted
from zoo.patient import Patient

RELU30 = dict(data=("digits",), network=mlp(64, *[64] * 30, 10), lr=0.01, steps=900)
TANH10 = dict(data=("digits",), network=mlp(64, *[64] * 10, 10, activation="tanh"), lr=0.05)
SIGMOID6 = dict(data=("digits",), network=mlp(64, *[32] * 6, 10, activation="sigmoid"), lr=0.5)
HEALTHY_RESIDUALS = residual_mlp(64, 32, 20, 10, scale=0.05)
PIXELS = dict(RNN_ROWS, data=("digit_pixels",), network=reader("rnn", 1, 64, 10), lr=5e-4, steps=2500)


def scaled(layers, factor):
    """Weights of these layers, times a factor."""
    return tuple((f"{path}.weight", "scale", factor) for path in layers)


def vanishing(name, half, **fields):
    return Patient(f"vanishing-{name}", "vanishing", half, **fields)


def exploding(name, half, **fields):
    return Patient(f"exploding-{name}", "exploding", half, **fields)


LOWER, UPPER = weighted(TANH10["network"])[:5], weighted(DEEP["network"])[4:8]

PATIENTS = (
    vanishing("sigmoid-mlp", "choose", **SIGMOID6, init=("xavier",), twin=dict(init=("xavier", 4.0))),
    vanishing("normal-mlp", "report", **DEEP, init=("normal", 0.01), twin=dict(init=("he",))),
    vanishing("xavier-30", "report", **RELU30, init=("lecun",), twin=dict(init=("he",))),
    vanishing("tanh-mlp", "choose", **TANH10, init=("lecun", 0.3), twin=dict(init=("lecun",))),
    vanishing(
        "lower-half",
        "report",
        **TANH10,
        init=("lecun",),
        where=LOWER,
        planted=scaled(LOWER, 0.1),
        twin=dict(planted=()),
    ),
    vanishing("cnn", "choose", **DEEP_CNN, init=("normal", 0.02), twin=dict(init=("he",))),
    vanishing("cnn-xavier", "report", **CNN, init=("lecun", 0.2), twin=dict(init=("he",))),
    vanishing("mnist-mlp", "choose", **MNIST, init=("normal", 0.003), twin=dict(init=("he",))),
    vanishing(
        "rnn-order",
        "choose",
        **RNN_ORDER,
        where=("rnn",),
        planted=(("rnn.weight_hh_l0", "scale", 0.3),),
        twin=dict(planted=()),
    ),
    vanishing(
        "rnn-pixels",
        "report",
        **PIXELS,
        where=("rnn",),
        planted=(("rnn.weight_hh_l0", "scale", 0.3),),
        twin=dict(planted=()),
    ),
    vanishing(
        "lstm-adding",
        "choose",
        **LSTM_ADDING | dict(data=("adding", 50), lr=5e-3),
        where=("lstm",),
        planted=(("lstm.bias_ih_l0", "gate", (1, 4, -5.0)),),
        twin=dict(planted=()),
    ),
    vanishing(
        "lstm-order",
        "report",
        **LSTM_ORDER,
        where=("lstm",),
        planted=(("lstm.bias_ih_l0", "gate", (1, 4, -4.0)),),
        twin=dict(planted=()),
    ),
    vanishing(
        "gru-order",
        "report",
        **GRU_ORDER,
        where=("gru",),
        planted=(("gru.bias_ih_l0", "gate", (1, 3, -5.0)),),
        twin=dict(planted=()),
    ),
    exploding("relu-mlp", "choose", **DEEP, init=("he", 3.0), twin=dict(init=("he",))),
    exploding("relu-30", "report", **RELU30, init=("he", 1.5), twin=dict(init=("he",))),
    exploding("upper-half", "report", **DEEP, where=UPPER, planted=scaled(UPPER, 5.0), twin=dict(planted=())),
    exploding(
        "residual",
        "choose",
        data=("digits",),
        network=residual_mlp(64, 32, 20, 10, scale=1.0),
        lr=0.02,
        twin=dict(network=HEALTHY_RESIDUALS),
    ),
    exploding("cnn", "report", **DEEP_CNN, init=("he", 3.0), twin=dict(init=("he",))),
    exploding("cnn-short", "choose", **CNN, init=("he", 8.0), twin=dict(init=("he",))),
    exploding("mnist-mlp", "report", **MNIST, init=("normal", 1.0), twin=dict(init=("he",))),
    exploding(
        "rnn-order",
        "report",
        **RNN_ORDER | dict(data=("order", 30)),
        where=("rnn",),
        planted=(("rnn.weight_hh_l0", "scale", 3.0),),
        twin=dict(planted=()),
    ),
    exploding(
        "rnn-pixels",
        "choose",
        **PIXELS,
        where=("rnn",),
        planted=(("rnn.weight_hh_l0", "scale", 2.0),),
        twin=dict(planted=()),
    ),
    exploding(
        "rnn-relu",
        "choose",
        **PIXELS | dict(network=reader("rnn_relu", 1, 64, 10)),
        where=("rnn",),
        planted=(("rnn.weight_hh_l0", "scale", 2.0),),
        twin=dict(planted=()),
    ),
    exploding(
        "lstm-pixels",
        "choose",
        **PIXELS | dict(network=reader("lstm", 1, 24, 10), lr=5e-3, steps=1500),
        where=("lstm",),
        planted=(("lstm.weight_hh_l0", "scale", 8.0),),
        twin=dict(planted=()),
    ),
    exploding(
        "gru-pixels",
        "report",
        **PIXELS | dict(network=reader("gru", 1, 32, 10), lr=5e-3, steps=1500),
        where=("gru",),
        planted=(("gru.weight_hh_l0", "scale", 8.0),),
        twin=dict(planted=()),
    ),
)
