"""Forward kernels of the activations and of the unary functions.

Definitions and limits are PyTorch's. NaN stays NaN: selects are written so that a false comparison returns x.
Below, each function of one element is followed by its loop; the table at the end gives them their names.
"""

from cython.parallel cimport prange
from libc cimport math as libm

from minidl.kernels cimport vmath
from minidl.kernels.kernel cimport PARALLEL, kernel_t, real, threads

from minidl.kernels.kernel import Kernel

# Elements that a thread takes at a time: three float32 buffers of this length fit in a 48 KiB L1 cache.
cdef enum:
    CHUNK = 4096

ctypedef real (*unary_t)(real x, const double *a) noexcept nogil
ctypedef real (*dual_t)(real x, real *d, const double *a) noexcept nogil


cdef void run_chunk(
    kernel_t kernel, Py_ssize_t chunk, Py_ssize_t itemsize, int buffers, void **p, const Py_ssize_t *n, const double *a
) noexcept nogil:
    cdef void *part[3]
    cdef Py_ssize_t start = chunk * CHUNK
    cdef Py_ssize_t size = min(n[0] - start, CHUNK)
    cdef int i
    for i in range(buffers):
        part[i] = NULL if p[i] == NULL else <char *> p[i] + start * itemsize
    kernel(part, &size, a)


cdef int split(
    kernel_t kernel, Py_ssize_t itemsize, int buffers, void **p, const Py_ssize_t *n, const double *a
) noexcept nogil:
    """Calls the kernel on chunks of its buffers, with threads if there are enough of them."""
    cdef Py_ssize_t chunks = (n[0] + CHUNK - 1) // CHUNK
    cdef Py_ssize_t chunk
    if n[0] < PARALLEL or threads() == 1:
        for chunk in range(chunks):
            run_chunk(kernel, chunk, itemsize, buffers, p, n, a)
    else:
        for chunk in prange(chunks, schedule="static", num_threads=threads()):
            run_chunk(kernel, chunk, itemsize, buffers, p, n, a)
    return 0


# The two drivers. gcc inlines f, as every caller names it, and vectorises the loops.
cdef inline int unary(
    unary_t f, kernel_t kernel, real **p, const Py_ssize_t *n, const double *a
) noexcept nogil:
    """p: y, x; n: size; y = f(x)."""
    cdef real *y = p[0]
    cdef real *x = p[1]
    cdef Py_ssize_t i
    if n[0] > CHUNK:
        return split(kernel, sizeof(real), 2, <void **> p, n, a)
    for i in range(n[0]):
        y[i] = f(x[i], a)
    return 0


cdef inline int dual(
    dual_t f, kernel_t kernel, real **p, const Py_ssize_t *n, const double *a
) noexcept nogil:
    """p: y, d or NULL, x; n: size; y = f(x), d = f'(x)."""
    cdef real *y = p[0]
    cdef real *d = p[1]
    cdef real *x = p[2]
    cdef real unused
    cdef Py_ssize_t i
    if n[0] > CHUNK:
        return split(kernel, sizeof(real), 3, <void **> p, n, a)
    if d == NULL:
        for i in range(n[0]):
            y[i] = f(x[i], &unused, a)
    else:
        for i in range(n[0]):
            y[i] = f(x[i], &d[i], a)
    return 0


cdef inline real clip(real x, real low, real high) noexcept nogil:
    x = low if x < low else x
    return high if x > high else x


cdef inline real relu_at(real x, const double *a) noexcept nogil:
    return 0 if x < 0 else x


cdef int relu_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(relu_at[real], <kernel_t> relu_loop[real], p, n, a)


cdef inline real leaky_relu_at(real x, const double *a) noexcept nogil:
    cdef real slope = a[0]
    return x if x > 0 else x * slope


cdef int leaky_relu_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(leaky_relu_at[real], <kernel_t> leaky_relu_loop[real], p, n, a)


cdef inline real elu_at(real x, real *d, const double *a) noexcept nogil:
    cdef real alpha = a[0]
    cdef real m = vmath.expm1(x)
    d[0] = <real> 1 if x > 0 else alpha * (m + <real> 1)
    return x if x > 0 else alpha * m


cdef int elu_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(elu_at[real], <kernel_t> elu_loop[real], p, n, a)


