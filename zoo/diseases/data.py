"""Data, labels and losses from which nothing can be learned."""

from zoo.diseases.settings import (
    CNN,
    DEEP,
    GRU_ADDING,
    GRU_ORDER,
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
from zoo.networks import reader
from zoo.patient import Patient

COPY = dict(GRU_ROWS, data=("copy", 5), network=reader("gru", 10, 48, 9, last=False), lr=5e-3, steps=1500)


def spoiled(disease, prefix):
    """Makes patients whose data has been changed."""

    def make(name, half, base, *done, twin=(), **fields):
        return Patient(f"{prefix}-{name}", disease, half, **{**base, "done": done, "twin": {"done": twin}, **fields})

    return make


silent = spoiled("no signal from the data", "silent")
mismatched = spoiled("label or loss mismatch", "mismatch")
masked = spoiled("masked-out sequences", "masked")


def softmax_twice(name, half, base):
    """A softmax in front of a loss that has one of its own."""
    network = base["network"]
    fields = {**base, "network": (*network, ("softmax",)), "where": (str(len(network)),), "twin": {"network": network}}
    return Patient(f"mismatch-{name}", "label or loss mismatch", half, **fields)


def wrong_loss(name, half, base, loss):
    fields = {**base, "loss": loss, "twin": {"loss": base.get("loss", "cross_entropy")}}
    return Patient(f"mismatch-{name}", "label or loss mismatch", half, **fields)


def padded(name, half, base, length, steps):
    """Zeros behind the ends, and nobody tells the model: the step at which they begin is `length`."""
    kind, pad = base["network"][0][0], ("pad", steps)
    return masked(name, half, base, pad, twin=(pad, ("lengths", length)), where=(kind,), step=length)


def cut(name, half, base, length, told):
    """The model is told lengths that are too short: it sees nothing from the step `told` on."""
    kind = base["network"][0][0]
    return masked(name, half, base, ("lengths", told), twin=(("lengths", length),), where=(kind,), step=told)


PATIENTS = (
    silent("constant", "choose", MLP, ("constant", 0.5)),
    silent("zeros", "report", MNIST, ("constant", 0.0)),
    silent("unscaled", "choose", MLP, ("scale", 96.0, 78.0)),
    silent("unscaled-tanh", "report", TANH, ("scale", 96.0, 78.0), also=("saturation",)),
    silent("mnist-unscaled", "choose", MNIST, ("scale", 79.0, 33.0)),
    silent("huge-feature", "report", DEEP, ("feature", 20, 1e4)),
    silent("shifted", "choose", SIGMOID, ("scale", 1.0, 100.0), also=("saturation",)),
    silent("tiny", "report", MLP, ("scale", 1e-4)),
    silent("cnn-constant", "report", CNN, ("constant", 1.0)),
    silent("cnn-unscaled", "choose", CNN, ("scale", 96.0, 78.0)),
    silent("lstm-constant", "choose", LSTM_ORDER, ("constant", 0.0)),
    silent("gru-unscaled", "report", GRU_ADDING, ("feature", 0, 1000.0)),
    silent("rnn-unscaled", "choose", RNN_ROWS, ("scale", 96.0, 78.0), also=("saturation",)),
    mismatched("shuffled-mlp", "choose", MLP, ("shuffle_labels",)),
    mismatched("shuffled-cnn", "report", CNN, ("shuffle_labels",)),
    mismatched("shuffled-mnist", "report", MNIST, ("shuffle_labels",)),
    mismatched("shuffled-lstm", "choose", LSTM_ADDING, ("shuffle_labels",)),
    mismatched("shuffled-gru", "report", GRU_ORDER, ("shuffle_labels",)),
    mismatched("shuffled-rnn", "choose", RNN_ORDER, ("shuffle_labels",)),
    softmax_twice("softmax-deep", "choose", DEEP),
    softmax_twice("softmax-sigmoid", "report", SIGMOID),
    softmax_twice("softmax-cnn", "report", CNN),
    wrong_loss("nll-mlp", "report", MLP, "nll"),
    wrong_loss("nll-cnn", "choose", CNN, "nll"),
    wrong_loss("sign", "choose", TANH, "minus_cross_entropy"),
    mismatched(
        "target-scale", "report", MLP | dict(loss="mse", steps=1200), ("one_hot", 1000.0), twin=(("one_hot", 1.0),)
    ),
    mismatched(
        "target-scale-cnn", "choose", CNN | dict(loss="mse", steps=900), ("one_hot", 1000.0), twin=(("one_hot", 1.0),)
    ),
    cut("gru-rows", "choose", GRU_ROWS, 8, 1),
    cut("rnn-rows", "report", RNN_ROWS, 8, 1),
    cut("lstm-order", "report", LSTM_ORDER, 30, 6),
    cut("gru-adding", "choose", GRU_ADDING, 30, 2),
    padded("rnn-padded", "choose", RNN_ROWS, 8, 56),
    padded("lstm-padded", "report", LSTM_ROWS, 8, 120),
    padded("gru-padded", "choose", GRU_ORDER, 30, 120),
    masked("copy", "report", COPY, ("ignore", 3), twin=(), where=("gru",), step=8),
)
