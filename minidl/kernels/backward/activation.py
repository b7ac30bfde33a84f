"""Backward passes of the activations."""

from numba import carray, prange

from minidl.kernels.backward.compiler import PARALLEL, kernel, loops


@loops
def _relu(dx, dy, y):
    if y.size < PARALLEL:
        for i in range(y.size):
            dx[i] = dy[i] * (y[i] > 0)
    else:
        for i in prange(y.size):
            dx[i] = dy[i] * (y[i] > 0)


@kernel
def relu(p, n, a):
    """dx = dy where y > 0, else 0; p: dx dy y, n: N."""
    N = n[0]
    _relu(carray(p[0], N), carray(p[1], N), carray(p[2], N))
    return 0
