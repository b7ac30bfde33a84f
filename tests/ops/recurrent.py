import numpy as np
from op_table import Op

from minidl import functional as F

TOKENS = np.array([[2, 0, 2], [1, 2, 0]])


def torch():
    """Imported late: only the parity tests need it."""
    return __import__("torch")


def counted(x):
    """Lengths from 1 to T for a batch (T, B, ...)."""
    return np.arange(x.shape[1])[::-1] % x.shape[0] + 1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, h, w, activation=np.tanh):
    return [activation(x + h @ w.T)]


def lstm(x, h, c, w, p=((0,), (0,), (0,))):
    i, f, g, o = np.split(x + h @ w.T, 4, -1)
    after = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * np.tanh(g)
    return [sigmoid(o + p[2] * after) * np.tanh(after), after]


def gru(x, h, w, b):
    (r, z, n), (share_r, share_z, share_n) = np.split(x, 3, -1), np.split(h @ w.T + b, 3, -1)
    z = sigmoid(z + share_z)
    return [(1 - z) * np.tanh(n + sigmoid(r + share_r) * share_n) + z * h]


def through(step, x, states, *weights, reverse=False, lengths=None):
    """One step after the other: the outputs, and the last states behind them."""
    T, B = x.shape[:2]
    lengths = np.full(B, T) if lengths is None else lengths
    y = np.zeros((T, *states[0].shape))
    for t in reversed(range(T)) if reverse else range(T):
        inside = (t < lengths)[:, None]
        after = step(x[t], *states, *weights)
        states = [np.where(inside, new, old) for new, old in zip(after, states, strict=True)]
        y[t] = np.where(inside, states[0], 0)
    return np.stack([*y, *states])


def joined(y, *last):
    """The outputs, and the last states behind them."""
    return F.cat([y, F.stack(last)])


def start(x, w):
    """The state that a recurrence begins with if none is given."""
    return np.zeros((x.shape[1], w.shape[1]))


def with_torch(name, bias=False):
    """PyTorch's layer of that name with an input weight that changes nothing."""

    def run(x, w, *more):
        states, b = (more[1:], more[:1]) if bias else (more, ())
        states = [s[None] for s in states or [torch().zeros(len(x[0]), w.shape[1], dtype=x.dtype)]]
        first = torch().eye(len(w), dtype=x.dtype)
        weights = [first, w, torch().zeros_like(b[0]), *b] if bias else [first, w]
        hx = states if name == "lstm" else states[0]
        y, *last = getattr(torch(), name)(x, hx, weights, bias, 1, 0.0, True, False, False)
        return torch().cat([y, *last])

    return run


def shapes(gates, *more, states=0):
    """Cases (T, B, H) as the shapes of x, weight, what `more` says for H gates H, and states."""
    return [
        ((T, B, gates * H), (gates * H, H), *(shape(H) for shape in more), *[(B, H)] * states)
        for T, B, H in [(4, 3, 2), (1, 2, 3), (3, 1, 1), (2, 9, 5)]
    ]


OPS = [
    Op(
        "rnn", lambda x, w, h: joined(*F.rnn(x, w, h)), lambda x, w, h: through(rnn, x, [h], w),
        shapes(1, states=1), torch=with_torch("rnn_tanh"),
    ),
    Op(
        "rnn-relu", lambda x, w, h: joined(*F.rnn(x, w, h, "relu")),
        lambda x, w, h: through(rnn, x, [h], w, lambda a: np.maximum(a, 0)), shapes(1, states=1), torch=with_torch("rnn_relu"),
    ),
    Op(
        "rnn-plain", lambda x, w: joined(*F.rnn(x, w)), lambda x, w: through(rnn, x, [start(x, w)], w),
        [*shapes(1), ((1, 0, 2), (2, 2)), ((2, 3, 0), (0, 0))],
    ),
    Op(
        "rnn-reverse-lengths", lambda x, w, h: joined(*F.rnn(x, w, h, reverse=True, lengths=counted(x))),
        lambda x, w, h: through(rnn, x, [h], w, reverse=True, lengths=counted(x)), shapes(1, states=1),
    ),
    Op(
        "lstm", lambda x, w, h, c: joined(*F.lstm(x, w, h, c)), lambda x, w, h, c: through(lstm, x, [h, c], w),
        shapes(4, states=2), torch=with_torch("lstm"),
    ),
    Op(
        "lstm-plain", lambda x, w: joined(*F.lstm(x, w)), lambda x, w: through(lstm, x, [start(x, w)] * 2, w),
        [*shapes(4), ((1, 0, 8), (8, 2)), ((2, 3, 0), (0, 0))],
    ),
    Op(
        "lstm-one-state", lambda x, w, h: joined(*F.lstm(x, w, h, h)), lambda x, w, h: through(lstm, x, [h, h], w),
        shapes(4, states=1)[:1],
    ),
    Op(
        "lstm-reverse", lambda x, w, h, c: joined(*F.lstm(x, w, h, c, reverse=True)),
        lambda x, w, h, c: through(lstm, x, [h, c], w, reverse=True), shapes(4, states=2)[:2],
    ),
    Op(
        "lstm-lengths", lambda x, w, h, c: joined(*F.lstm(x, w, h, c, lengths=counted(x))),
        lambda x, w, h, c: through(lstm, x, [h, c], w, lengths=counted(x)), shapes(4, states=2),
    ),
    Op(
        "lstm-peephole", lambda x, w, p, h, c: joined(*F.lstm(x, w, h, c, p)),
        lambda x, w, p, h, c: through(lstm, x, [h, c], w, p), shapes(4, lambda H: (3, H), states=2),
    ),
    Op(
        "lstm-peephole-reverse-lengths",
        lambda x, w, p, h, c: joined(*F.lstm(x, w, h, c, p, reverse=True, lengths=counted(x))),
        lambda x, w, p, h, c: through(lstm, x, [h, c], w, p, reverse=True, lengths=counted(x)),
        [*shapes(4, lambda H: (3, H), states=2), ((1, 0, 8), (8, 2), (3, 2), (0, 2), (0, 2))],
    ),
    Op(
        "lstm-tokens", lambda x, w: joined(*F.lstm(x, w, tokens=TOKENS)),
        lambda x, w: through(lstm, x[TOKENS], [start(TOKENS, w)] * 2, w), [((3, 8), (8, 2)), ((5, 4), (4, 1))],
    ),
    Op(
        "gru", lambda x, w, b, h: joined(*F.gru(x, w, b, h)), lambda x, w, b, h: through(gru, x, [h], w, b),
        shapes(3, lambda H: (3 * H,), states=1), torch=with_torch("gru", bias=True),
    ),
    Op(
        "gru-plain", lambda x, w: joined(*F.gru(x, w)), lambda x, w: through(gru, x, [start(x, w)], w, 0),
        [*shapes(3), ((1, 0, 6), (6, 2)), ((2, 3, 0), (0, 0))],
    ),
    Op(
        "gru-reverse-lengths", lambda x, w, b, h: joined(*F.gru(x, w, b, h, reverse=True, lengths=counted(x))),
        lambda x, w, b, h: through(gru, x, [h], w, b, reverse=True, lengths=counted(x)),
        shapes(3, lambda H: (3 * H,), states=1),
    ),
    Op(
        "gru-tokens-lengths", lambda x, w, b: joined(*F.gru(x, w, b, tokens=TOKENS, lengths=[2, 1, 2])),
        lambda x, w, b: through(gru, x[TOKENS], [start(TOKENS, w)], w, b, lengths=np.array([2, 1, 2])),
        [((3, 6), (6, 2), (6,))],
    ),
]  # fmt: skip