cdef inline real selu_at(real x, real *d, const double *a) noexcept nogil:
    cdef real scale = <real> 1.0507009873554805
    cdef real slope = <real> 1.7580993408473766
    cdef real m = vmath.expm1(x)
    d[0] = scale if x > 0 else slope * (m + <real> 1)
    return scale * x if x > 0 else slope * m


cdef int selu_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(selu_at[real], <kernel_t> selu_loop[real], p, n, a)


cdef inline real gelu_at(real x, real *d, const double *a) noexcept nogil:
    cdef real cdf = <real> 0.5 * (<real> 1 + vmath.erf(x * <real> 0.7071067811865476))
    d[0] = cdf + x * (<real> 0.3989422804014327 * vmath.exp(x * x * <real> -0.5))
    return x * cdf


cdef int gelu_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(gelu_at[real], <kernel_t> gelu_loop[real], p, n, a)


cdef inline real gelu_tanh_at(real x, real *d, const double *a) noexcept nogil:
    cdef real b = clip[real](x, -10, 10)  # Where tanh is 1; b * b must not overflow.
    cdef real t = vmath.tanh(b * (b * b * <real> 0.035677408136300125 + <real> 0.7978845608028654))
    cdef real slope = b * b * <real> 0.10703222440890037 + <real> 0.7978845608028654
    d[0] = <real> 0.5 * ((<real> 1 - t * t) * (b * slope) + (<real> 1 + t))
    return <real> 0.5 * x * (<real> 1 + t)


cdef int gelu_tanh_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(gelu_tanh_at[real], <kernel_t> gelu_tanh_loop[real], p, n, a)


cdef inline real silu_at(real x, real *d, const double *a) noexcept nogil:
    cdef real s = vmath.sigmoid(x)
    d[0] = s * (x * (<real> 1 - s) + <real> 1)
    return x * s


cdef int silu_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(silu_at[real], <kernel_t> silu_loop[real], p, n, a)


cdef inline real softplus_at(real x, real *d, const double *a) noexcept nogil:
    cdef real t = x * <real> a[0]
    cdef real e = vmath.exp(<real> -libm.fabs(t))
    cdef real y = (vmath.log1p(e) + (<real> 0 if t < 0 else t)) * <real> (1 / a[0])
    d[0] = <real> 1 if t > <real> a[1] else (e if t < 0 else <real> 1) / (<real> 1 + e)
    return x if t > <real> a[1] else y


cdef int softplus_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(softplus_at[real], <kernel_t> softplus_loop[real], p, n, a)


cdef inline real sigmoid_at(real x, const double *a) noexcept nogil:
    return vmath.sigmoid(x)


cdef int sigmoid_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(sigmoid_at[real], <kernel_t> sigmoid_loop[real], p, n, a)


cdef inline real tanh_at(real x, const double *a) noexcept nogil:
    return vmath.tanh(x)


cdef int tanh_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(tanh_at[real], <kernel_t> tanh_loop[real], p, n, a)


cdef inline real hardtanh_at(real x, const double *a) noexcept nogil:
    return clip[real](x, <real> a[0], <real> a[1])


cdef int hardtanh_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(hardtanh_at[real], <kernel_t> hardtanh_loop[real], p, n, a)


cdef inline real hardsigmoid_at(real x, const double *a) noexcept nogil:
    return clip[real](x + <real> 3, 0, 6) * <real> (1. / 6)


cdef int hardsigmoid_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(hardsigmoid_at[real], <kernel_t> hardsigmoid_loop[real], p, n, a)


cdef inline real hardswish_at(real x, const double *a) noexcept nogil:
    return x * clip[real](x + <real> 3, 0, 6) * <real> (1. / 6)


cdef int hardswish_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(hardswish_at[real], <kernel_t> hardswish_loop[real], p, n, a)


cdef inline real softsign_at(real x, const double *a) noexcept nogil:
    return x / (<real> 1 + <real> libm.fabs(x))


cdef int softsign_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(softsign_at[real], <kernel_t> softsign_loop[real], p, n, a)


cdef inline real mish_at(real x, real *d, const double *a) noexcept nogil:
    # tanh(log(1 + e)) = w / (w + 2) with e = exp(x), w = e (e + 2); it is 1 from 20 on.
    cdef real b = <real> 20 if x > 20 else x
    cdef real e = vmath.exp(b)
    cdef real w = e * (e + <real> 2)
    cdef real inverse = <real> 1 / (w + <real> 2)
    d[0] = (<real> 4 * e * (<real> 1 + e) * inverse * b + w) * inverse
    return x * (w * inverse)


