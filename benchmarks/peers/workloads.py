"""What every worker trains: rows, data, starting weights and a float64 reference, in NumPy only.

To add a row of a new kind (CNN, RNN): a `Workload` here with its `kind`, its shapes in `parameters` and `batches`, and
one builder per worker under the same `kind`. A kind without a reference is checked against the first worker instead.
"""

import itertools
from dataclasses import dataclass

import numpy as np

SEED = 20
N_BATCHES = 8  # prepared batches that the steps cycle over
LR, BETA1, BETA2, EPS, MAX_NORM = 1e-3, 0.9, 0.999, 1e-8, 1.0


@dataclass(frozen=True)
class Workload:
    """One row of the race; `goal` is the wanted ratio best peer / minidl."""

    name: str
    kind: str
    sizes: tuple
    batch: int
    goal: float
    check: int = 20  # steps that must agree with the reference

    @property
    def flops(self):
        """Matrix-product FLOPs of one step: forward, dW, and dx except for the first layer."""
        products = [2 * self.batch * a * b for a, b in itertools.pairwise(self.sizes)]
        return 3 * sum(products) - products[0]


ROWS = {
    row.name: row
    for row in (
        Workload("tiny_mlp", "mlp", (4, 32, 32, 3), 32, 12.0),
        Workload("digits_mlp", "mlp", (64, 64, 10), 32, 5.0),
        Workload("mnist_mlp", "mlp", (784, 128, 64, 10), 64, 2.5),
        # Float32 rounding grows here by 1.5 a step and reaches 2e-3 after 20 steps; PyTorch in float64 stays at 1e-15.
        Workload("wide_mlp", "mlp", (784, 1024, 1024, 10), 256, 1.15, check=10),
    )
}


def parameters(row):
    """Starting weights of `row`, named as in a Sequential of Linear and ReLU.

    Parameters
    ----------
    row : Workload

    Returns
    -------
    dict of str to float32 ndarray
        ``"0.weight"`` [out, in] (He normal), ``"0.bias"`` [out], ``"2.weight"``, ...
        The biases are not zero, so that a missing bias fails the check.
    """
    rng = np.random.default_rng(SEED)
    state = {}
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(row.sizes)):
        weight = rng.standard_normal((n_out, n_in)) * np.sqrt(2.0 / n_in)
        state[f"{2 * layer}.weight"] = weight.astype(np.float32)
        state[f"{2 * layer}.bias"] = (0.1 * rng.standard_normal(n_out)).astype(np.float32)
    return state


def batches(row):
    """`N_BATCHES` pairs of inputs (float32 [batch, in], normal) and labels (int64 [batch], uniform)."""
    rng = np.random.default_rng(SEED + 1)
    return [
        (
            rng.standard_normal((row.batch, row.sizes[0])).astype(np.float32),
            rng.integers(row.sizes[-1], size=row.batch),
        )
        for _ in range(N_BATCHES)
    ]


def reference(row, steps):
    """Losses of the first `steps` steps in float64, and the parameters after them.

    Returns
    -------
    losses : list of float, or None where the kind has no reference
    state : dict of str to float64 ndarray, or None
    """
    if row.kind != "mlp":
        return None, None
    params = [p.astype(np.float64) for p in parameters(row).values()]
    mean, square = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    data, losses = batches(row), []
    for t in range(1, steps + 1):
        x, labels = data[(t - 1) % N_BATCHES]
        loss, grads = _mlp_gradients(params, x.astype(np.float64), labels)
        losses.append(loss)
        norm = np.sqrt(sum(np.sum(g * g) for g in grads))
        scale = min(1.0, MAX_NORM / (norm + 1e-6))
        for p, g, m, v in zip(params, grads, mean, square, strict=True):
            g = scale * g
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            p -= LR * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPS)
    return losses, dict(zip(parameters(row), params, strict=True))


def _mlp_gradients(params, x, labels):
    weights, biases = params[::2], params[1::2]
    hidden = [x]  # the input of each layer
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        hidden.append(np.maximum(hidden[-1] @ w.T + b, 0.0))
    logits = hidden[-1] @ weights[-1].T + biases[-1]
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    index = np.arange(len(labels))
    dy = np.exp(log_p)
    dy[index, labels] -= 1.0
    dy /= len(labels)
    grads = []
    for w, h in zip(weights[::-1], hidden[::-1], strict=True):
        grads[:0] = [dy.T @ h, dy.sum(axis=0)]
        dy = (dy @ w) * (h > 0)
    return -log_p[index, labels].mean(), grads
