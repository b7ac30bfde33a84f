import numpy as np
from op_table import Op

from minidl import functional as F
from minidl.nn.utils import rnn

LENGTHS = [2, 4, 1]


def torch():
    """Imported late: only the parity tests need it."""
    return __import__("torch")


def counted(shape):
    """Lengths from 1 to T for a batch (T, B, ...)."""
    return np.arange(shape[1]) % shape[0] + 1


def inside(shape, lengths):
    """Where a batch (T, B, ...) has steps, to be broadcast against it."""
    steps = np.arange(shape[0])[:, None] < lengths
    return steps.reshape(*shape[:2], *[1] * (len(shape) - 2))


def padded_left(*sequences):
    """Batch first, with 0.5 before each sequence."""
    longest, rest = max(map(len, sequences)), [(0, 0)] * (sequences[0].ndim - 1)
    return np.stack([np.pad(x, [(longest - len(x), 0), *rest], constant_values=0.5) for x in sequences])


def both(name, function, reference, shapes):
    """An operation that needs no more than `nn.utils.rnn` and `cat`, of either library."""
    return Op(
        name, lambda *x: function(rnn, F.cat, list(x)), reference, shapes,
        torch=lambda *x: function(torch().nn.utils.rnn, torch().cat, list(x)),
    )  # fmt: skip


BATCH = [((4, 3, 2),), ((5, 3),), ((4, 3, 1),), ((6, 3, 1, 3),)]
RAGGED = [((3, 2), (1, 2), (4, 2)), ((2,), (2,)), ((1, 1),), ((1, 2, 2), (2, 2, 2))]

OPS = [
    Op(
        "zero_padding", lambda x: F.zero_padding(x, counted(x.shape)), lambda x: np.where(inside(x.shape, counted(x.shape)), x, 0),
        [((4, 3, 2),), ((1, 1, 1),), ((3, 5),), ((2, 0, 3),), ((3, 2, 0),), ((5, 33, 2, 9),)],
        torch=lambda x: x * torch().as_tensor(inside(x.shape, counted(x.shape))),
    ),
    both(
        "pack_padded_sequence", lambda nn, cat, x: nn.pack_padded_sequence(x[0], LENGTHS, enforce_sorted=False).data,
        lambda x: x[[0, 0, 0, 1, 1, 2, 3], [1, 0, 2, 1, 0, 1, 1]], BATCH,
    ),
    both(
        "pack_padded_sequence_batch_first", lambda nn, cat, x: nn.pack_padded_sequence(x[0], [3, 2, 2], True).data,
        lambda x: x[[0, 1, 2, 0, 1, 2, 0], [0, 0, 0, 1, 1, 1, 2]], [((3, 4, 2),), ((3, 3),)],
    ),
    both(
        "pad_packed_sequence",
        lambda nn, cat, x: nn.pad_packed_sequence(
            nn.pack_padded_sequence(x[0], LENGTHS, enforce_sorted=False), padding_value=-2.0, total_length=len(x[0])
        )[0],
        lambda x: np.where(inside(x.shape, LENGTHS), x, -2), BATCH,
    ),
    both(
        "pad_packed_sequence_batch_first", lambda nn, cat, x: nn.pad_packed_sequence(nn.pack_padded_sequence(x[0], [3, 2, 2]), True)[0],
        lambda x: np.where(inside(x.shape, [3, 2, 2]), x, 0)[:3].swapaxes(0, 1), BATCH,
    ),
    both(
        "pad_sequence", lambda nn, cat, x: nn.pad_sequence(x, padding_value=0.5, padding_side="left"),
        lambda *x: padded_left(*x).swapaxes(0, 1), RAGGED,
    ),
    both(
        "pad_sequence_batch_first", lambda nn, cat, x: nn.pad_sequence(x, True, 0.5),
        lambda *x: padded_left(*(y[::-1] for y in x))[:, ::-1], [*RAGGED, ((0, 2), (3, 2)), ((0,),), ((2, 0), (3, 0))],
    ),
    both(
        "unpad_sequence",
        lambda nn, cat, x: cat(nn.unpad_sequence(*nn.pad_packed_sequence(nn.pack_padded_sequence(x[0], LENGTHS, enforce_sorted=False)))),
        lambda x: x[[0, 1, 0, 1, 2, 3, 0], [0, 0, 1, 1, 1, 1, 2]], BATCH,
    ),
    both(
        "pack_sequence", lambda nn, cat, x: nn.pack_sequence(x, enforce_sorted=False).data,
        lambda a, b, c: np.stack([c[0], a[0], b[0], c[1], a[1], c[2], a[2], c[3]]), RAGGED[:1],
    ),
    both(
        "unpack_sequence", lambda nn, cat, x: cat(nn.unpack_sequence(nn.pack_sequence(x, enforce_sorted=False))[::-1]),
        lambda *x: np.concatenate(x[::-1]), RAGGED,
    ),
]  # fmt: skip
