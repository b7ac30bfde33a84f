"""Training: learning rates, and layers that do not learn."""

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
from zoo.networks import cnn, mlp
from zoo.patient import Patient

ADAM = dict(MLP, optimizer="adam", lr=3e-3)
BOTTLENECK = dict(MLP, network=mlp(64, 64, 4, 64, 10))
TANH_BOTTLENECK = dict(MLP, network=mlp(64, 32, 4, 32, 10, activation="tanh"), init=("lecun",))
NORMED = dict(MLP, network=mlp(64, 64, 64, 10, norm="batch_norm"))
CNN_BOTTLENECK = dict(CNN, network=cnn(1, 4, 4, 16, pools=(0,)), steps=1500)


def rate(name, half, base, factor, **fields):
    """A learning rate that is wrong by a factor."""
    disease, prefix = ("learning rate too high", "high") if factor > 1 else ("learning rate too low", "low")
    lr = base.get("lr", 0.1)
    return Patient(f"{prefix}-rate-{name}", disease, half, **{**base, "lr": factor * lr, "twin": {"lr": lr}, **fields})


def frozen(name, half, base, *layers, rates=False):
    """Layers that want no gradient, or have a learning rate of 0."""
    change = {"rates": tuple((path, 0.0) for path in layers)} if rates else {"frozen": layers}
    twin = dict.fromkeys(change, ())
    return Patient(f"frozen-{name}", "frozen layer", half, **{**base, **change, "where": layers, "twin": twin})


def detached(name, half, base, place):
    """The gradient is cut off in front of a layer; the twin's layer there is the identity."""
    network = base["network"]
    cut, whole = (network[:place] + (layer,) + network[place:] for layer in (("detach",), ("identity",)))
    fields = {**base, "network": cut, "where": (str(place),), "twin": {"network": whole}}
    return Patient(f"frozen-{name}", "frozen layer", half, **fields)


PATIENTS = (
    rate("mlp", "choose", MLP, 100),
    rate("deep-mlp", "report", DEEP, 30),
    rate("adam", "report", ADAM, 100),
    rate("sigmoid", "choose", SIGMOID, 100),
    rate("tanh", "report", TANH, 100),
    rate("cnn", "choose", CNN, 30),
    rate("mnist", "report", MNIST, 30),
    rate("lstm", "choose", LSTM_ADDING, 30),
    rate("rnn", "report", RNN_ROWS, 30),
    rate("gru", "choose", GRU_ROWS, 100),
    rate("mlp", "report", MLP, 1e-3),
    rate("deep-mlp", "choose", DEEP, 1e-3),
    rate("adam", "choose", ADAM, 1e-3),
    rate("batch-norm", "report", NORMED, 1e-3),
    rate("cnn", "choose", CNN, 1e-3),
    rate("mnist", "choose", MNIST, 1e-3),
    rate("lstm", "report", LSTM_ORDER, 1e-3),
    rate("rnn", "choose", RNN_ROWS, 1e-3),
    rate("gru", "report", GRU_ADDING, 1e-3),
    frozen("mlp", "choose", BOTTLENECK, "0", "2"),
    frozen("tanh-mlp", "report", TANH_BOTTLENECK, "0", "2"),
    frozen("rate-zero", "report", BOTTLENECK, "0", "2", rates=True),
    detached("detached-mlp", "choose", BOTTLENECK, 4),
    detached("detached-deep", "report", DEEP, 14),
    frozen("cnn", "choose", CNN_BOTTLENECK, "0", "3"),
    detached("detached-cnn", "report", CNN_BOTTLENECK, 5),
    frozen("mnist", "choose", MNIST | dict(network=mlp(784, 12, 64, 10), steps=1500), "0"),
    frozen("lstm", "choose", LSTM_ADDING, "lstm"),
    frozen("rnn", "report", RNN_ORDER, "rnn"),
    frozen("gru-rate-zero", "report", GRU_ADDING, "gru", rates=True),
    frozen("lstm-rows", "report", LSTM_ROWS, "lstm"),
)
