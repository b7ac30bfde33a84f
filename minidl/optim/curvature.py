"""What L-BFGS remembers: the last changes of x and g, and the direction that they lead to.

It is a dict with PyTorch's names. Its vectors, over all parameters, are never changed in place.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

FRESH: dict[str, Any] = {"func_evals": 0, "n_iter": 0, "old_dirs": [], "old_stps": [], "ro": []}


def direction(kept, gradient, history_size):
    """d = -H g, with H from at most `history_size` changes; notes the last of them in `kept`."""
    if kept["n_iter"] == 1:
        kept["H_diag"] = 1.0
    else:
        learn(kept, gradient, history_size)
    d, shares = -gradient, []
    changes = list(zip(kept["old_dirs"], kept["old_stps"], kept["ro"], strict=True))
    for y, s, ro in reversed(changes):
        shares.append(ro * dot(s, d))
        d -= shares[-1] * y
    d *= kept["H_diag"]
    for y, s, ro in changes:
        d += (shares.pop() - ro * dot(y, d)) * s
    return d


def learn(kept, gradient, history_size):
    """Note how far x and g have gone, unless the loss curves the wrong way there."""
    y, s = gradient - kept["prev_flat_grad"], kept["d"] * kept["t"]
    ys = dot(y, s)
    if ys > 1e-10:
        for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1 / ys)):
            kept[name] = [*kept[name], value][-history_size:]
        kept["H_diag"] = ys / dot(y, y)


def dot(a, b):
    """The inner product, not by BLAS: its bits depend on the number of threads."""
    return (a * b).sum()


def vector(values):
    """A copy in float64."""
    return np.asarray(values, np.float64).copy()


def vectors(rows):
    """Copies in float64."""
    return [vector(row) for row in rows]


COPY: dict[str, Callable] = {
    "func_evals": int,
    "n_iter": int,
    "d": vector,
    "t": float,
    "old_dirs": vectors,  # y: changes of g
    "old_stps": vectors,  # s: changes of x
    "ro": lambda values: [float(value) for value in values],  # 1 / (y s)
    "H_diag": float,
    "prev_flat_grad": vector,
    "prev_loss": float,
}


def copied(kept):
    """A copy of it, without what else PyTorch may have put there."""
    return {name: copy(kept[name]) for name, copy in COPY.items() if name in kept}


def check(function, kept, size):
    """ValueError if something is missing, or a vector is not over `size` numbers."""
    for name, copy in COPY.items() if kept.get("n_iter") else ():
        if name not in kept:
            raise ValueError(f"{function}: {name}: got none")
        for row in kept[name] if copy is vectors else [kept[name]] if copy is vector else []:
            if np.shape(row) != (size,):
                raise ValueError(f"{function}: {name}: got shape {np.shape(row)}, expected ({size},)")
