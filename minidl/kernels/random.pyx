"""Random kernels: numbers that are a hash of (seed, number of the draw, index of the element).

There is no state to advance from element to element, so the numbers do not depend on the threads. Each call counts the
draw up in ``counter = [seed, draws]``, so every replay is a fresh draw.

Sources: the mixer and its increment are those of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", 2014); pairs of normal numbers after Box and Muller (1958).
"""

from cython.parallel cimport prange
from libc.math cimport cos, log, pow, sin, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads
from minidl.kernels.statistics cimport note
from minidl.kernels.update cimport root, square_sum
from minidl.kernels.vmath cimport cos_quarter, from_bits, log_exponent, log_reduced, sin_quarter, to_bits

from minidl.kernels.kernel import Kernel


cdef enum:
    TILE_SIZE = 16384  # elements that one thread takes at a time; the segments of updates are no longer
    BLOCK = 1024  # normal numbers that are made at a time for noise on gradients
    HALF = 512

TILE = TILE_SIZE


cdef inline uint64_t mix(uint64_t z) noexcept nogil:
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t bits(uint64_t key, Py_ssize_t i) noexcept nogil:
    return mix(key + <uint64_t>i * <uint64_t>0x9E3779B97F4A7C15)


cdef inline uint64_t next_key(void *counter) noexcept nogil:
    """Start of the sequence that belongs to this draw; counts the draw."""
    cdef uint64_t *cells = <uint64_t *>counter
    cdef uint64_t key = mix(mix(cells[0]) + bits(0, cells[1] + 1))
    cells[1] += 1
    return key


cdef inline double unit(uint64_t z) noexcept nogil:
    """In [0, 1), with all the bits that a double has."""
    return <double>(z >> 11) * (1.0 / 9007199254740992.0)


cdef inline double radius(uint64_t key, Py_ssize_t i) noexcept nogil:
    """Of the pair of normal numbers that begins at element i."""
    return sqrt(-2 * log(1 - unit(bits(key, i))))


cdef inline double angle(uint64_t key, Py_ssize_t i) noexcept nogil:
    return 6.283185307179586 * unit(bits(key, i + 1))


cdef inline uint64_t threshold(double p) noexcept nogil:
    """The upper half of `bits` is below it with probability p; exact for 0 and 1."""
    return <uint64_t>(p * 4294967296.0)


# Dropout ---------------------------------------------------------------------------------------------------------

