"""Made-up tasks that only a long memory can solve."""

import numpy as np

from minidl.data.dataset import TensorDataset, checked_count, checked_seed

SYMBOLS = "ABcdef"  # of the temporal order problem: two that count, four that do not


def adding_problem(size, length, seed=None):
    """Add the two numbers that are marked, out of many (Hochreiter and Schmidhuber, 1997).

    Every step shows a number, uniform in [0, 1), and a mark: 1 at one step in the first half and one in the second,
    else 0. This is the form of Le, Jaitly and Hinton, 2015, with a fixed length. Who always answers 1 has a mean
    squared error of 1/6 = 0.1667, the variance of the sum; who hears only one of the two numbers 1/12.

    Parameters
    ----------
    size : int
        How many sequences.
    length : int
        Steps of each, at least 2.
    seed : int, optional
        By default drawn from the generator that `manual_seed` seeds.

    Returns
    -------
    TensorDataset
        Inputs float32, shape (size, length, 2): numbers and marks; sums float32, shape (size, 1).
    """
    size, length = checked_count("adding_problem", "size", size), checked_count("adding_problem", "length", length, 2)
    rng = np.random.default_rng(checked_seed("adding_problem", seed))
    inputs = np.zeros((size, length, 2), np.float32)
    inputs[:, :, 0] = rng.random((size, length), np.float32)
    rows, half = np.arange(size), length // 2
    first, second = rng.integers(0, half, size), rng.integers(half, length, size)
    inputs[rows, first, 1] = inputs[rows, second, 1] = 1
    return TensorDataset(inputs, inputs[rows, first, :1] + inputs[rows, second, :1])


def temporal_order(size, length, seed=None):
    """Say in which order two symbols came (Hochreiter and Schmidhuber, 1997, experiment 6a; Pascanu et al., 2013).

    A or B stands at a step in [length/10, 2 length/10] and at another in [4 length/10, 5 length/10]; everywhere else
    there is c, d, e or f, which mean nothing. The classes 0 to 3 are AA, AB, BA and BB, each as likely as the others: a
    guess is right in 25 % of the cases, and its cross entropy is ln 4 = 1.386.

    Parameters
    ----------
    size : int
        How many sequences.
    length : int
        Steps of each, at least 10.
    seed : int, optional
        By default drawn from the generator that `manual_seed` seeds.

    Returns
    -------
    TensorDataset
        Inputs float32, shape (size, length, 6), one-hot for A, B, c, d, e, f; classes int64, shape (size,).
    """
    size, length = checked_count("temporal_order", "size", size), checked_count("temporal_order", "length", length, 10)
    rng = np.random.default_rng(checked_seed("temporal_order", seed))
    symbols = rng.integers(2, len(SYMBOLS), (size, length))
    pair, rows = rng.integers(0, 2, (2, size)), np.arange(size)
    for symbol, (start, end) in zip(pair, ((1, 2), (4, 5)), strict=True):  # tenths; both ends are included
        symbols[rows, rng.integers(-(-start * length // 10), end * length // 10 + 1, size)] = symbol
    return TensorDataset(one_hot(symbols, len(SYMBOLS)), 2 * pair[0] + pair[1])


def copy_memory(size, length, seed=None, symbols=10, alphabet=8):
    """Repeat what was said long ago (Arjovsky, Shah and Bengio, 2016; after Hochreiter and Schmidhuber, 1997).

    The input is ten symbols at random, ``length - 1`` blanks, a delimiter that asks for the answer, and ten blanks; the
    target is blank until the delimiter has come, then the ten symbols. Who remembers nothing answers blanks and then
    any symbol: a cross entropy of 10 ln 8 / (length + 20) per step.

    Parameters
    ----------
    size : int
        How many sequences.
    length : int
        Steps from the last symbol to the delimiter.
    seed : int, optional
        By default drawn from the generator that `manual_seed` seeds.
    symbols : int
        How many to remember.
    alphabet : int
        How many different ones there are. The blank has the number `alphabet`, the delimiter the next.

    Returns
    -------
    TensorDataset
        Inputs float32, shape (size, length + 2 symbols, alphabet + 2), one-hot; targets int64, shape
        (size, length + 2 symbols), 0 to `alphabet`.
    """
    size, length = checked_count("copy_memory", "size", size), checked_count("copy_memory", "length", length)
    symbols = checked_count("copy_memory", "symbols", symbols)
    blank = checked_count("copy_memory", "alphabet", alphabet, 2)
    rng = np.random.default_rng(checked_seed("copy_memory", seed))
    inputs = np.full((size, length + 2 * symbols), blank)
    targets = inputs.copy()
    inputs[:, :symbols] = targets[:, -symbols:] = rng.integers(0, alphabet, (size, symbols))
    inputs[:, symbols + length - 1] = blank + 1
    return TensorDataset(one_hot(inputs, alphabet + 2), targets)


def one_hot(numbers, count):
    """Float32 of shape (..., count): 1 at the place that the number says."""
    return np.eye(count, dtype=np.float32)[numbers]
