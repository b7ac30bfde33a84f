"""Text: reading it, and cutting it into sequences."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minidl.data.dataset import checked_count
from minidl.data.idx import read_bytes
from minidl.data.sequences import Windows
from minidl.data.vocabulary import checked_ids
from minidl.tensor import Tensor


def read_text(path):
    """The text in a file of UTF-8.

    Parameters
    ----------
    path : str or Path
        May be compressed with gzip.

    Returns
    -------
    str
        Without a byte order mark; all line ends are ``"\\n"``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is empty or not UTF-8; names the file.
    """
    return read_utf8("read_text", path)


def read_utf8(function, path):
    """As `read_text`; `function` is for errors."""
    return decode(f"{function}: {path}", read_bytes(function, path))


def decode(where, content):
    """The text in a file's bytes; `where` is for errors: function and file."""
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise ValueError(f"{where}: got byte 0x{byte:02x} at {error.start}, expected a text in UTF-8") from None
    if not text:
        raise ValueError(f"{where}: got an empty file, expected a text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class TextSequences:
    """A long text in pieces that continue one another, to train with a state that is carried on.

    The text is cut into `batch_size` streams of equal length, read side by side: column b of a batch goes on where
    column b of the batch before ended. Each ``for`` loop is an epoch and starts the streams anew, so the first batch
    of a loop, and only that, needs a new state. The targets are the tokens that come next. Up to ``batch_size - 1``
    tokens at the end of the text are left out, where it does not divide; the last batch is shorter, where a stream does
    not.

    Parameters
    ----------
    ids : ndarray of integers, shape (N,)
    length : int
        Steps of a batch: how far back gradients go.
    batch_size : int
        How many streams.
    drop_last : bool
        Leave out the last batch where it is shorter.

    Raises
    ------
    TypeError, ValueError
        If `ids` are not integers of shape (N,), or fewer than ``length * batch_size + 1``.

    Examples
    --------
    >>> for epoch in range(10):
    ...     state = None
    ...     for x, y in TextSequences(ids, length=64, batch_size=32):  # int64, both (64, 32): (T, B)
    ...         loss, state = step(x, y, state)
    """

    def __init__(self, ids, length, batch_size, *, drop_last=False):
        ids = checked_ids("TextSequences", ids)
        self.length = checked_count("TextSequences", "length", length)
        batch_size = checked_count("TextSequences", "batch_size", batch_size)
        if len(ids) <= self.length * batch_size:
            raise ValueError(
                f"TextSequences: got {len(ids)} tokens, expected at least {self.length * batch_size + 1} "
                f"for {batch_size} streams of {self.length} and a last target"
            )
        steps = (len(ids) - 1) // batch_size
        starts = np.arange(batch_size) * steps
        self._tokens = ids[starts + np.arange(steps + 1)[:, None]]  # (steps + 1, B), a stream per column
        self._steps = steps - steps % self.length if drop_last else steps

    def __len__(self):
        return -(-self._steps // self.length)

    def __iter__(self):
        for start in range(0, self._steps, self.length):
            end = min(start + self.length, self._steps)
            yield Tensor(self._tokens[start:end].copy()), Tensor(self._tokens[start + 1 : end + 1].copy())


class TextWindows(Windows):
    """Every piece of `length` tokens of a text, each with the tokens that come next.

    For training in random order, without a state: pieces overlap, and a batch of them is (B, length), unlike those of
    `TextSequences`.

    Parameters
    ----------
    ids : ndarray of integers, shape (N,)
    length : int

    Raises
    ------
    TypeError, ValueError
        If `ids` are not integers of shape (N,), or fewer than ``length + 1``.

    Examples
    --------
    >>> loader = DataLoader(TextWindows(ids, 64), 32, shuffle=True)  # x, y: int64, both (32, 64)
    """

    def __init__(self, ids, length):
        ids, length = checked_ids("TextWindows", ids), checked_count("TextWindows", "length", length)
        if len(ids) <= length:
            raise ValueError(
                f"TextWindows: got {len(ids)} tokens, expected at least {length + 1} for a window and its last target"
            )
        pieces = sliding_window_view(ids, length + 1)
        super().__init__(pieces[:, :-1], pieces[:, 1:])
