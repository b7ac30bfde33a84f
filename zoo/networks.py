"""Descriptions of networks: tuples of layers, each a tuple of its kind and its numbers.

("linear", inputs, outputs)          ("relu",) ("tanh",) ("sigmoid",) ("softmax",) ("exp",)
("conv", inputs, outputs, kernel)    padded, so that the size stays
("max_pool", size) ("mean",)         the mean is over all pixels
("identity",) ("detach",)            detach: the same numbers, but no gradient comes through
("batch_norm", features) ("batch_norm2d", channels) ("layer_norm", features)
("log", shift)                       of x + shift
("divide_by_norm", root, eps)        x / (sqrt(sum of squares + root) + eps), row by row
("residual", scale, layers)          x + scale * layers(x); the layers' paths are "i.body.j"
("rnn" or "rnn_relu" or "lstm" or "gru", inputs, units)   only in the first place; (B, T, inputs) to (B, T, units)
("last",)                            behind a recurrent layer: its state at the end of each sequence
"""

RECURRENT = ("rnn", "rnn_relu", "lstm", "gru")


def mlp(*sizes, activation="relu", norm=None):
    """Linear layers with an activation, and before it perhaps a normalisation, behind each but the last."""
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [("linear", inputs, outputs)] + ([(norm, outputs)] if norm else []) + [(activation,)]
    return tuple(layers[:-2] if norm else layers[:-1])


def cnn(*channels, classes=10, activation="relu", norm=None, pools=(1,)):
    """Convolutions of 3x3, means over the pixels, and a linear layer; `pools`: layers with a pooling behind them."""
    layers = []
    for i, (inputs, outputs) in enumerate(zip(channels, channels[1:], strict=False)):
        layers += [("conv", inputs, outputs, 3)] + ([(norm, outputs)] if norm else []) + [(activation,)]
        layers += [("max_pool", 2)] if i in pools else []
    return (*layers, ("mean",), ("linear", channels[-1], classes))


def residual_mlp(inputs, width, blocks, outputs, scale, activation="relu"):
    """A chain of blocks x + scale * f(x) of two layers each."""
    body = (("linear", width, width), (activation,), ("linear", width, width))
    return (("linear", inputs, width), *[("residual", scale, body)] * blocks, (activation,), ("linear", width, outputs))


def reader(kind, inputs, units, outputs, last=True):
    """A recurrent layer, and a linear one that answers at the end, or at every step."""
    return ((kind, inputs, units), *([("last",)] if last else []), ("linear", units, outputs))


def paths(network, prefix=""):
    """(path, layer) of every layer."""
    if network[0][0] in RECURRENT:
        return [(network[0][0].split("_")[0], network[0]), ("head", network[-1])]
    found = []
    for i, layer in enumerate(network):
        found.append((f"{prefix}{i}", layer))
        if layer[0] == "residual":
            found += paths(layer[2], f"{prefix}{i}.body.")
    return found


def weighted(network):
    """Paths of the linear and convolution layers."""
    return [path for path, (kind, *_) in paths(network) if kind in ("linear", "conv")]