cdef inline void times(real *y, const real *x, real factor, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = x[i] * factor


cdef int _dropout(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[U, inner] = x * (keep[U] ? 1 / (1 - a0) : 0), a product keeps NaN; p: y keep counter x, n: U inner
    cdef Py_ssize_t i, inner = n[1], N = n[0] * inner
    cdef uint64_t key = next_key(p[2]), limit = threshold(a[0])
    cdef real scale = <real>(1 / (1 - a[0])) if a[0] < 1 else 0
    cdef uint8_t *keep = <uint8_t *>p[1]
    cdef real *y = p[0]
    cdef real *x = p[3]
    cdef uint8_t drawn
    if inner == 1:
        for i in prange(N, schedule="static", num_threads=threads(), use_threads_if=N >= PARALLEL):
            drawn = (bits(key, i) >> 32) >= limit
            keep[i] = drawn
            y[i] = x[i] * (scale if drawn else 0)
    else:
        for i in range(n[0]):
            keep[i] = (bits(key, i) >> 32) >= limit
        for i in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=N >= PARALLEL):
            times(y + i * inner, x + i * inner, scale if keep[i] else 0, inner)
    return OK


cdef int _alpha_dropout(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[U, inner] = scale * (keep[U] ? x : a1) + shift, mean 0 and variance 1 stay; p: y keep counter x, n: U inner
    cdef Py_ssize_t i, inner = n[1], N = n[0] * inner
    cdef uint64_t key = next_key(p[2]), limit = threshold(a[0])
    cdef double exact = 1 / sqrt((1 - a[0]) * (1 + a[0] * a[1] * a[1])) if a[0] < 1 else 0
    cdef real scale = <real>exact, shift = <real>(-exact * a[1] * a[0]), low = <real>(exact * a[1] * (1 - a[0]))
    cdef uint8_t *keep = <uint8_t *>p[1]
    cdef real *y = p[0]
    cdef real *x = p[3]
    for i in range(n[0]):
        keep[i] = (bits(key, i) >> 32) >= limit
    for i in prange(N, schedule="static", num_threads=threads(), use_threads_if=N >= PARALLEL):
        y[i] = x[i] * (scale if keep[i // inner] else 0) + (shift if keep[i // inner] else low)
    return OK


# Noise -----------------------------------------------------------------------------------------------------------

cdef int _bernoulli(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] = 1 with probability a0, else 0; p: y counter
    cdef Py_ssize_t i
    cdef uint64_t key = next_key(p[1]), limit = threshold(a[0])
    for i in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=n[0] >= PARALLEL):
        p[0][i] = (bits(key, i) >> 32) < limit
    return OK


cdef int _uniform(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] in [a0, a1); p: y counter. For floats the unit number has 24 bits, so that rounding never gives the bound.
    cdef Py_ssize_t i
    cdef uint64_t key = next_key(p[1])
    cdef real low = <real>a[0], width = <real>(a[1] - a[0])
    for i in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=n[0] >= PARALLEL):
        if real is float:
            p[0][i] = low + width * (<float>(bits(key, i) >> 40) * <float>(1.0 / 16777216.0))
        else:
            p[0][i] = low + width * unit(bits(key, i))
    return OK


cdef int _normal(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] normal with mean a0 and standard deviation a1; p: y counter
    cdef Py_ssize_t i, N = n[0]
    cdef uint64_t key = next_key(p[1])
    cdef double r, phi
    for i in prange((N + 1) // 2, schedule="static", num_threads=threads(), use_threads_if=N >= PARALLEL):
        r, phi = a[1] * radius(key, 2 * i), angle(key, 2 * i)
        p[0][2 * i] = <real>(a[0] + r * cos(phi))
        if 2 * i + 1 < N:
            p[0][2 * i + 1] = <real>(a[0] + r * sin(phi))
    return OK


cdef int _integers(int64_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] in [low, low + count), count below 2^32; p: y counter, n: N low count
    cdef Py_ssize_t i
    cdef uint64_t key = next_key(p[1]), count = n[2]
    for i in range(n[0]):
        p[0][i] = n[1] + <int64_t>(((bits(key, i) >> 32) * count) >> 32)
    return OK


# Noise on gradients ----------------------------------------------------------------------------------------------

cdef inline void normals(real *z, uint64_t key, Py_ssize_t first, Py_ssize_t pairs) noexcept nogil:
    """Standard normal z[j] and z[HALF + j], for j < pairs, from a hash of first + j.

    float32: one hash makes both numbers of a pair. The radius has 31 bits, so that no number is beyond 6.56 standard
    deviations (1 of 2e10 should be), and the angle has 32, the first of which is the sign of the cosine.
    """
    cdef Py_ssize_t j
    cdef uint64_t word
    cdef uint32_t turn
    cdef int32_t k
    cdef float u, r, x
    cdef double radial, angular
    for j in range(pairs):
        if real is float:
            word = bits(key, first + j)
            u = <float>(<int32_t>(word >> 33)) + <float>1  # from 1 to 2^31
            k = log_exponent(u)
            u = from_bits(to_bits(u) - (<uint32_t>k << 23)) - <float>1
            r = root(<float>-2 * log_reduced(k - 31, u))
            turn = <uint32_t>word
            x = <float>(<int32_t>(turn << 1)) * <float>(1.0 / 2147483648.0)
            z[j] = r * from_bits(to_bits(cos_quarter(x)) ^ (turn & <uint32_t>0x80000000))
            z[HALF + j] = r * sin_quarter(x)
        else:
            radial, angular = radius(key, 2 * (first + j)), angle(key, 2 * (first + j))
            z[j] = radial * cos(angular)
            z[HALF + j] = radial * sin(angular)


cdef void add_noise(
    real *y, const real *x, Py_ssize_t size, uint64_t key, Py_ssize_t tile, double std, double *sums
) noexcept nogil:
    # y = x + std z, z normal, all within one tile; sums: of x^2 and of y^2
    cdef real[BLOCK] z
    cdef Py_ssize_t i = 0, j, width
    cdef real scale = <real>std
    cdef double before = 0, after = 0
    while i < size:
        width = min(BLOCK, size - i)
        before += square_sum(x + i, width)
        normals(z, key, tile * TILE_SIZE + i, min(HALF, width))
        for j in range(width):
            y[i + j] = x[i + j] + scale * z[j]
        after += square_sum(y + i, width)
        i += BLOCK
    sums[0], sums[1] = before, after


cdef void note_noise(const double *sums, Py_ssize_t tiles, double std, double *statistics) noexcept nogil:
    """The norms before and after, from the sums of the tiles, added in order."""
    cdef Py_ssize_t t
    cdef double before = 0, after = 0
    for t in range(tiles):
        before += sums[2 * t]
        after += sums[2 * t + 1]
    note(statistics, sqrt(before), sqrt(after), std != 0)


cdef int _wire_noise(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # dx[N] = dy + noise of standard deviation a0; p: dx counter dy sums[2 tiles] (double) statistics (double)
    cdef Py_ssize_t t, N = n[0], tiles = (N + TILE_SIZE - 1) // TILE_SIZE
    cdef uint64_t key = next_key(p[1])
    cdef real *dx = p[0]
    cdef real *dy = p[2]
    cdef double *sums = <double *>p[3]
    for t in prange(tiles, schedule="static", num_threads=threads(), use_threads_if=tiles > 1):
        add_noise(dx + t * TILE_SIZE, dy + t * TILE_SIZE, min(TILE_SIZE, N - t * TILE_SIZE), key, t, a[0], sums + 2 * t)
    note_noise(sums, tiles, a[0], <double *>p[4])
    return OK


cdef int _gradient_noise(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S g += noise of variance a0 / (1 + t)^a1; p: counter, S g, t (double), sums[2 S] (double), statistics (double);
    # n: S sizes[S]
    cdef Py_ssize_t s, S = n[0]
    cdef uint64_t key = next_key(p[0])
    cdef double std = sqrt(a[0] / pow(1 + (<double *>p[1 + S])[0], a[1]))
    cdef double *sums = <double *>p[2 + S]
    # in turn, for the large parameters may all be at one end
    for s in prange(S, schedule="static", chunksize=1, num_threads=threads(), use_threads_if=S > 1):
        add_noise(p[1 + s], p[1 + s], n[1 + s], key, s, std, sums + 2 * s)
    note_noise(sums, S, std, <double *>p[3 + S])
    return OK


dropout = Kernel("dropout", {"float32": <size_t>_dropout[float], "float64": <size_t>_dropout[double]})
alpha_dropout = Kernel("alpha_dropout", {
    "float32": <size_t>_alpha_dropout[float], "float64": <size_t>_alpha_dropout[double],
})
bernoulli = Kernel("bernoulli", {"float32": <size_t>_bernoulli[float], "float64": <size_t>_bernoulli[double]})
uniform = Kernel("uniform", {"float32": <size_t>_uniform[float], "float64": <size_t>_uniform[double]})
normal = Kernel("normal", {"float32": <size_t>_normal[float], "float64": <size_t>_normal[double]})
integers = Kernel("integers", {"int64": <size_t>_integers})
wire_noise = Kernel("wire_noise", {"float32": <size_t>_wire_noise[float], "float64": <size_t>_wire_noise[double]})
gradient_noise = Kernel("gradient_noise", {
    "float32": <size_t>_gradient_noise[float], "float64": <size_t>_gradient_noise[double],
})