cdef int mish_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(mish_at[real], <kernel_t> mish_loop[real], p, n, a)


cdef inline real log_sigmoid_at(real x, real *d, const double *a) noexcept nogil:
    cdef real e = vmath.exp(<real> -libm.fabs(x))
    d[0] = (<real> 1 if x < 0 else e) / (<real> 1 + e)
    return (<real> 0 if x > 0 else x) - vmath.log1p(e)


cdef int log_sigmoid_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(log_sigmoid_at[real], <kernel_t> log_sigmoid_loop[real], p, n, a)


cdef inline real exp_at(real x, const double *a) noexcept nogil:
    return vmath.exp(x)


cdef int exp_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(exp_at[real], <kernel_t> exp_loop[real], p, n, a)


cdef inline real log_at(real x, const double *a) noexcept nogil:
    return vmath.log(x)


cdef int log_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(log_at[real], <kernel_t> log_loop[real], p, n, a)


cdef inline real sqrt_at(real x, const double *a) noexcept nogil:
    return <real> libm.sqrt(x)


cdef int sqrt_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(sqrt_at[real], <kernel_t> sqrt_loop[real], p, n, a)


cdef inline real abs_at(real x, const double *a) noexcept nogil:
    return <real> libm.fabs(x)


cdef int abs_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(abs_at[real], <kernel_t> abs_loop[real], p, n, a)


cdef inline real neg_at(real x, const double *a) noexcept nogil:
    return -x


cdef int neg_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(neg_at[real], <kernel_t> neg_loop[real], p, n, a)


cdef inline real reciprocal_at(real x, const double *a) noexcept nogil:
    return <real> 1 / x


cdef int reciprocal_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(reciprocal_at[real], <kernel_t> reciprocal_loop[real], p, n, a)


cdef inline real square_at(real x, const double *a) noexcept nogil:
    return x * x


cdef int square_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(square_at[real], <kernel_t> square_loop[real], p, n, a)


cdef inline real sin_at(real x, real *d, const double *a) noexcept nogil:
    d[0] = <real> libm.cosf(x) if real is float else libm.cos(x)
    return libm.sinf(x) if real is float else libm.sin(x)


cdef int sin_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(sin_at[real], <kernel_t> sin_loop[real], p, n, a)


cdef inline real cos_at(real x, real *d, const double *a) noexcept nogil:
    d[0] = -(libm.sinf(x) if real is float else libm.sin(x))
    return libm.cosf(x) if real is float else libm.cos(x)


cdef int cos_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(cos_at[real], <kernel_t> cos_loop[real], p, n, a)


cdef inline real log1p_at(real x, const double *a) noexcept nogil:
    return vmath.log1p(x)


cdef int log1p_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(log1p_at[real], <kernel_t> log1p_loop[real], p, n, a)


cdef inline real expm1_at(real x, const double *a) noexcept nogil:
    return vmath.expm1(x)


cdef int expm1_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(expm1_at[real], <kernel_t> expm1_loop[real], p, n, a)


cdef inline real erf_at(real x, real *d, const double *a) noexcept nogil:
    d[0] = <real> 1.1283791670955126 * vmath.exp(-x * x)
    return vmath.erf(x)


cdef int erf_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(erf_at[real], <kernel_t> erf_loop[real], p, n, a)


cdef inline real sign_at(real x, const double *a) noexcept nogil:
    return 1 if x > 0 else (-1 if x < 0 else x + <real> 0)


cdef int sign_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(sign_at[real], <kernel_t> sign_loop[real], p, n, a)


cdef inline real clamp_at(real x, const double *a) noexcept nogil:
    return clip[real](x, <real> a[0], <real> a[1])


cdef int clamp_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(clamp_at[real], <kernel_t> clamp_loop[real], p, n, a)


cdef inline void prelu_sample(
    real *y, const real *x, const real *weight, Py_ssize_t channels, Py_ssize_t inner
) noexcept nogil:
    cdef Py_ssize_t c, i
    if inner == 1:
        for c in range(channels):
            y[c] = x[c] if x[c] > 0 else x[c] * weight[c]
    else:
        for c in range(channels):
            for i in range(c * inner, c * inner + inner):
                y[i] = x[i] if x[i] > 0 else x[i] * weight[c]


