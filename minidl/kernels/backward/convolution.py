"""What convolutions need besides their products."""

from numba import carray, prange

from minidl.kernels.backward.compiler import body, kernel, loops, serial


@body
def plane_sum(db, dy, c):
    total = 0.0
    for n in range(dy.shape[0]):
        part = dy.dtype.type(0)
        for i in range(dy.shape[2]):
            part += dy[n, c, i]
        total += part
    db[c] = total


@loops
def _channel_sum(db, dy):
    if serial(dy.size // 4):
        for c in range(dy.shape[1]):
            plane_sum(db, dy, c)
    else:
        for c in prange(dy.shape[1]):
            plane_sum(db, dy, c)


@kernel
def channel_sum(p, n, a):
    """db[c] = sum over the images and pixels of dy; p: db dy, n: images, channels, pixels."""
    N, C, area = n[0], n[1], n[2]
    _channel_sum(carray(p[0], C), carray(p[1], (N, C, area)))
    return 0
