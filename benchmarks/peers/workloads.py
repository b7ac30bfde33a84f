"""What every worker trains: rows, data and starting weights, in NumPy only. A row needs nothing in the workers."""

import itertools
from dataclasses import dataclass

import numpy as np
from layers import Block, Conv, Embedding, Flatten, Linear, MaxPool, MeanPool, Norm, Recurrent, ReLU, Steps, walk

SEED = 20
N_BATCHES = 8  # prepared batches that the steps cycle over
LR, BETA1, BETA2, EPS, MAX_NORM = 1e-3, 0.9, 0.999, 1e-8, 1.0


@dataclass(frozen=True)
class Workload:
    """One row of the race; `shape` is that of one sample, `goal` the wanted ratio best peer / minidl."""

    name: str
    layers: tuple
    shape: tuple
    batch: int
    goal: float
    check: int = 20  # steps that must agree with the reference...
    rtol: float = 1e-3  # ...this well

    @property
    def classes(self):
        """Number of labels."""
        return self.layers[-1].outputs

    @property
    def images(self):
        """Whether there are convolutions."""
        return len(self.shape) == 3

    @property
    def text(self):
        """Whether a sample is a text, whose next tokens are to be told."""
        return isinstance(self.layers[0], Embedding)

    @property
    def flops(self):
        """Matrix-product FLOPs of one step: forward, dW, and dx except for the first layer.

        An embedding as the first layer has none, so that all others count three times.
        """
        products = [layer.flops(shape) for _, layer, shape in walk(self.layers, self.shape) if hasattr(layer, "flops")]
        return self.batch * (3 * sum(products) - products[0])

    @property
    def free(self):
        """Names of what only rounding moves: Adam blows up the zero gradient of a bias that a mean takes out again."""
        names = set()
        for (first, layer, _), (second, following, _) in itertools.pairwise(walk(self.layers, self.shape)):
            if isinstance(following, Norm) and layer.bias:
                names |= {f"{first}.bias", f"{second}.running_mean"}
        return names


def mlp(*sizes):
    """Linear layers with ReLU between them."""
    layers = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [Linear(n_in, n_out), ReLU()]
    return tuple(layers[:-1])


def resnet(*blocks):
    """Residual blocks between a first convolution and the mean."""
    width = blocks[0].inputs
    first = Conv(3, width, 3, padding=1, bias=False), Norm(width), ReLU()
    return (*first, *blocks, MeanPool(), Flatten(), Linear(blocks[-1].outputs, 10))


def language(kind, size, tokens=65):
    """A recurrent network that tells the next token at every step; Shakespeare's plays have 65 characters."""
    return Embedding(tokens, size), Recurrent(kind, size, size), Steps(), Linear(size, tokens)


DEEP_BN = (Linear(64, 64), Norm(64, 0), ReLU()) * 30 + (Linear(64, 10),)
SEED_CNN = (Conv(1, 32, 3), ReLU(), MeanPool(), Flatten(), *mlp(32, 64, 10))
LENET5 = (
    *(Conv(1, 6, 5, padding=2), ReLU(), MaxPool()),
    *(Conv(6, 16, 5), ReLU(), MaxPool()),
    *(Flatten(), *mlp(400, 120, 84, 10)),
)
RESNET8 = resnet(Block(16, 16), Block(16, 32, 2), Block(32, 64, 2))

ROWS = {
    row.name: row
    for row in (
        Workload("tiny_mlp", mlp(4, 32, 32, 3), (4,), 32, 12.0),
        Workload("digits_mlp", mlp(64, 64, 10), (64,), 32, 5.0),
        Workload("mnist_mlp", mlp(784, 128, 64, 10), (784,), 64, 2.5),
        # Float32 rounding grows here by 1.5 a step and reaches 2e-3 after 20 steps; PyTorch in float64 stays at 1e-15.
        Workload("wide_mlp", mlp(784, 1024, 1024, 10), (784,), 256, 1.15, check=10),
        # Batch normalisation spreads rounding faster: 1e-5 after 5 steps, 1e-2 after 8; float64 still 1e-12.
        Workload("deep_bn", DEEP_BN, (64,), 64, 5.0, check=5),
        Workload("seed_cnn", SEED_CNN, (1, 28, 28), 32, 4.0),
        Workload("lenet5", LENET5, (1, 28, 28), 64, 4.0),
        # One bias of 32 with a gradient near 0 is enough for 2e-3.
        Workload("resnet8", RESNET8, (3, 32, 32), 32, 1.8, check=5, rtol=1e-2),
        Workload("resnet_c64", resnet(Block(64, 64)), (3, 32, 32), 16, 1.0, check=5, rtol=1e-2),
        Workload("lstm_h32", language("LSTM", 32), (32,), 16, 4.0),
        Workload("lstm_h128", language("LSTM", 128), (64,), 32, 1.3),
        Workload("rnn_h128", language("RNN", 128), (64,), 32, 2.0),
        Workload("gru_h128", language("GRU", 128), (64,), 32, 2.0),
    )
}


def parameters(row):
    """Starting weights of `row`, named as in a Sequential of its layers; see `layers` for the numbers.

    Parameters
    ----------
    row : Workload

    Returns
    -------
    dict of str to float32 ndarray
        ``"0.weight"`` [out, in], ``"0.bias"`` [out], ..., and the running statistics of batch normalisation, but not
        how many batches there were, which no number depends on.
    """
    rng = np.random.default_rng(SEED)
    states = ((name, layer.state(rng)) for name, layer, _ in walk(row.layers, row.shape) if hasattr(layer, "state"))
    return {f"{name}.{key}": value for name, state in states for key, value in state.items()}


def is_running(name):
    """Whether a name of `parameters` belongs to a running statistic, which has no gradient."""
    return name.rpartition(".")[2].startswith("running_")


def batches(row):
    """`N_BATCHES` pairs of inputs (float32 [batch, *shape], normal) and labels (int64 [batch], uniform).

    Texts are int64 [time, batch], and their labels [time * batch] are the tokens that follow. Each token has only four
    successors, so there is something to learn.
    """
    rng = np.random.default_rng(SEED + 1)
    if row.text:
        (time,) = row.shape
        successors = rng.integers(row.classes, size=(row.classes, 4))
        tokens = np.empty((N_BATCHES, time + 1, row.batch), np.int64)
        tokens[:, 0] = rng.integers(row.classes, size=(N_BATCHES, row.batch))
        for t in range(time):
            tokens[:, t + 1] = successors[tokens[:, t], rng.integers(4, size=(N_BATCHES, row.batch))]
        return [(text[:-1], text[1:].ravel()) for text in tokens]
    return [
        (
            rng.standard_normal((row.batch, *row.shape)).astype(np.float32),
            rng.integers(row.classes, size=row.batch),
        )
        for _ in range(N_BATCHES)
    ]
