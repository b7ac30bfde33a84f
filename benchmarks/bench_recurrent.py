"""Recurrent layers over whole sequences and cells step by step, as recorded steps in float32, some next to NumPy.

The time of a step of a sequence is that of the sequence divided by its length, the first number of a size.
"""

import numpy as np

import minidl as dl
from minidl import nn
from minidl.functional.embedding import embedding

KINDS = {
    "rnn": (nn.RNN, {}),
    "lstm": (nn.LSTM, {}),
    "lstm peephole": (nn.LSTM, {"peephole": True}),
    "gru": (nn.GRU, {}),
}
CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
SIZES = {  # steps, batch, features, units
    "small": (20, 8, 4, 16),
    "medium": (50, 32, 64, 64),
    "large": (100, 64, 128, 256),
    "one sequence": (200, 1, 64, 128),
}
FORMS = ["forward", "forward and backward"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, h, w, b):
    return (np.tanh(x + h @ w.T + b),)


def lstm(x, h, c, w, b):
    i, f, g, o = np.split(x + h @ w.T + b, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, h, w, b):
    (r, z, n), (share_r, share_z, share_n) = np.split(x, 3, -1), np.split(h @ w.T + b, 3, -1)
    z = sigmoid(z + share_z)
    return ((1 - z) * np.tanh(n + sigmoid(r + share_r) * share_n) + z * h,)


NUMPY = {"rnn": rnn, "lstm": lstm, "gru": gru}


def sample(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def recorded(run, leaves, passes):
    """A replayable step, up to the gradients of the leaves."""

    def step():
        for leaf in leaves:
            leaf.grad = None
        y = run()
        if passes != "forward":
            y.backward(np.ones(y.shape, "float32"))
        return y

    return dl.record(step)


def numpy_twin(name, layer, x):
    """The same forward in NumPy, from the layer's weights."""
    w_ih, w_hh, b_ih, b_hh = (parameter.numpy() for parameter in layer.parameters())
    gates = x @ w_ih.T + b_ih
    states, y = [np.zeros((x.shape[1], layer.hidden_size), "float32")] * len(layer.states), []
    for step in gates:
        states = NUMPY[name](step, *states, w_hh, b_hh)
        y.append(states[0])
    return np.stack(y)


class Sequence:
    """One layer over whole sequences, replayed."""

    params = [list(KINDS), list(SIZES), FORMS]
    param_names = ["layer", "size", "passes"]

    def setup(self, name, size, passes):
        T, B, features, units = SIZES[size]
        make, options = KINDS[name]
        layer, x = make(features, units, **options), dl.tensor(sample(T, B, features), requires_grad=True)
        self.step = recorded(lambda: layer(x)[0], [*layer.parameters(), x], passes)
        y = self.step()
        self.step()
        if name in NUMPY:
            np.testing.assert_allclose(y.numpy(), numpy_twin(name, layer, x.numpy()), rtol=1e-3, atol=1e-3)
        if passes != "forward":
            assert np.isfinite(x.grad.numpy()).all() and (layer.gradient_norms()["l0"] > 0).all()

    def time_sequence(self, name, size, passes):
        self.step()


class Cell:
    """One cell over a sequence of 20 steps, each a call of its own: what a user's loop over time costs."""

    params = [list(CELLS), FORMS]
    param_names = ["cell", "passes"]

    def setup(self, name, passes):
        T, B, features, units = SIZES["small"]
        cell, x = CELLS[name](features, units), sample(T, B, features)

        def run():
            state = None
            for step in x:
                state = cell(step, state)
            return state[0] if isinstance(state, tuple) else state

        self.step = recorded(run, [*cell.parameters()], passes)
        y = self.step()
        self.step()
        np.testing.assert_allclose(y.numpy(), numpy_twin(name, cell, x)[-1], rtol=1e-3, atol=1e-3)

    def time_sequence(self, name, passes):
        self.step()


class Form:
    """An LSTM over sequences of different lengths, over single ones, in layers and directions, over characters."""

    forms = ["full", "lengths", "packed", "batch first", "bidirectional", "two layers", "characters"]
    params = [forms, FORMS]
    param_names = ["form", "passes"]

    def setup(self, form, passes):
        T, B, features, units = SIZES["medium"]
        options = {
            "batch first": {"batch_first": True},
            "bidirectional": {"bidirectional": True},
            "two layers": {"num_layers": 2},
        }
        layer = nn.LSTM(features, units, **options.get(form, {}))
        rng = np.random.default_rng(1)
        lengths = rng.integers(1, T + 1, B)
        lengths[0] = T
        x = sample(B, T, features) if form == "batch first" else sample(T, B, features)
        runs = {
            "lengths": lambda: layer(x, None, lengths)[0],
            "packed": lambda: layer(nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))[0].data,
        }
        if form == "characters":
            table, tokens = dl.Parameter(sample(30, features)), rng.integers(0, 30, (T, B))
            runs[form] = lambda: layer(embedding(tokens, table))[0]
        self.step = recorded(runs.get(form, lambda: layer(x)[0]), [*layer.parameters()], passes)
        assert np.isfinite(self.step().numpy()).all()

    def time_sequence(self, form, passes):
        self.step()


class Eager:
    """The same without a recording, with the Python of every node."""

    params = [list(KINDS), ["small", "medium"]]
    param_names = ["layer", "size"]

    def setup(self, name, size):
        T, B, features, units = SIZES[size]
        make, options = KINDS[name]
        self.layer, self.x = make(features, units, **options), sample(T, B, features)
        self.time_sequence(name, size)

    def time_sequence(self, name, size):
        self.layer.zero_grad()
        self.layer(self.x)[0].sum().backward()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY), ["small", "medium"]]
    param_names = ["layer", "size"]

    def setup(self, name, size):
        T, B, features, units = SIZES[size]
        self.layer, self.x = KINDS[name][0](features, units), sample(T, B, features)

    def time_sequence(self, name, size):
        numpy_twin(name, self.layer, self.x)
