"""Forward kernels of the activations and of the unary functions.

Definitions and limits are PyTorch's. NaN stays NaN: selects are written so that a false comparison returns x.
Two shapes, in both of which y may be x: [y, x], and [y, d, x] for those whose derivative d = dy/dx shares exp or tanh
with y (d may be NULL). n is [size]; the scalars a are named where they are read. PReLU alone differs.
"""

from cython.parallel cimport prange
from libc cimport math as libm

cimport minidl.kernels.vmath as vmath  # In this form cythonize sees the dependency.
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
    """Calls the kernel on chunks of its buffers. From PARALLEL // 2 on threads gain (exp) or cost nothing (relu)."""
    cdef Py_ssize_t chunks = (n[0] + CHUNK - 1) // CHUNK
    cdef Py_ssize_t chunk
    if n[0] < PARALLEL // 2 or threads() == 1:
        for chunk in range(chunks):
            run_chunk(kernel, chunk, itemsize, buffers, p, n, a)
    else:
        for chunk in prange(chunks, schedule="static", num_threads=threads()):
            run_chunk(kernel, chunk, itemsize, buffers, p, n, a)
    return 0


# The two drivers. Each caller names its f, so gcc inlines it and vectorises the loop.
cdef inline int unary(unary_t f, kernel_t kernel, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: y, x; n: size."""
    cdef real *y = p[0]
    cdef real *x = p[1]
    cdef Py_ssize_t i
    if n[0] > CHUNK:
        return split(kernel, sizeof(real), 2, <void **> p, n, a)
    for i in range(n[0]):
        y[i] = f(x[i], a)
    return 0


cdef inline int dual(dual_t f, kernel_t kernel, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: y, d or NULL, x; n: size."""
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
    """x between low and high; NaN stays."""
    x = low if x < low else x
    return high if x > high else x


cdef inline real relu_at(real x, const double *a) noexcept nogil:
    """max(0, x)."""
    return 0 if x < 0 else x


cdef int _relu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(relu_at[real], <kernel_t> _relu[real], p, n, a)


cdef inline real leaky_relu_at(real x, const double *a) noexcept nogil:
    """x if x > 0 else slope x; a: slope."""
    cdef real slope = a[0]
    return x if x > 0 else x * slope


cdef int _leaky_relu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(leaky_relu_at[real], <kernel_t> _leaky_relu[real], p, n, a)


cdef inline real elu_at(real x, real *d, const double *a) noexcept nogil:
    """x if x > 0 else alpha (exp(x) - 1); a: alpha."""
    cdef real alpha = a[0]
    cdef real m = vmath.expm1(x)
    d[0] = <real> 1 if x > 0 else alpha * (m + <real> 1)
    return x if x > 0 else alpha * m


cdef int _elu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(elu_at[real], <kernel_t> _elu[real], p, n, a)


cdef inline real celu_at(real x, real *d, const double *a) noexcept nogil:
    """x if x > 0 else alpha (exp(x / alpha) - 1); a: alpha."""
    cdef real alpha = a[0]
    cdef real m = vmath.expm1(x / alpha)
    d[0] = <real> 1 if x > 0 else m + <real> 1
    return x if x > 0 else alpha * m


cdef int _celu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(celu_at[real], <kernel_t> _celu[real], p, n, a)


cdef inline real selu_at(real x, real *d, const double *a) noexcept nogil:
    """scale (x if x > 0 else alpha (exp(x) - 1)), alpha and scale as in the paper."""
    cdef real scale = <real> 1.0507009873554805
    cdef real scale_alpha = <real> 1.7580993408473766
    cdef real m = vmath.expm1(x)
    d[0] = scale if x > 0 else scale_alpha * (m + <real> 1)
    return scale * x if x > 0 else scale_alpha * m


cdef int _selu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(selu_at[real], <kernel_t> _selu[real], p, n, a)


cdef inline real gelu_at(real x, real *d, const double *a) noexcept nogil:
    """x cdf(x) of the normal distribution."""
    cdef real cdf = <real> 0.5 * (<real> 1 + vmath.erf(x * <real> 0.7071067811865476))
    d[0] = cdf + x * (<real> 0.3989422804014327 * vmath.exp(x * x * <real> -0.5))
    return x * cdf


cdef int _gelu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(gelu_at[real], <kernel_t> _gelu[real], p, n, a)


cdef inline real gelu_tanh_at(real x, real *d, const double *a) noexcept nogil:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    cdef real b = clip[real](x, -10, 10)  # Where tanh is 1; b * b must not overflow.
    cdef real t = vmath.tanh(b * (b * b * <real> 0.035677408136300125 + <real> 0.7978845608028654))
    cdef real slope = b * b * <real> 0.10703222440890037 + <real> 0.7978845608028654
    d[0] = <real> 0.5 * ((<real> 1 - t * t) * (b * slope) + (<real> 1 + t))
    return <real> 0.5 * x * (<real> 1 + t)


cdef int _gelu_tanh(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(gelu_tanh_at[real], <kernel_t> _gelu_tanh[real], p, n, a)


cdef inline real silu_at(real x, real *d, const double *a) noexcept nogil:
    """x sigmoid(x)."""
    cdef real s = vmath.sigmoid(x)
    d[0] = s * (x * (<real> 1 - s) + <real> 1)
    return x * s


cdef int _silu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(silu_at[real], <kernel_t> _silu[real], p, n, a)


cdef inline real softplus_at(real x, real *d, const double *a) noexcept nogil:
    """log(1 + exp(beta x)) / beta, but x where beta x > threshold; a: beta, threshold."""
    cdef real t = x * <real> a[0]
    cdef real e = vmath.exp(<real> -libm.fabs(t))
    cdef real y = (vmath.log1p(e) + (<real> 0 if t < 0 else t)) * <real> (1 / a[0])
    d[0] = <real> 1 if t > <real> a[1] else (e if t < 0 else <real> 1) / (<real> 1 + e)
    return x if t > <real> a[1] else y


cdef int _softplus(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(softplus_at[real], <kernel_t> _softplus[real], p, n, a)


cdef inline real sigmoid_at(real x, const double *a) noexcept nogil:
    """1 / (1 + exp(-x))."""
    return vmath.sigmoid(x)


cdef int _sigmoid(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(sigmoid_at[real], <kernel_t> _sigmoid[real], p, n, a)


cdef inline real tanh_at(real x, const double *a) noexcept nogil:
    return vmath.tanh(x)


cdef int _tanh(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(tanh_at[real], <kernel_t> _tanh[real], p, n, a)


cdef inline real hardtanh_at(real x, const double *a) noexcept nogil:
    """x between min and max; a: min, max."""
    return clip[real](x, <real> a[0], <real> a[1])


cdef int _hardtanh(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(hardtanh_at[real], <kernel_t> _hardtanh[real], p, n, a)


cdef inline real hardsigmoid_at(real x, const double *a) noexcept nogil:
    """(x + 3) / 6 between 0 and 1."""
    return clip[real](x + <real> 3, 0, 6) * <real> (1. / 6)


cdef int _hardsigmoid(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(hardsigmoid_at[real], <kernel_t> _hardsigmoid[real], p, n, a)


cdef inline real hardswish_at(real x, const double *a) noexcept nogil:
    """x hardsigmoid(x)."""
    return x * clip[real](x + <real> 3, 0, 6) * <real> (1. / 6)


cdef int _hardswish(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(hardswish_at[real], <kernel_t> _hardswish[real], p, n, a)


cdef inline real softsign_at(real x, const double *a) noexcept nogil:
    """x / (1 + |x|)."""
    return x / (<real> 1 + <real> libm.fabs(x))


cdef int _softsign(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(softsign_at[real], <kernel_t> _softsign[real], p, n, a)


cdef inline real mish_at(real x, real *d, const double *a) noexcept nogil:
    """x tanh(softplus(x))."""
    # tanh(log(1 + e)) = w / (w + 2) with e = exp(x), w = e (e + 2); it is 1 from 20 on.
    cdef real b = <real> 20 if x > 20 else x
    cdef real e = vmath.exp(b)
    cdef real w = e * (e + <real> 2)
    cdef real inverse = <real> 1 / (w + <real> 2)
    d[0] = (<real> 4 * e * (<real> 1 + e) * inverse * b + w) * inverse
    return x * (w * inverse)


cdef int _mish(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(mish_at[real], <kernel_t> _mish[real], p, n, a)


cdef inline real log_sigmoid_at(real x, real *d, const double *a) noexcept nogil:
    """-log(1 + exp(-x))."""
    cdef real e = vmath.exp(<real> -libm.fabs(x))
    d[0] = (<real> 1 if x < 0 else e) / (<real> 1 + e)
    return (<real> 0 if x > 0 else x) - vmath.log1p(e)


cdef int _log_sigmoid(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(log_sigmoid_at[real], <kernel_t> _log_sigmoid[real], p, n, a)


cdef inline real exp_at(real x, const double *a) noexcept nogil:
    return vmath.exp(x)


cdef int _exp(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(exp_at[real], <kernel_t> _exp[real], p, n, a)


cdef inline real log_at(real x, const double *a) noexcept nogil:
    return vmath.log(x)


cdef int _log(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(log_at[real], <kernel_t> _log[real], p, n, a)


cdef inline real sqrt_at(real x, const double *a) noexcept nogil:
    return <real> libm.sqrt(x)


cdef int _sqrt(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(sqrt_at[real], <kernel_t> _sqrt[real], p, n, a)


cdef inline real abs_at(real x, const double *a) noexcept nogil:
    return <real> libm.fabs(x)


cdef int _abs(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(abs_at[real], <kernel_t> _abs[real], p, n, a)


cdef inline real neg_at(real x, const double *a) noexcept nogil:
    return -x


cdef int _neg(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(neg_at[real], <kernel_t> _neg[real], p, n, a)


cdef inline real reciprocal_at(real x, const double *a) noexcept nogil:
    return <real> 1 / x


cdef int _reciprocal(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(reciprocal_at[real], <kernel_t> _reciprocal[real], p, n, a)


cdef inline real square_at(real x, const double *a) noexcept nogil:
    return x * x


cdef int _square(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(square_at[real], <kernel_t> _square[real], p, n, a)


cdef inline real sin_at(real x, real *d, const double *a) noexcept nogil:
    d[0] = vmath.cos(x)
    return vmath.sin(x)


cdef int _sin(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(sin_at[real], <kernel_t> _sin[real], p, n, a)


cdef inline real cos_at(real x, real *d, const double *a) noexcept nogil:
    d[0] = -vmath.sin(x)
    return vmath.cos(x)


cdef int _cos(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(cos_at[real], <kernel_t> _cos[real], p, n, a)


cdef inline real log1p_at(real x, const double *a) noexcept nogil:
    return vmath.log1p(x)


cdef int _log1p(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(log1p_at[real], <kernel_t> _log1p[real], p, n, a)


cdef inline real expm1_at(real x, const double *a) noexcept nogil:
    return vmath.expm1(x)


cdef int _expm1(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(expm1_at[real], <kernel_t> _expm1[real], p, n, a)


cdef inline real erf_at(real x, real *d, const double *a) noexcept nogil:
    d[0] = <real> 1.1283791670955126 * vmath.exp(-x * x)
    return vmath.erf(x)


cdef int _erf(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return dual(erf_at[real], <kernel_t> _erf[real], p, n, a)


cdef inline real sign_at(real x, const double *a) noexcept nogil:
    """-1, 0 or 1."""
    return 1 if x > 0 else (-1 if x < 0 else x + <real> 0)


cdef int _sign(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(sign_at[real], <kernel_t> _sign[real], p, n, a)


cdef inline real clamp_at(real x, const double *a) noexcept nogil:
    """x between min and max; a: min, max."""
    return clip[real](x, <real> a[0], <real> a[1])


cdef int _clamp(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return unary(clamp_at[real], <kernel_t> _clamp[real], p, n, a)


cdef inline void prelu_sample(
    real *y, const real *x, const real *weight, Py_ssize_t channels, Py_ssize_t inner
) noexcept nogil:
    cdef Py_ssize_t c, i
    cdef real slope  # Loaded before the select: a load inside it would keep gcc from vectorising.
    if inner == 1:
        for c in range(channels):
            slope = weight[c]
            y[c] = x[c] if x[c] > 0 else x[c] * slope
    else:
        for c in range(channels):
            slope = weight[c]
            for i in range(c * inner, c * inner + inner):
                y[i] = x[i] if x[i] > 0 else x[i] * slope


cdef int _prelu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """x if x > 0 else weight[channel] x; p: y, x, weight; n: outer, channels, inner."""
    cdef Py_ssize_t step = n[1] * n[2]
    cdef Py_ssize_t size = n[0] * step
    cdef Py_ssize_t o
    cdef double slope
    if n[1] == 1:  # One weight for all, and perhaps one sample: threads must share its elements.
        slope = p[2][0]
        return _leaky_relu(p, &size, &slope)
    if size < PARALLEL or threads() == 1:
        for o in range(n[0]):
            prelu_sample(p[0] + o * step, p[1] + o * step, p[2], n[1], n[2])
    else:
        for o in prange(n[0], schedule="static", num_threads=threads()):
            prelu_sample(p[0] + o * step, p[1] + o * step, p[2], n[1], n[2])
    return 0


cdef object named(str name, kernel_t single, kernel_t double_):
    return Kernel(name, {"float32": <size_t> single, "float64": <size_t> double_})


relu = named("relu", <kernel_t> _relu[float], <kernel_t> _relu[double])
leaky_relu = named("leaky_relu", <kernel_t> _leaky_relu[float], <kernel_t> _leaky_relu[double])
elu = named("elu", <kernel_t> _elu[float], <kernel_t> _elu[double])
celu = named("celu", <kernel_t> _celu[float], <kernel_t> _celu[double])
selu = named("selu", <kernel_t> _selu[float], <kernel_t> _selu[double])
gelu = named("gelu", <kernel_t> _gelu[float], <kernel_t> _gelu[double])
gelu_tanh = named("gelu_tanh", <kernel_t> _gelu_tanh[float], <kernel_t> _gelu_tanh[double])
silu = named("silu", <kernel_t> _silu[float], <kernel_t> _silu[double])
softplus = named("softplus", <kernel_t> _softplus[float], <kernel_t> _softplus[double])
sigmoid = named("sigmoid", <kernel_t> _sigmoid[float], <kernel_t> _sigmoid[double])
tanh = named("tanh", <kernel_t> _tanh[float], <kernel_t> _tanh[double])
hardtanh = named("hardtanh", <kernel_t> _hardtanh[float], <kernel_t> _hardtanh[double])
hardsigmoid = named("hardsigmoid", <kernel_t> _hardsigmoid[float], <kernel_t> _hardsigmoid[double])
hardswish = named("hardswish", <kernel_t> _hardswish[float], <kernel_t> _hardswish[double])
softsign = named("softsign", <kernel_t> _softsign[float], <kernel_t> _softsign[double])
mish = named("mish", <kernel_t> _mish[float], <kernel_t> _mish[double])
log_sigmoid = named("log_sigmoid", <kernel_t> _log_sigmoid[float], <kernel_t> _log_sigmoid[double])
exp = named("exp", <kernel_t> _exp[float], <kernel_t> _exp[double])
log = named("log", <kernel_t> _log[float], <kernel_t> _log[double])
sqrt = named("sqrt", <kernel_t> _sqrt[float], <kernel_t> _sqrt[double])
abs = named("abs", <kernel_t> _abs[float], <kernel_t> _abs[double])
neg = named("neg", <kernel_t> _neg[float], <kernel_t> _neg[double])
reciprocal = named("reciprocal", <kernel_t> _reciprocal[float], <kernel_t> _reciprocal[double])
square = named("square", <kernel_t> _square[float], <kernel_t> _square[double])
sin = named("sin", <kernel_t> _sin[float], <kernel_t> _sin[double])
cos = named("cos", <kernel_t> _cos[float], <kernel_t> _cos[double])
log1p = named("log1p", <kernel_t> _log1p[float], <kernel_t> _log1p[double])
expm1 = named("expm1", <kernel_t> _expm1[float], <kernel_t> _expm1[double])
erf = named("erf", <kernel_t> _erf[float], <kernel_t> _erf[double])
sign = named("sign", <kernel_t> _sign[float], <kernel_t> _sign[double])
clamp = named("clamp", <kernel_t> _clamp[float], <kernel_t> _clamp[double])
prelu = named("prelu", <kernel_t> _prelu[float], <kernel_t> _prelu[double])