cdef int prelu_loop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: y, x, weight; n: outer, channels, inner."""
    cdef Py_ssize_t step = n[1] * n[2]
    cdef Py_ssize_t size = n[0] * step
    cdef Py_ssize_t o
    cdef double slope
    if n[1] == 1:
        slope = p[2][0]
        return leaky_relu_loop(p, &size, &slope)
    if size < PARALLEL or threads() == 1:
        for o in range(n[0]):
            prelu_sample(p[0] + o * step, p[1] + o * step, p[2], n[1], n[2])
    else:
        for o in prange(n[0], schedule="static", num_threads=threads()):
            prelu_sample(p[0] + o * step, p[1] + o * step, p[2], n[1], n[2])
    return 0


cdef object named(str name, kernel_t single, kernel_t double_):
    return Kernel(name, {"float32": <size_t> single, "float64": <size_t> double_})


relu = named("relu", <kernel_t> relu_loop[float], <kernel_t> relu_loop[double])
leaky_relu = named("leaky_relu", <kernel_t> leaky_relu_loop[float], <kernel_t> leaky_relu_loop[double])
elu = named("elu", <kernel_t> elu_loop[float], <kernel_t> elu_loop[double])
selu = named("selu", <kernel_t> selu_loop[float], <kernel_t> selu_loop[double])
gelu = named("gelu", <kernel_t> gelu_loop[float], <kernel_t> gelu_loop[double])
gelu_tanh = named("gelu_tanh", <kernel_t> gelu_tanh_loop[float], <kernel_t> gelu_tanh_loop[double])
silu = named("silu", <kernel_t> silu_loop[float], <kernel_t> silu_loop[double])
softplus = named("softplus", <kernel_t> softplus_loop[float], <kernel_t> softplus_loop[double])
sigmoid = named("sigmoid", <kernel_t> sigmoid_loop[float], <kernel_t> sigmoid_loop[double])
tanh = named("tanh", <kernel_t> tanh_loop[float], <kernel_t> tanh_loop[double])
hardtanh = named("hardtanh", <kernel_t> hardtanh_loop[float], <kernel_t> hardtanh_loop[double])
hardsigmoid = named("hardsigmoid", <kernel_t> hardsigmoid_loop[float], <kernel_t> hardsigmoid_loop[double])
hardswish = named("hardswish", <kernel_t> hardswish_loop[float], <kernel_t> hardswish_loop[double])
softsign = named("softsign", <kernel_t> softsign_loop[float], <kernel_t> softsign_loop[double])
mish = named("mish", <kernel_t> mish_loop[float], <kernel_t> mish_loop[double])
log_sigmoid = named("log_sigmoid", <kernel_t> log_sigmoid_loop[float], <kernel_t> log_sigmoid_loop[double])
exp = named("exp", <kernel_t> exp_loop[float], <kernel_t> exp_loop[double])
log = named("log", <kernel_t> log_loop[float], <kernel_t> log_loop[double])
sqrt = named("sqrt", <kernel_t> sqrt_loop[float], <kernel_t> sqrt_loop[double])
abs = named("abs", <kernel_t> abs_loop[float], <kernel_t> abs_loop[double])
neg = named("neg", <kernel_t> neg_loop[float], <kernel_t> neg_loop[double])
reciprocal = named("reciprocal", <kernel_t> reciprocal_loop[float], <kernel_t> reciprocal_loop[double])
square = named("square", <kernel_t> square_loop[float], <kernel_t> square_loop[double])
sin = named("sin", <kernel_t> sin_loop[float], <kernel_t> sin_loop[double])
cos = named("cos", <kernel_t> cos_loop[float], <kernel_t> cos_loop[double])
log1p = named("log1p", <kernel_t> log1p_loop[float], <kernel_t> log1p_loop[double])
expm1 = named("expm1", <kernel_t> expm1_loop[float], <kernel_t> expm1_loop[double])
erf = named("erf", <kernel_t> erf_loop[float], <kernel_t> erf_loop[double])
sign = named("sign", <kernel_t> sign_loop[float], <kernel_t> sign_loop[double])
clamp = named("clamp", <kernel_t> clamp_loop[float], <kernel_t> clamp_loop[double])
prelu = named("prelu", <kernel_t> prelu_loop[float], <kernel_t> prelu_loop[double])
