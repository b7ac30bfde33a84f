"""Losses that compare two buffers element by element: their values, sum or mean, and their slopes.

A loss is a function l(x, t, u, &dx, &dt, a) with its slopes towards x and t; u is 1, or the element's `pos_weight`. The
driver `pointwise` applies it chunk by chunk, multiplies by the element's weight and adds up in double, over a grid of
partial sums that depends on the size alone.
"""

from cython.parallel cimport prange
from libc cimport math as libm

from minidl.kernels cimport vmath
from minidl.kernels.kernel cimport OK, PARALLEL, kernel_t, real, threads

from minidl.kernels.kernel import Kernel

cdef enum:
    CHUNK = 256  # elements whose loss and slopes fit in the L1 cache
    PARTS = 64  # partial sums
    LANES = 8  # of a partial sum

ctypedef real (*loss_t)(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil

# Where the arguments of `pointwise` stand.
cdef enum:
    Y, DX, DT, X, T, WEIGHT, POS_WEIGHT  # buffers; DX, DT, WEIGHT and POS_WEIGHT may be NULL
    SIZE = 0, REDUCED, SPAN, REPEAT, POS_SPAN, POS_REPEAT  # sizes; element i has weight[i // REPEAT % SPAN]


cdef inline void gather(
    real *to, const real *weight, Py_ssize_t start, Py_ssize_t count, Py_ssize_t span, Py_ssize_t repeat
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        to[i] = weight[(start + i) // repeat % span]


cdef inline double chunk_of(
    loss_t f, real **p, const Py_ssize_t *n, const double *a, Py_ssize_t start, Py_ssize_t count
) noexcept nogil:
    """Losses and slopes of a chunk; the sum of its losses."""
    cdef real losses[CHUNK]
    cdef real slopes[2][CHUNK]
    cdef real u[CHUNK]
    cdef real *l = &losses[0] if n[REDUCED] else p[Y] + start
    cdef real *dx = &slopes[0][0] if p[DX] == NULL else p[DX] + start
    cdef real *dt = &slopes[1][0] if p[DT] == NULL else p[DT] + start
    cdef real *x = p[X] + start
    cdef real *t = p[T] + start
    cdef double lane[LANES]
    cdef double total = 0
    cdef Py_ssize_t i
    if p[POS_WEIGHT] == NULL:
        for i in range(count):
            u[i] = 1
    else:
        gather(u, p[POS_WEIGHT], start, count, n[POS_SPAN], n[POS_REPEAT])
    for i in range(count):
        l[i] = f(x[i], t[i], u[i], &dx[i], &dt[i], a)
    if p[WEIGHT] != NULL:
        gather(u, p[WEIGHT], start, count, n[SPAN], n[REPEAT])
        for i in range(count):
            l[i] = l[i] * u[i]
            dx[i] = dx[i] * u[i]
            dt[i] = dt[i] * u[i]
    if n[REDUCED]:
        for i in range(LANES):
            lane[i] = 0
        for i in range(count):
            lane[i % LANES] += l[i]
        for i in range(LANES):
            total += lane[i]
    return total


cdef inline double part_of(
    loss_t f, real **p, const Py_ssize_t *n, const double *a, Py_ssize_t part, Py_ssize_t parts
) noexcept nogil:
    """The chunks from one bound of the grid to the next."""
    cdef Py_ssize_t chunks = (n[SIZE] + CHUNK - 1) // CHUNK
    cdef Py_ssize_t chunk
    cdef double total = 0
    for chunk in range(chunks * part // parts, chunks * (part + 1) // parts):
        total += chunk_of(f, p, n, a, chunk * CHUNK, min(<Py_ssize_t>CHUNK, n[SIZE] - chunk * CHUNK))
    return total


cdef inline int pointwise(loss_t f, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """y = sum of the losses times a[0], or the losses themselves; dx, dt: slopes of the losses, without a[0]."""
    cdef double partial[PARTS]
    cdef double total = 0
    cdef Py_ssize_t part, parts = PARTS if n[SIZE] >= PARALLEL // 2 else 1
    if parts == 1 or threads() == 1:
        for part in range(parts):
            partial[part] = part_of(f, p, n, a, part, parts)
    else:
        for part in prange(parts, schedule="static", num_threads=threads()):
            partial[part] = part_of(f, p, n, a, part, parts)
    if n[REDUCED]:
        for part in range(parts):
            total += partial[part]
        p[Y][0] = <real>(total * a[0])
    return OK


cdef inline real sign(real z) noexcept nogil:
    return 1 if z > 0 else (-1 if z < 0 else z)


cdef inline real mse_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    cdef real z = x - t
    dx[0] = 2 * z
    dt[0] = -2 * z
    return z * z


cdef int _mse(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(mse_at[real], p, n, a)


cdef inline real l1_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    cdef real z = x - t
    dx[0] = sign(z)
    dt[0] = -dx[0]
    return <real>libm.fabs(z)


cdef int _l1(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(l1_at[real], p, n, a)


cdef inline real huber_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    # a quadratic within a[1] of 0, a line beyond, times a[2]
    cdef real delta = <real>a[1], scale = <real>a[2]
    cdef real z = x - t
    cdef real size = <real>libm.fabs(z)
    dx[0] = scale * (delta * sign(z) if size > delta else z)
    dt[0] = -dx[0]
    return scale * (delta * (size - <real>0.5 * delta) if size > delta else <real>0.5 * z * z)


cdef int _huber(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(huber_at[real], p, n, a)


cdef inline real bce_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    cdef real yes = vmath.log(x)
    cdef real no = vmath.log1p(-x)
    cdef real spread = x * (1 - x)
    yes = <real>-100 if yes < -100 else yes
    no = <real>-100 if no < -100 else no
    dx[0] = (x - t) / (<real>1e-12 if spread < <real>1e-12 else spread)
    dt[0] = no - yes
    return -(t * yes + (1 - t) * no)


cdef int _binary_cross_entropy(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(bce_at[real], p, n, a)


cdef inline real bce_logits_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    # softplus(-x) = log(1 + exp(-|x|)) + max(-x, 0), and sigmoid(-x) from the same exponential
    cdef real e = vmath.exp(<real>-libm.fabs(x))
    cdef real below = vmath.log1p(e) + (0 if x > 0 else -x)
    cdef real w = (u - 1) * t + 1
    dx[0] = (1 - t) - w * ((e if x > 0 else 1) / (1 + e))
    dt[0] = (u - 1) * below - x
    return (1 - t) * x + w * below


cdef int _binary_cross_entropy_with_logits(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(bce_logits_at[real], p, n, a)


cdef inline real kl_div_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    cdef real log_t = vmath.log(t)
    dx[0] = -t
    dt[0] = log_t + 1 - x
    return (0 if t == 0 else t * log_t) - t * x


cdef int _kl_div(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(kl_div_at[real], p, n, a)


cdef inline real kl_div_log_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    cdef real e = vmath.exp(t)
    dx[0] = -e
    dt[0] = e * (t - x + 1)
    return e * (t - x)


cdef int _kl_div_log(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(kl_div_log_at[real], p, n, a)


cdef inline real poisson_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    # a[1]: x is a logarithm; a[2]: with Stirling's approximation of log t!; a[3]: eps
    cdef real rate = vmath.exp(x) if a[1] else x
    cdef real log_rate = x if a[1] else vmath.log(x + <real>a[3])
    cdef real stirling = 0, slope = 0
    if a[2] and t > 1:
        stirling = t * vmath.log(t) - t + <real>0.5 * vmath.log(t * <real>6.283185307179586)
        slope = vmath.log(t) + <real>0.5 / t
    dx[0] = rate - t if a[1] else 1 - t / (x + <real>a[3])
    dt[0] = slope - log_rate
    return rate - t * log_rate + stirling


cdef int _poisson_nll(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(poisson_at[real], p, n, a)


cdef inline real soft_margin_at(real x, real t, real u, real *dx, real *dt, const double *a) noexcept nogil:
    cdef real z = -t * x
    cdef real e = vmath.exp(<real>-libm.fabs(z))
    cdef real slope = (1 if z > 0 else e) / (1 + e)
    dx[0] = -t * slope
    dt[0] = -x * slope
    return vmath.log1p(e) + (z if z > 0 else 0)


cdef int _soft_margin(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pointwise(soft_margin_at[real], p, n, a)


cdef object named(str name, kernel_t single, kernel_t double_):
    return Kernel(name, {"float32": <size_t>single, "float64": <size_t>double_})


mse = named("mse", <kernel_t>_mse[float], <kernel_t>_mse[double])
l1 = named("l1", <kernel_t>_l1[float], <kernel_t>_l1[double])
huber = named("huber", <kernel_t>_huber[float], <kernel_t>_huber[double])
binary_cross_entropy = named(
    "binary_cross_entropy", <kernel_t>_binary_cross_entropy[float], <kernel_t>_binary_cross_entropy[double])
binary_cross_entropy_with_logits = named(
    "binary_cross_entropy_with_logits",
    <kernel_t>_binary_cross_entropy_with_logits[float], <kernel_t>_binary_cross_entropy_with_logits[double])
kl_div = named("kl_div", <kernel_t>_kl_div[float], <kernel_t>_kl_div[double])
kl_div_log = named("kl_div_log", <kernel_t>_kl_div_log[float], <kernel_t>_kl_div_log[double])
poisson_nll = named("poisson_nll", <kernel_t>_poisson_nll[float], <kernel_t>_poisson_nll[double])
soft_margin = named("soft_margin", <kernel_t>_soft_margin[float], <kernel_t>_soft_margin[double])
