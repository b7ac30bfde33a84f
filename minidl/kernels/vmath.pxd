# Elementary functions that gcc vectorises: straight-line code, selects instead of branches, bits instead of ldexp.
# NaN stays NaN, Inf and signed zeros are as in C. float32: at most 2.5 ulp; float64 is libm's (gradient checks only).
# Constants are cast because Cython writes a literal as a C double, which would widen the whole loop.
#
# The coefficients are minimax fits by linear programming (scipy.optimize.linprog over 1200 Chebyshev nodes, weighted
# for the relative error of the function itself), rounded to float32. Every addition takes at most one product, so
# that there is one way only to contract it to an FMA: vector body and scalar tail of a loop give the same bits.

from libc cimport math as libm
from libc.stdint cimport int32_t, uint32_t

from minidl.kernels.kernel cimport real


cdef union float_bits:
    float value
    uint32_t bits


cdef inline float from_bits(uint32_t bits) noexcept nogil:
    cdef float_bits cast
    cast.bits = bits
    return cast.value


cdef inline uint32_t to_bits(float value) noexcept nogil:
    cdef float_bits cast
    cast.value = value
    return cast.bits


cdef inline float expm1_reduced(float n, float x) noexcept nogil:
    """exp(r) - 1 for r = x - n ln 2, |r| <= ln(2) / 2."""
    cdef float r = (x - n * <float> 0.693145752) - n * <float> 1.42860677e-06
    cdef float q = <float> 0.00138825097
    q = q * r + <float> 0.00836658012
    q = q * r + <float> 0.0416672006
    q = q * r + <float> 0.166665435
    q = q * r + <float> 0.49999997
    return q * r * r + r  # Not r * r * q: for small r that is denormal, and 50 times slower.


cdef inline float expm1_bounded(float x) noexcept nogil:
    """exp(x) - 1 for -87 < x < 89."""
    # Adding 1.5 * 2^23 rounds to an integer that stands in the low bits; + 126 makes those the exponent of 2^(n - 1).
    cdef float shifted = x * <float> 1.44269504 + <float> 12583038
    cdef float half = from_bits(to_bits(shifted) << 23)
    cdef float p = expm1_reduced(shifted - <float> 12583038, x)
    return <float> 2 * (half * p + (half - <float> 0.5))


cdef inline real exp(real x) noexcept nogil:
    cdef float shifted, p
    cdef uint32_t bits, first
    if real is double:
        return libm.exp(x)
    else:
        x = 89 if x > 89 else x
        x = -104 if x < -104 else x
        shifted = x * <float> 1.44269504 + <float> 12583166
        p = <float> 1 + expm1_reduced(shifted - <float> 12583166, x)
        # The low bits hold n + 254. Two factors reach the denormals and 2^128.
        bits = to_bits(shifted)
        first = bits >> 1
        return p * from_bits(first << 23) * from_bits((bits - first) << 23)


cdef inline real expm1(real x) noexcept nogil:
    cdef float y
    if real is double:
        return libm.expm1(x)
    else:
        y = 89 if x > 89 else x
        y = -18 if y < -18 else y
        return libm.copysignf(expm1_bounded(y), x)


cdef inline float log_reduced(float k, float f) noexcept nogil:
    """k ln 2 + log(1 + f) for sqrt(1/2) <= 1 + f < sqrt(2)."""
    cdef float q = <float> 0.0674658269
    q = q * f - <float> 0.116776221
    q = q * f + <float> 0.118892424
    q = q * f - <float> 0.124053672
    q = q * f + <float> 0.142193899
    q = q * f - <float> 0.166680008
    q = q * f + <float> 0.200021267
    q = q * f - <float> 0.250000089
    q = q * f + <float> 0.333333135
    q = q * f - <float> 0.5
    return k * <float> 0.693145752 + (q * f * f + (k * <float> 1.42860677e-06 + f))


cdef inline int32_t log_exponent(float x) noexcept nogil:
    """k such that sqrt(1/2) <= x / 2^k < sqrt(2); 0x3f3504f3 is sqrt(1/2)."""
    return (<int32_t> (to_bits(x) - 0x3f3504f3u)) >> 23


