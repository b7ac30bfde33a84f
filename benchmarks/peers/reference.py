"""The truth of the race: the same training in float64, in NumPy, with every gradient written out.

The functions take a layer, its weights (a dict, short names), its input, and a dict for what they note: the gradients
and new running statistics. They return the output and a function that takes dy to dx.
"""

import layers
import numpy as np
from workloads import BETA1, BETA2, EPS, LR, MAX_NORM, N_BATCHES, batches, is_running, parameters

MOMENTUM, NORM_EPS = 0.1, 1e-5


def linear(layer, p, x, note):
    """y = x W^T + b."""

    def back(dy):
        note.update(weight=dy.T @ x, bias=dy.sum(0))
        return dy @ p["weight"]

    return x @ p["weight"].T + p["bias"], back


def conv(layer, p, x, note):
    """One matrix product for each tap of the kernel."""
    w, s, pad = p["weight"], layer.stride, layer.padding
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = layer.output(x.shape[1:])[1]
    windows = {
        (i, j): (..., slice(i, i + s * (size - 1) + 1, s), slice(j, j + s * (size - 1) + 1, s))
        for i in range(layer.kernel)
        for j in range(layer.kernel)
    }
    y = sum(np.tensordot(padded[window], w[(..., *tap)], (1, 1)) for tap, window in windows.items())
    y = np.moveaxis(y + p.get("bias", 0.0), -1, 1)

    def back(dy):
        dw, dx = np.empty_like(w), np.zeros_like(padded)
        for tap, window in windows.items():
            dw[(..., *tap)] = np.tensordot(dy, padded[window], ((0, 2, 3), (0, 2, 3)))
            dx[window] += np.moveaxis(np.tensordot(dy, w[(..., *tap)], (1, 0)), -1, 1)
        note["weight"] = dw
        if layer.bias:
            note["bias"] = dy.sum((0, 2, 3))
        return dx[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]

    return y, back


def norm(layer, p, x, note):
    """Batch normalisation."""
    axes = (0, *range(2, x.ndim))
    weight, bias = (p[name].reshape(-1, *[1] * (x.ndim - 2)) for name in ("weight", "bias"))
    count = x.size // layer.channels
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    scale = 1 / np.sqrt(var + NORM_EPS)
    z = (x - mean) * scale
    note["running_mean"] = (1 - MOMENTUM) * p["running_mean"] + MOMENTUM * mean.ravel()
    note["running_var"] = (1 - MOMENTUM) * p["running_var"] + MOMENTUM * var.ravel() * count / (count - 1)

    def back(dy):
        note.update(weight=(dy * z).sum(axes), bias=dy.sum(axes))
        dz = dy * weight
        return scale * (dz - dz.mean(axes, keepdims=True) - z * (dz * z).mean(axes, keepdims=True))

    return weight * z + bias, back


def relu(layer, p, x, note):
    """max(x, 0)."""
    return np.maximum(x, 0), lambda dy: dy * (x > 0)


