import numpy as np
from op_table import Op, apart, normal

from minidl import functional as F

TOKENS = np.array([[3, 0, 3], [2, 3, 1]])
OFFSETS = np.array([0, 2, 2, 5])  # bags of 2, 0, 3 and 1
TABLES = [((4, 3),), ((4, 1),), ((5, 0),), ((6, 33),)]
WEIGHTED = [((4, 3), (2, 3)), ((5, 0), (2, 3)), ((6, 33), (2, 3))]
FLAT = TOKENS.ravel()


def torch():
    """Imported late: only the parity tests need it."""
    return __import__("torch")


def theirs(function, index, *others, **options):
    """PyTorch's function of a table, and of weights."""

    def call(w, *weights):
        named = {"per_sample_weights": weights[0]} if weights else {}
        tensors = [torch().as_tensor(array) for array in (index, *others)]
        return getattr(torch().nn.functional, function)(tensors[0], w, *tensors[1:], **named, **options)

    return call


def bags(w, index, edges, reduce, padding=None):
    """Each bag by itself."""
    rows = [[q for q in index[low:high] if q != padding] for low, high in zip(edges, edges[1:], strict=False)]
    return np.stack([reduce(w[bag]) if bag else np.zeros(w.shape[1]) for bag in rows])


def weighted(w, f):
    return (w[TOKENS] * f[..., None]).sum(1)


REDUCE = {"sum": lambda x: x.sum(0), "mean": lambda x: x.mean(0), "max": lambda x: x.max(0)}

OPS = [
    Op("embedding", lambda w: F.embedding(TOKENS, w), lambda w: w[TOKENS], TABLES, torch=theirs("embedding", TOKENS)),
    Op("embedding_one", lambda w: F.embedding(np.array(2), w), lambda w: w[2], [((3, 4),)], torch=theirs("embedding", 2)),
    Op("embedding_none", lambda w: F.embedding(FLAT[:0], w), lambda w: w[:0], [((3, 4),)], torch=theirs("embedding", FLAT[:0])),
    *(
        Op(
            f"embedding_bag_{mode}", lambda w, mode=mode: F.embedding_bag(TOKENS, w, mode=mode),
            lambda w, mode=mode: bags(w, FLAT, [0, 3, 6], REDUCE[mode]), TABLES, [apart],
            theirs("embedding_bag", TOKENS, mode=mode),
        )
        for mode in REDUCE
    ),
    *(
        Op(
            f"embedding_bag_{mode}_offsets", lambda w, mode=mode: F.embedding_bag(FLAT, w, OFFSETS, mode=mode),
            lambda w, mode=mode: bags(w, FLAT, [*OFFSETS, 6], REDUCE[mode]), TABLES, [apart],
            theirs("embedding_bag", FLAT, OFFSETS, mode=mode),
        )
        for mode in REDUCE
    ),
    *(
        Op(
            f"embedding_bag_{mode}_last_offset", lambda w, mode=mode: F.embedding_bag(FLAT, w, [0, 1, 6], mode=mode, include_last_offset=True),
            lambda w, mode=mode: bags(w, FLAT, [0, 1, 6], REDUCE[mode]), [((4, 3),)], [apart],
            theirs("embedding_bag", FLAT, [0, 1, 6], mode=mode, include_last_offset=True),
        )
        for mode in REDUCE
    ),
    Op(
        "embedding_bag_weights", lambda w, f: F.embedding_bag(TOKENS, w, mode="sum", per_sample_weights=f), weighted,
        WEIGHTED, torch=theirs("embedding_bag", TOKENS, mode="sum"),
    ),
    Op(
        "embedding_bag_no_bags", lambda w: F.embedding_bag(TOKENS[:0], w, mode="max"), lambda w: w[:0], [((3, 4),)], [normal],
        theirs("embedding_bag", TOKENS[:0], mode="max"),
    ),
]  # fmt: skip
