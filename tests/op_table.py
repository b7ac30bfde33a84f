"""One declaration per operation; `test_ops.py` and `parity/test_ops.py` make every check from it.

An operation is declared as ``Op(name, function, reference, shapes, ...)``. `function` takes tensors, `reference` the
same arguments as float64 arrays. `shapes` lists the cases; each is a tuple with one shape per input. Every table
should have an ordinary case, a case with a size of 1 and one with a size of 0; broadcasting operations one for each
way to broadcast.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def normal(rng, shape):
    """Any real number."""
    return rng.standard_normal(shape)


def positive(rng, shape):
    """Numbers in (0.2, 3), for log, sqrt and denominators."""
    return rng.uniform(0.2, 3, shape)


def apart(rng, shape):
    """Numbers at least 0.02 from each other and from 0 and 1: no ties, no kinks."""
    size = int(np.prod(shape))
    return ((rng.permutation(size) - size // 2) * 0.07 + 0.03).reshape(shape)


@dataclass
class Op:
    """How one operation is called, what it should give, and on which shapes.

    Attributes
    ----------
    name : str
    function : callable
        Takes one tensor per shape of the case.
    reference : callable
        The same in NumPy float64.
    shapes : list of tuple of tuple
        Cases.
    sample : callable or list of callable
        Makes an input (for each input) from a generator and a shape.
    torch : callable, optional
        The same for PyTorch tensors; the parity tests compare values and gradients. None: PyTorch has no such thing.
    """

    name: str
    function: Callable
    reference: Callable
    shapes: list
    sample: Callable | list = normal
    torch: Callable | None = None
    differentiable: bool = True

    def inputs(self, shapes, seed=0):
        """float64 inputs of one case."""
        rng = np.random.default_rng(seed)
        samples = self.sample if isinstance(self.sample, list) else [self.sample] * len(shapes)
        return [np.asarray(sample(rng, shape), np.float64) for sample, shape in zip(samples, shapes, strict=True)]


def cases(ops):
    """(op, shapes) pairs with readable ids, for ``pytest.mark.parametrize``."""
    import pytest

    return [
        pytest.param(op, shapes, id=f"{op.name}-{'-'.join(map(str, shapes))}") for op in ops for shapes in op.shapes
    ]