cdef inline float log_special(float y, float x, float zero) noexcept nogil:
    """y, or what the logarithm is where x is Inf, NaN, or not above `zero`."""
    y = y if x < <float> libm.INFINITY else x
    y = y if x != zero else <float> -libm.INFINITY
    return <float> libm.NAN if x < zero else y


cdef inline real log(real x) noexcept nogil:
    cdef float y, shift
    cdef int32_t k
    if real is double:
        return libm.log(x)
    else:
        shift = 23 if x < <float> 1.17549435e-38 else 0  # Denormals are scaled up first.
        y = x * <float> 8388608 if x < <float> 1.17549435e-38 else x
        k = log_exponent(y)
        y = from_bits(to_bits(y) - (<uint32_t> k << 23)) - <float> 1
        return log_special(log_reduced(k - shift, y), x, 0)


cdef inline real log1p(real x) noexcept nogil:
    cdef float scale, f
    cdef int32_t k
    if real is double:
        return libm.log1p(x)
    else:
        # f = (1 + x) / 2^k - 1 with one rounding; scale = 4 / 2^k, as 1 / 2^k could be denormal.
        k = log_exponent(<float> 1 + x)
        scale = from_bits(<uint32_t> (129 - k) << 23)
        f = x * scale * <float> 0.25 + (scale * <float> 0.25 - <float> 1)
        return libm.copysignf(log_special(log_reduced(k, f), x, -1), x)


cdef inline real tanh(real x) noexcept nogil:
    cdef float a, t
    if real is double:
        return libm.tanh(x)
    else:
        a = libm.fabsf(x)
        a = <float> 9.1 if a > <float> 9.1 else a
        t = expm1_bounded(<float> 2 * a)
        return libm.copysignf(t / (t + <float> 2), x)


cdef inline real sigmoid(real x) noexcept nogil:
    cdef double e
    if real is double:
        e = libm.exp(-libm.fabs(x))
        return (e if x < 0 else 1) / (1 + e)
    else:
        return <float> 1 / (<float> 1 + exp(-x))


cdef inline real erf(real x) noexcept nogil:
    cdef float a, q
    if real is double:
        return libm.erf(x)
    else:
        # erf(a) = -expm1(-a - a q(a)): q is smooth from 0 to where erf rounds to 1, so one polynomial does.
        a = libm.fabsf(x)
        a = <float> 3.93 if a > <float> 3.93 else a
        q = <float> -9.25684526e-06
        q = q * a + <float> 0.000117646188
        q = q * a - <float> 0.000632852898
        q = q * a + <float> 0.00166705286
        q = q * a - <float> 0.000160415686
        q = q * a - <float> 0.0191530567
        q = q * a + <float> 0.102777831
        q = q * a + <float> 0.636619389
        q = q * a + <float> 0.12837917
        return libm.copysignf(expm1_bounded(-(a * q + a)), x)


cdef inline real sin(real x) noexcept nogil:
    """libm's, one at a time: a reduction that is right for every x needs a branch."""
    if real is double:
        return libm.sin(x)
    else:
        return libm.sinf(x)


cdef inline real cos(real x) noexcept nogil:
    if real is double:
        return libm.cos(x)
    else:
        return libm.cosf(x)


cdef inline float sin_quarter(float x) noexcept nogil:
    """sin(pi/2 x) for -1 <= x <= 1, to 6e-8; see `cos_quarter`."""
    cdef float t = x * x
    cdef float q = <float> 0.00015237764
    q = q * t - <float> 0.0046758396
    q = q * t + <float> 0.079691209
    q = q * t - <float> 0.64596409
    q = q * t + <float> 1.5707964
    return q * x


cdef inline float cos_quarter(float x) noexcept nogil:
    """cos(pi/2 x) for -1 <= x <= 1, to 1e-7; not more than that is right where it is near 0."""
    cdef float t = x * x
    cdef float q = <float> 0.00085654273
    q = q * t - <float> 0.020807164
    q = q * t + <float> 0.25364846
    q = q * t - <float> 1.2336978
    return q * t + <float> 0.99999994