def max_pool(layer, p, x, note):
    """Of equal values in a tile the first one gets the gradient."""
    n, c, h, w = x.shape
    tiles = x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)
    winner = tiles.argmax(-1)[..., None]

    def back(dy):
        dtiles = np.zeros_like(tiles)
        np.put_along_axis(dtiles, winner, dy[..., None], -1)
        return dtiles.reshape(n, c, h // 2, w // 2, 2, 2).swapaxes(3, 4).reshape(x.shape)

    return np.take_along_axis(tiles, winner, -1)[..., 0], back


def mean_pool(layer, p, x, note):
    """Mean of each channel."""
    area = x.shape[2] * x.shape[3]
    return x.mean((2, 3), keepdims=True), lambda dy: np.broadcast_to(dy / area, x.shape)


def flatten(layer, p, x, note):
    """Images as vectors."""
    return x.reshape(len(x), -1), lambda dy: dy.reshape(x.shape)


def block(layer, p, x, note):
    """A residual block."""
    parts = layer.parts()
    names = ["conv1", "norm1", None, "conv2", "norm2"]  # None: relu
    main = chain([(name, parts[name] if name else layers.ReLU()) for name in names], p, x, note)
    side = chain([(name, part) for name, part in parts.items() if name.startswith("shortcut")], p, x, note)
    total = main[0] + side[0]

    def back(dy):
        dy = dy * (total > 0)
        return main[1](dy) + side[1](dy)

    return np.maximum(total, 0), back


def embedding(layer, p, x, note):
    """Rows of the table."""

    def back(dy):
        note["weight"] = np.zeros_like(p["weight"])
        np.add.at(note["weight"], x, dy)  # nothing goes further: x are tokens

    return p["weight"][x], back


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def rnn_cell(a, b, h, c):
    """h = tanh(a + b); see `CELLS`."""
    new = np.tanh(a + b)

    def back(dh, dc):
        d = dh * (1 - new**2)
        return d, d, 0.0, 0.0

    return new, c, back


def lstm_cell(a, b, h, c):
    """c = f c + i g, h = o tanh(c), the gates in the order i, f, g, o."""
    i, f, g, o = np.split(a + b, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    new = f * c + i * g
    squashed = np.tanh(new)

    def back(dh, dc):
        dc = dc + dh * o * (1 - squashed**2)
        di, df, dg, do = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * squashed * o * (1 - o)
        d = np.concatenate([di, df, dg, do], axis=-1)
        return d, d, 0.0, dc * f

    return o * squashed, new, back


def gru_cell(a, b, h, c):
    """h = (1 - z) n + z h with n = tanh(a_n + r b_n), the gates in the order r, z, n."""
    (ar, az, an), (br, bz, bn) = np.split(a, 3, axis=-1), np.split(b, 3, axis=-1)
    r, z = sigmoid(ar + br), sigmoid(az + bz)
    n = np.tanh(an + r * bn)

    def back(dh, dc):
        dn, dz = dh * (1 - z) * (1 - n**2), dh * (h - n) * z * (1 - z)
        dr = dn * bn * r * (1 - r)
        return np.concatenate([dr, dz, dn], axis=-1), np.concatenate([dr, dz, dn * r], axis=-1), dh * z, 0.0

    return (1 - z) * n + z * h, c, back


# One step: a = W_ih x + b_ih, b = W_hh h + b_hh, h and c (only an LSTM uses it) to the new h and c, and a function that
# takes their gradients to those of a, of b, of h (without what flows through b) and of c.
CELLS = {"RNN": rnn_cell, "LSTM": lstm_cell, "GRU": gru_cell}


def recurrent(layer, p, x, note):
    """One cell after the other through [time, batch, size]."""
    h = c = np.zeros((x.shape[1], layer.size))
    a = x @ p["weight_ih_l0"].T + p["bias_ih_l0"]
    states, backs = [h], []
    for a_t in a:
        h, c, back_t = CELLS[layer.kind](a_t, h @ p["weight_hh_l0"].T + p["bias_hh_l0"], h, c)
        states.append(h)
        backs.append(back_t)
    before, output = np.array(states[:-1]), np.array(states[1:])

    def back(dy):
        da, db = np.empty_like(a), np.empty_like(a)
        dh = dc = 0.0
        for t in reversed(range(len(x))):
            da[t], db[t], dh, dc = backs[t](dy[t] + dh, dc)
            dh = dh + db[t] @ p["weight_hh_l0"]
        for name, d, v in ("ih", da, x), ("hh", db, before):
            note[f"weight_{name}_l0"] = np.tensordot(d, v, ((0, 1), (0, 1)))
            note[f"bias_{name}_l0"] = d.sum((0, 1))
        return da @ p["weight_ih_l0"]

    return output, back


def steps(layer, p, x, note):
    """Time and batch as one axis."""
    return x.reshape(-1, x.shape[-1]), lambda dy: dy.reshape(x.shape)


FUNCTIONS = {
    layers.Linear: linear,
    layers.Conv: conv,
    layers.Norm: norm,
    layers.ReLU: relu,
    layers.MaxPool: max_pool,
    layers.MeanPool: mean_pool,
    layers.Flatten: flatten,
    layers.Block: block,
    layers.Embedding: embedding,
    layers.Recurrent: recurrent,
    layers.Steps: steps,
}


def chain(named, p, x, note):
    """Layers in turn; `named` has (name, layer). Notes go to `note` under their long names when dy came back."""
    backs, notes = [], {}
    for name, layer in named:
        own = {key.removeprefix(f"{name}."): value for key, value in p.items() if key.startswith(f"{name}.")}
        notes[name] = {}
        x, back = FUNCTIONS[type(layer)](layer, own, x, notes[name])
        backs.append(back)

    def back(dy):
        for function in reversed(backs):
            dy = function(dy)
        note.update({f"{name}.{key}": value for name, values in notes.items() for key, value in values.items()})
        return dy

    return x, back


def cross_entropy(logits, labels):
    """The mean loss, and the gradient of the logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    index = np.arange(len(labels))
    dy = np.exp(log_p)
    dy[index, labels] -= 1.0
    return -log_p[index, labels].mean(), dy / len(labels)


def train(row, steps):
    """Train from the starting weights with clip and Adam.

    Parameters
    ----------
    row : Workload
    steps : int

    Returns
    -------
    losses : list of float
    state : dict of str to float64 ndarray
        As `workloads.parameters`.
    """
    state = {name: value.astype(np.float64) for name, value in parameters(row).items()}
    trained = [name for name in state if not is_running(name)]
    mean, square = ({name: np.zeros_like(state[name]) for name in trained} for _ in range(2))
    data, losses = batches(row), []
    named = [(str(i), layer) for i, layer in enumerate(row.layers)]
    for t in range(1, steps + 1):
        x, labels = data[(t - 1) % N_BATCHES]
        note = {}
        logits, back = chain(named, state, x if row.text else x.astype(np.float64), note)
        loss, dy = cross_entropy(logits, labels)
        back(dy)
        losses.append(loss)
        scale = min(1.0, MAX_NORM / (np.sqrt(sum(np.sum(note[name] ** 2) for name in trained)) + 1e-6))
        for name in trained:
            g, m, v = scale * note[name], mean[name], square[name]
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            state[name] -= LR * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPS)
        state.update({name: value for name, value in note.items() if is_running(name)})
    return losses, state
