import importlib

import numpy as np
from op_table import Op, apart, normal, positive

from minidl import functional as F


def torch_functional(name):
    """PyTorch's function, looked up when it is called: the table itself works without torch."""
    return lambda *args, **options: getattr(importlib.import_module("torch.nn.functional"), name)(*args, **options)


def as_torch(array, like):
    torch = importlib.import_module("torch")
    return torch.tensor(array, dtype=None if array.dtype == np.int64 else like.dtype)


# Losses over classes -------------------------------------------------------------------------------------------

CLASSES = [((4, 5),), ((1, 1),), ((3, 4, 2),), ((2, 3, 2, 2),), ((5,),), ((70, 3),)]
EMPTY = [((0, 4),), ((0, 4, 3),), ((2, 3, 0),)]


def labels(shape, ignored=None):
    """Labels for an input of `shape`; every third is `ignored`."""
    C = shape[min(len(shape) - 1, 1)]
    target = np.random.default_rng(7).integers(0, C, (*shape[: len(shape) > 1], *shape[2:]))
    if ignored is not None and target.size > 1:
        target.reshape(-1)[::3] = ignored
    return target


def class_weight(shape):
    return np.linspace(0.5, 2, shape[min(len(shape) - 1, 1)])


def log_probabilities(x):
    axis = min(x.ndim - 1, 1)
    shifted = x - x.max(axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def along_classes(values, ndim):
    return values.reshape(-1, *[1] * max(ndim - 2, 0))


def nll(log_p, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Reference with class indices: a table of one-hot rows, smoothed and weighted."""
    axis = min(log_p.ndim - 1, 1)
    C = log_p.shape[axis]
    weight = np.ones(C) if weight is None else weight
    counts = target != ignore_index
    safe = np.where(counts, target, 0)
    onehot = np.moveaxis(np.eye(C)[safe], -1, axis) * np.expand_dims(counts, axis)
    q = (1 - label_smoothing) * onehot + label_smoothing / C * np.expand_dims(counts, axis)
    losses = -(q * along_classes(weight, log_p.ndim) * log_p).sum(axis)
    norm = (weight[safe] * counts).sum()
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / norm if reduction == "mean" else None}[
        reduction
    ]


def soft_nll(log_p, target, weight=None, reduction="mean", label_smoothing=0.0):
    """Reference with class probabilities."""
    axis = min(log_p.ndim - 1, 1)
    C = log_p.shape[axis]
    weight = np.ones(C) if weight is None else weight
    q = ((1 - label_smoothing) * target + label_smoothing / C) * along_classes(weight, log_p.ndim)
    losses = -(q * log_p).sum(axis)
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / max(losses.size, 1)}[reduction]


def class_ops(name, ours, reference, theirs, weighted=False, ignored=None, **options):
    """One Op per reduction of a loss over classes with these options."""

    def arguments(x, convert):
        target = labels(x.shape, ignored)
        weight = {"weight": convert(class_weight(x.shape))} if weighted else {}
        index = {} if ignored is None else {"ignore_index": ignored}
        return {"target": convert(target), **weight, **index, **options}

    for reduction in ("mean", "sum", "none"):
        yield Op(
            f"{name}-{reduction}",
            lambda x, reduction=reduction: ours(x, reduction=reduction, **arguments(x, np.asarray)),
            lambda x, reduction=reduction: reference(x, reduction=reduction, **arguments(x, np.asarray)),
            CLASSES if reduction == "mean" else CLASSES + EMPTY,
            torch=lambda x, reduction=reduction: theirs(
                x, reduction=reduction, **arguments(x, lambda a: as_torch(a, x))
            ),
        )


def entropy(x, **options):
    return nll(log_probabilities(x), **options)


def soft_entropy(x, target, **options):
    return soft_nll(log_probabilities(x), target, **options)


CE = torch_functional("cross_entropy")
PAIRS = [((4, 5), (4, 5)), ((1, 1), (1, 1)), ((3, 4, 2), (3, 4, 2)), ((5,), (5,))]

OPS = [
    *class_ops("cross_entropy", F.cross_entropy, entropy, CE),
    *class_ops("cross_entropy-weight", F.cross_entropy, entropy, CE, weighted=True),
    *class_ops("cross_entropy-ignore", F.cross_entropy, entropy, CE, weighted=True, ignored=-100),
    *class_ops("cross_entropy-ignore1", F.cross_entropy, entropy, CE, ignored=1),
    *class_ops("cross_entropy-smooth", F.cross_entropy, entropy, CE, label_smoothing=0.1),
    *class_ops("cross_entropy-all", F.cross_entropy, entropy, CE, weighted=True, ignored=-1, label_smoothing=0.3),
    *class_ops("nll_loss", F.nll_loss, nll, torch_functional("nll_loss")),
    *class_ops("nll_loss-all", F.nll_loss, nll, torch_functional("nll_loss"), weighted=True, ignored=-1),
]

for reduction in ("mean", "sum", "none"):
    shapes = PAIRS if reduction == "mean" else [*PAIRS, ((0, 4), (0, 4))]
    for smoothing in (0.0, 0.2):
        options = {"reduction": reduction, "label_smoothing": smoothing}
        OPS.append(
            Op(
                f"cross_entropy-probabilities-{reduction}-{smoothing}",
                lambda x, t, o=options: F.cross_entropy(x, t, **o),
                lambda x, t, o=options: soft_entropy(x, t, **o),
                shapes,
                [normal, positive],
                torch=lambda x, t, o=options: CE(x, t, **o),
            )
        )
    OPS.append(
        Op(
            f"cross_entropy-probabilities-{reduction}-weight",
            lambda x, t, r=reduction: F.cross_entropy(x, t, class_weight(x.shape), reduction=r),
            lambda x, t, r=reduction: soft_entropy(x, t, weight=class_weight(x.shape), reduction=r),
            shapes,
            [normal, positive],
            torch=lambda x, t, r=reduction: CE(x, t, as_torch(class_weight(x.shape), x), reduction=r),
        )
    )


# Losses element by element -------------------------------------------------------------------------------------

SAME = [((3, 4),) * 2, ((1,),) * 2, ((),) * 2, ((5, 67),) * 2]


def between(rng, shape):
    """Probabilities."""
    return rng.uniform(0.05, 0.95, shape)


def far(rng, shape):
    """Numbers whose differences from `apart` are not near a kink at 0, 0.5, 1 or 1.5."""
    return apart(rng, shape) + 0.033


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def reduced(losses, reduction):
    if reduction == "batchmean":
        return losses.sum() / losses.shape[0]
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / max(losses.size, 1)}[reduction]


def huber(x, t, delta=1.0):
    z = np.abs(x - t)
    return np.where(z <= delta, z**2 / 2, delta * (z - delta / 2))


def with_logits(x, t, pos_weight=1.0, weight=1.0):
    return weight * ((1 - t) * x + (1 + (pos_weight - 1) * t) * (np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)))


def poisson(x, t, log_input=True, full=False, eps=1e-8):
    stirling = np.where(t > 1, t * np.log(t) - t + np.log(2 * np.pi * t) / 2, 0) if full else 0
    return (np.exp(x) - t * x if log_input else x - t * np.log(x + eps)) + stirling


def in_torch(options, like):
    return {name: as_torch(value, like) if isinstance(value, np.ndarray) else value for name, value in options.items()}


def pointwise(name, function, losses, sample, label="", options=None, shapes=SAME, reductions=(), parity=True):
    """One Op per reduction of an elementwise loss with these options."""
    options, theirs = options or {}, torch_functional(name)
    empty = (0, *shapes[0][0])
    for reduction in ("mean", "sum", "none", *reductions):
        kept = {**options, "reduction": reduction}
        OPS.append(
            Op(
                f"{name}{label}-{reduction}",
                lambda x, t, kept=kept: function(x, t, **kept),
                lambda x, t, reduction=reduction: reduced(losses(x, t, **options), reduction),
                shapes if "mean" in reduction else [*shapes, (empty, empty)],
                sample,
                torch=(lambda x, t, kept=kept: theirs(x, t, **in_torch(kept, x))) if parity else None,
            )
        )


pointwise("mse_loss", F.mse_loss, lambda x, t: (x - t) ** 2, normal)
pointwise("l1_loss", F.l1_loss, lambda x, t: np.abs(x - t), [apart, far])
pointwise("huber_loss", F.huber_loss, huber, [apart, far])
pointwise("huber_loss", F.huber_loss, huber, [apart, far], "-delta", {"delta": 0.5})
pointwise("smooth_l1_loss", F.smooth_l1_loss, lambda x, t, beta=1.0: huber(x, t, beta) / beta, [apart, far])
pointwise(
    "smooth_l1_loss",
    F.smooth_l1_loss,
    lambda x, t, beta: huber(x, t, beta) / beta,
    [apart, far],
    "-beta",
    {"beta": 0.5},
)
pointwise("smooth_l1_loss", F.smooth_l1_loss, lambda x, t, beta: np.abs(x - t), [apart, far], "-beta0", {"beta": 0.0})

WEIGHTED = [((3, 4),) * 2, ((1, 4),) * 2, ((2, 3, 4),) * 2]
ROW = np.linspace(0.5, 2, 4)
COLUMN = np.linspace(0.5, 2, 3).reshape(3, 1)


def bce(x, t, weight=1.0):
    return -weight * (t * np.log(x) + (1 - t) * np.log(1 - x))


pointwise("binary_cross_entropy", F.binary_cross_entropy, bce, between)
pointwise("binary_cross_entropy", F.binary_cross_entropy, bce, between, "-row", {"weight": ROW}, shapes=WEIGHTED)
LOGITS = "binary_cross_entropy_with_logits"
pointwise(LOGITS, F.binary_cross_entropy_with_logits, with_logits, [normal, between])
for label, options in (
    ("-row", {"weight": ROW}),
    ("-pos", {"pos_weight": ROW}),
    ("-column", {"weight": COLUMN, "pos_weight": ROW}),
):
    shapes = WEIGHTED if label != "-column" else [((3, 4),) * 2, ((2, 3, 4),) * 2]
    pointwise(LOGITS, F.binary_cross_entropy_with_logits, with_logits, [normal, between], label, options, shapes=shapes)

DIVERGENCE = [shapes for shapes in SAME if shapes[0]]
pointwise(
    "kl_div",
    F.kl_div,
    lambda x, t: t * (np.log(t) - x),
    [normal, positive],
    shapes=DIVERGENCE,
    reductions=["batchmean"],
)
pointwise(
    "kl_div", F.kl_div, lambda x, t, log_target: np.exp(t) * (t - x), normal, "-log", {"log_target": True},
    shapes=DIVERGENCE, reductions=["batchmean"],
)  # fmt: skip
pointwise("poisson_nll_loss", F.poisson_nll_loss, poisson, [normal, positive])
pointwise("poisson_nll_loss", F.poisson_nll_loss, poisson, positive, "-rate", {"log_input": False, "eps": 1e-3})
pointwise("poisson_nll_loss", F.poisson_nll_loss, poisson, [normal, positive], "-full", {"full": True})

# PyTorch has no gradient towards this target: it is an input here, and fixed below, where both are compared
pointwise("soft_margin_loss", F.soft_margin_loss, lambda x, t: np.log1p(np.exp(-t * x)), [normal, signs], parity=False)
SIGNS = np.array([1.0, -1.0, -1.0])
OPS.append(
    Op(
        "soft_margin_loss-fixed",
        lambda x: F.soft_margin_loss(x, SIGNS),
        lambda x: np.log1p(np.exp(-SIGNS * x)).mean(),
        [((3,),)],
        torch=lambda x: torch_functional("soft_margin_loss")(x, as_torch(SIGNS, x)),
    )
)
