"""Units that say nothing: dead, saturated, or of the wrong scale from the start."""

from zoo.diseases.settings import (
    CNN,
    DEEP,
    GRU_ADDING,
    GRU_ROWS,
    LSTM_ADDING,
    LSTM_ORDER,
    LSTM_ROWS,
    MLP,
    MNIST,
    RNN_ORDER,
    RNN_ROWS,
    SIGMOID,
    TANH,
)
from zoo.networks import cnn, mlp, reader
from zoo.patient import Patient

TANH_CNN = dict(CNN, network=cnn(1, 8, 16, 16, activation="tanh"), init=("lecun",))
MOMENTUM = dict(optimizer="momentum", lr=0.1, clip=None)
SAME = Patient("scale-mlp-same", "initialisation scale", "report", **MLP, init=("same", 0.05), twin=dict(init=("he",)))
RELU_ROWS = dict(RNN_ROWS, network=reader("rnn_relu", 8, 32, 10), lr=1e-3)


def layer_of(parameter):
    """The path of its layer."""
    return parameter.rpartition(".")[0]


def planted(disease, prefix):
    """Makes patients of a disease that is planted in initial values, of the layer named unless told otherwise."""

    def make(name, half, base, parameter, operation, value, **fields):
        where = {"where": (layer_of(parameter),), "planted": ((parameter, operation, value),)}
        return Patient(f"{prefix}-{name}", disease, half, **{**base, **where, "twin": {"planted": ()}, **fields})

    return make


dead = planted("dead units", "dead")
saturated = planted("saturation", "saturated")
misscaled = planted("initialisation scale", "scale")


def tiny(name, half, base, *parameters):
    """Two neighbours a thousand times too small: each learns in proportion to the other. (One alone soon recovers.)"""
    plants = tuple((parameter, "scale", 1e-3) for parameter in parameters)
    fields = {**base, "planted": plants, "where": tuple(map(layer_of, parameters)), "twin": {"planted": ()}}
    return Patient(f"scale-{name}-small", "initialisation scale", half, **fields)


PATIENTS = (
    dead("mlp", "choose", MLP, "2.bias", "add", -30.0),
    dead("first-layer", "report", MLP, "0.bias", "add", -30.0),
    dead("deep-mlp", "report", DEEP, "10.bias", "add", -50.0),
    dead("negative-weights", "choose", DEEP, "6.weight", "minus_abs", 1.0),
    dead("most", "report", MLP | dict(network=mlp(64, 64, 20, 10)), "2.bias", "most", -30.0),
    dead("cnn", "choose", CNN, "2.bias", "add", -50.0),
    dead("cnn-most", "report", CNN, "5.bias", "most", -50.0),
    dead("mnist-mlp", "choose", MNIST | dict(network=mlp(784, 64, 20, 10)), "2.bias", "most", -50.0),
    dead("rnn-relu", "choose", RELU_ROWS, "rnn.bias_hh_l0", "add", -50.0),
    dead("rnn-relu-most", "report", RELU_ROWS, "rnn.bias_hh_l0", "most", -50.0),
    saturated("tanh-bias", "choose", TANH, "2.bias", "add", 20.0),
    saturated(
        "tanh-weights", "report", TANH | dict(network=mlp(64, 32, 8, 10, activation="tanh")), "2.weight", "scale", 100.0
    ),
    saturated("sigmoid-bias", "report", SIGMOID, "0.bias", "add", -30.0),
    saturated(
        "sigmoid-weights",
        "choose",
        SIGMOID | dict(network=mlp(64, 12, 12, 10, activation="sigmoid")),
        "2.weight",
        "scale",
        100.0,
    ),
    saturated("tanh-cnn", "report", TANH_CNN, "2.bias", "add", 20.0),
    saturated("tanh-cnn-weights", "choose", TANH_CNN, "2.weight", "scale", 100.0),
    saturated(
        "mnist-tanh",
        "report",
        MNIST | dict(network=mlp(784, 32, 32, 10, activation="tanh")),
        "0.weight",
        "scale",
        100.0,
    ),
    saturated("rnn-inputs", "choose", RNN_ORDER, "rnn.weight_ih_l0", "scale", 100.0),
    saturated("lstm-input-gate", "choose", LSTM_ORDER, "lstm.bias_ih_l0", "gate", (0, 4, -20.0)),
    saturated("lstm-output-gate", "report", LSTM_ADDING, "lstm.bias_ih_l0", "gate", (3, 4, -20.0)),
    saturated("gru-update-gate", "report", GRU_ROWS, "gru.bias_ih_l0", "gate", (1, 3, 20.0)),
    saturated("gru-inputs", "choose", GRU_ADDING, "gru.weight_ih_l0", "scale", 300.0),
    misscaled("mlp-large", "choose", DEEP, "4.weight", "scale", 30.0),
    tiny("mlp", "report", DEEP, "6.weight", "8.weight"),
    misscaled("mlp-zero", "choose", MLP, "2.weight", "scale", 0.0),
    misscaled("output-large", "report", MLP, "4.weight", "scale", 100.0),
    SAME,
    tiny("tanh", "choose", TANH, "2.weight", "4.weight"),
    misscaled("cnn-large", "report", CNN, "2.weight", "scale", 30.0),
    tiny("cnn", "choose", CNN, "2.weight", "5.weight"),
    misscaled("mnist-large", "choose", MNIST, "0.weight", "scale", 30.0),
    misscaled("rnn-large", "report", RELU_ROWS, "rnn.weight_ih_l0", "scale", 100.0),
    misscaled("lstm-head", "choose", LSTM_ROWS | MOMENTUM, "head.weight", "scale", 100.0),
    misscaled("gru-head", "report", GRU_ROWS | MOMENTUM, "head.weight", "scale", 100.0),
)
