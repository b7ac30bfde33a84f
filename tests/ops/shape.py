import numpy as np
from op_table import Op

from minidl import functional as F

INDEX = np.array([2, 0, 2, 1])
MANY = np.arange(12).reshape(2, 6) % 4
MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, False]])


def torch():
    """Imported late: only the parity tests need it."""
    return __import__("torch")


def long(array):
    return torch().as_tensor(array)


CUBE = [((2, 3, 4),), ((1, 1, 1),), ((2, 0, 4),), ((5, 33, 17),)]

OPS = [
    Op(
        "reshape", lambda x: F.reshape(x, (-1, 2)), lambda x: x.reshape(-1, 2),
        [((2, 3, 4),), ((2,),), ((0, 4),)], torch=lambda x: x.reshape(-1, 2),
    ),
    Op(
        "flatten", lambda x: F.flatten(x, 1), lambda x: x.reshape(x.shape[0], int(np.prod(x.shape[1:]))), CUBE,
        torch=lambda x: x.flatten(1),
    ),
    Op("squeeze", F.squeeze, np.squeeze, [((2, 1, 3),), ((1,),), ((),), ((0, 1),)], torch=lambda x: x.squeeze()),
    Op(
        "unsqueeze", lambda x: F.unsqueeze(x, -1), lambda x: x[..., None],
        [((2, 3),), ((),), ((0,),)], torch=lambda x: x.unsqueeze(-1),
    ),
    Op("transpose", lambda x: F.transpose(x, 0, 2), lambda x: x.swapaxes(0, 2), CUBE, torch=lambda x: x.transpose(0, 2)),
    Op("t", F.t, np.transpose, [((40, 50),), ((3,),), ((),), ((0, 2),)], torch=lambda x: x.t()),
    Op(
        "permute", lambda x: F.permute(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), CUBE,
        torch=lambda x: x.permute(2, 0, 1),
    ),
    Op(
        "permute_nhwc", lambda x: F.permute(x, (0, 2, 3, 1)), lambda x: x.transpose(0, 2, 3, 1), [((2, 3, 4, 5),)],
        torch=lambda x: x.permute(0, 2, 3, 1),
    ),
    Op(
        "expand", lambda x: F.expand(x, (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)),
        [((2, 3, 4),), ((3, 1),), ((4,),), ((),), ((2, 1, 1),), ((1, 3, 1),), ((2, 1, 4),)],
        torch=lambda x: x.expand(2, 3, 4),
    ),
    Op(
        "expand_to_nothing", lambda x: F.expand(x, (0, 3)), lambda x: np.broadcast_to(x, (0, 3)), [((3,),), ((1, 1),)],
        torch=lambda x: x.expand(0, 3),
    ),
    Op(
        "expand_large", lambda x: F.expand(x, (300, 140)), lambda x: np.broadcast_to(x, (300, 140)),
        [((140,),), ((300, 1),), ((1,),)], torch=lambda x: x.expand(300, 140),
    ),
    Op(
        "repeat", lambda x: F.repeat(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)),
        [((2, 3),), ((1,),), ((0, 2),), ((2, 2, 2),)], torch=lambda x: x.repeat(2, 1, 3),
    ),
    Op("flip", lambda x: F.flip(x, (0, -1)), lambda x: np.flip(x, (0, -1)), CUBE, torch=lambda x: x.flip(0, -1)),
    Op("clone", F.clone, lambda x: x, [((2, 3),), ((),), ((0,),)], torch=lambda x: x.clone()),
    Op(
        "cat", lambda *x: F.cat(x, 1), lambda *x: np.concatenate(x, 1),
        [((2, 3), (2, 1), (2, 4)), ((2, 3),), ((2, 0), (2, 3)), ((0, 2), (0, 1)), ((3, 2, 2), (3, 1, 2))],
        torch=lambda *x: torch().cat(x, 1),
    ),
    Op(
        "stack", lambda *x: F.stack(x, -1), lambda *x: np.stack(x, -1), [((2, 3), (2, 3)), ((), ()), ((0, 2), (0, 2))],
        torch=lambda *x: torch().stack(x, -1),
    ),
    Op(
        "split", lambda x: F.cat([F.split(x, 2, 1)[i] for i in (1, 0)], 1), lambda x: x[:, [2, 3, 0, 1]], [((3, 4),), ((0, 4),)],
        torch=lambda x: torch().cat([x.split(2, 1)[i] for i in (1, 0)], 1),
    ),
    Op(
        "split_sections_one_used", lambda x: F.split(x, [1, 0, 3], 1)[2], lambda x: x[:, 1:], [((3, 4),), ((0, 4),)],
        torch=lambda x: x.split([1, 0, 3], 1)[2],
    ),
    Op("chunk", lambda x: F.chunk(x, 2, -1)[1], lambda x: x[..., 3:], [((2, 5),), ((6,),)], torch=lambda x: x.chunk(2, -1)[1]),
    Op("unbind", lambda x: F.unbind(x, 1)[0], lambda x: x[:, 0], [((2, 3),), ((0, 2, 3),), ((1, 1),)], torch=lambda x: x.unbind(1)[0]),
    Op("narrow", lambda x: F.narrow(x, 1, 1, 2), lambda x: x[:, 1:3], [((2, 4, 3),), ((0, 3),)], torch=lambda x: x.narrow(1, 1, 2)),
    Op(
        "getitem_basic", lambda x: x[1:, None, ..., ::2], lambda x: x[1:, None, ..., ::2],
        [((3, 4),), ((1, 2),), ((3, 0),), ((2, 3, 5),)], torch=lambda x: x[1:, None, ..., ::2],
    ),
    Op("getitem_int", lambda x: x[-1], lambda x: x[-1], [((3, 4),), ((2,),), ((1, 0),)], torch=lambda x: x[-1]),
    Op("getitem_array", lambda x: x[:, INDEX], lambda x: x[:, INDEX], [((2, 3),), ((0, 4),), ((3, 3, 2),)], torch=lambda x: x[:, INDEX]),
    Op(
        "getitem_pairs", lambda x: x[[0, 1, -1], :, [[0], [1]]], lambda x: x[[0, 1, -1], :, [[0], [1]]],
        [((2, 3, 4),), ((2, 0, 2),)], torch=lambda x: x[[0, 1, -1], :, [[0], [1]]],
    ),
    Op("getitem_mask", lambda x: x[MASK], lambda x: x[MASK], [((3, 4),), ((3, 4, 2),)], torch=lambda x: x[long(MASK)]),
    Op(
        "index_select", lambda x: F.index_select(x, 0, INDEX), lambda x: x[INDEX], [((3,),), ((4, 2),), ((3, 0),)],
        torch=lambda x: x.index_select(0, long(INDEX)),
    ),
    Op(
        "index_select_large", lambda x: F.index_select(x, 0, np.arange(600) % 7), lambda x: x[np.arange(600) % 7],
        [((8, 64),)], torch=lambda x: x.index_select(0, long(np.arange(600) % 7)),
    ),
    Op(
        "gather", lambda x: F.gather(x, 1, MANY), lambda x: np.take_along_axis(x[:2], MANY, 1), [((2, 4),), ((5, 4),)],
        torch=lambda x: x.gather(1, long(MANY)),
    ),
    Op(
        "gather_first", lambda x: F.gather(x, 0, MANY[:, :3]), lambda x: np.take_along_axis(x, MANY[:, :3], 0), [((4, 3),)],
        torch=lambda x: x.gather(0, long(MANY[:, :3])),
    ),
    Op(
        "take_along_dim", lambda x: F.take_along_dim(x, MANY[:1], -1), lambda x: np.take_along_axis(x, MANY[:1], -1),
        [((2, 4),), ((1, 5),), ((0, 4),)], torch=lambda x: x.take_along_dim(long(MANY[:1]), -1),
    ),
    Op(
        "masked_fill", lambda x: F.masked_fill(x, MASK, -2.0), lambda x: np.where(MASK, -2.0, x),
        [((3, 4),), ((4,),), ((),), ((2, 3, 4),)], torch=lambda x: torch().masked_fill(x, long(MASK), -2.0),
    ),
    Op("tril", lambda x: F.tril(x, 1), lambda x: np.tril(x, 1), [((3, 4),), ((2, 4, 3),), ((0, 2),), ((1, 1),)], torch=lambda x: x.tril(1)),
    Op("triu", lambda x: F.triu(x, -1), lambda x: np.triu(x, -1), [((4, 3),), ((2, 4, 4),), ((2, 0),), ((1, 1),)], torch=lambda x: x.triu(-1)),
]  # fmt: skip
