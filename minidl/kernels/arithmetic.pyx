"""Arithmetic of two or three operands, comparisons and changes of dtype, with broadcasting.

p: y x z, n: the plan of a broadcast. Each operation is a function of two numbers and its kernel; gcc inlines the one
into the loop of the other. NaN stays NaN. Conditions are plain comparisons: gcc makes vectors of selects, not of `or`.
"""

from cython.parallel cimport prange
from libc cimport math as libm
from libc.stdint cimport int64_t, uint8_t

from minidl.kernels cimport vmath
from minidl.kernels.broadcast cimport broadcast
from minidl.kernels.kernel cimport OK, PARALLEL, element, kernel_t, number, real, threads

from minidl.kernels.kernel import Kernel

ctypedef fused target:
    float
    double
    int64_t
    uint8_t

ctypedef number (*binary_t)(number x, number z) noexcept nogil
ctypedef uint8_t (*compare_t)(element x, element z) noexcept nogil


cdef inline int binary(binary_t f, kernel_t kernel, number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    cdef Py_ssize_t i
    cdef number *y = p[0]
    cdef number *x = p[1]
    cdef number *z = p[2]
    if n[1]:
        return broadcast(kernel, <void **> p, n, a)
    for i in range(n[0]):
        y[i] = f(x[i], z[i])
    return OK


cdef inline int compare(compare_t f, kernel_t kernel, element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint8_t *y = <uint8_t *> p[0]
    cdef element *x = p[1]
    cdef element *z = p[2]
    if n[1]:
        return broadcast(kernel, <void **> p, n, a)
    for i in range(n[0]):
        y[i] = f(x[i], z[i])
    return OK


cdef inline number add_at(number x, number z) noexcept nogil:
    return x + z


cdef int _add(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(add_at[number], <kernel_t> _add[number], p, n, a)


cdef inline number sub_at(number x, number z) noexcept nogil:
    return x - z


cdef int _sub(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(sub_at[number], <kernel_t> _sub[number], p, n, a)


cdef inline number mul_at(number x, number z) noexcept nogil:
    return x * z


cdef int _mul(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(mul_at[number], <kernel_t> _mul[number], p, n, a)


cdef inline real div_at(real x, real z) noexcept nogil:
    return x / z


cdef int _div(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(div_at[real], <kernel_t> _div[real], p, n, a)


cdef inline number maximum_at(number x, number z) noexcept nogil:
    cdef number y = x if x > z else z
    return x if x != x else y


cdef int _maximum(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(maximum_at[number], <kernel_t> _maximum[number], p, n, a)


cdef inline number minimum_at(number x, number z) noexcept nogil:
    cdef number y = x if x < z else z
    return x if x != x else y


cdef int _minimum(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(minimum_at[number], <kernel_t> _minimum[number], p, n, a)


cdef inline real larger_at(real x, real z) noexcept nogil:
    # d maximum / dx: a tie gives each half
    return 0 if x < z else (<real> 0.5 if x == z else 1)


cdef int _larger(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(larger_at[real], <kernel_t> _larger[real], p, n, a)


cdef inline real pow_at(real x, real z) noexcept nogil:
    return libm.powf(x, z) if real is float else libm.pow(x, z)


cdef int _pow(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(pow_at[real], <kernel_t> _pow[real], p, n, a)


cdef inline real pow_base_at(real x, real z) noexcept nogil:
    # d pow / dx
    return 0 if z == 0 else z * pow_at(x, z - <real> 1)


cdef int _pow_base(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(pow_base_at[real], <kernel_t> _pow_base[real], p, n, a)


cdef inline real pow_exponent_at(real x, real z) noexcept nogil:
    # d pow / dz; 0 log(0) is 0, the limit
    return 0 if x == 0 and z >= 0 else pow_at(x, z) * vmath.log(x)


cdef int _pow_exponent(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return binary(pow_exponent_at[real], <kernel_t> _pow_exponent[real], p, n, a)


cdef inline uint8_t eq_at(element x, element z) noexcept nogil:
    return x == z


cdef int _eq(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return compare(eq_at[element], <kernel_t> _eq[element], p, n, a)


cdef inline uint8_t ne_at(element x, element z) noexcept nogil:
    return x != z


cdef int _ne(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return compare(ne_at[element], <kernel_t> _ne[element], p, n, a)


cdef inline uint8_t lt_at(element x, element z) noexcept nogil:
    return x < z


cdef int _lt(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return compare(lt_at[element], <kernel_t> _lt[element], p, n, a)


cdef inline uint8_t le_at(element x, element z) noexcept nogil:
    return x <= z


cdef int _le(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return compare(le_at[element], <kernel_t> _le[element], p, n, a)


cdef int _where(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # p: y condition x z; y = x where the condition holds, else z
    cdef Py_ssize_t i
    cdef element *y = p[0]
    cdef uint8_t *condition = <uint8_t *> p[1]
    cdef element *x = p[2]
    cdef element *z = p[3]
    if n[1]:
        return broadcast(<kernel_t> _where[element], <void **> p, n, a)
    for i in range(n[0]):
        y[i] = x[i] if condition[i] else z[i]
    return OK


# Changes of dtype ------------------------------------------------------------------------------------------------

cdef inline int cast(target *y, element *x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in prange(size, schedule="static", num_threads=threads(), use_threads_if=size >= PARALLEL):
        if target is uint8_t:
            y[i] = x[i] != 0
        else:
            y[i] = <target> x[i]
    return OK


cdef int _to_float32(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return cast(<float *> p[0], p[1], n[0])


cdef int _to_float64(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return cast(<double *> p[0], p[1], n[0])


cdef int _to_int64(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return cast(<int64_t *> p[0], p[1], n[0])


cdef int _to_bool(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return cast(<uint8_t *> p[0], p[1], n[0])


cdef object of_reals(str name, kernel_t single, kernel_t double_):
    return Kernel(name, {"float32": <size_t> single, "float64": <size_t> double_})


cdef object of_numbers(str name, kernel_t single, kernel_t double_, kernel_t integer):
    return Kernel(name, {"float32": <size_t> single, "float64": <size_t> double_, "int64": <size_t> integer})


cdef object of_elements(str name, kernel_t single, kernel_t double_, kernel_t integer, kernel_t boolean):
    return Kernel(name, {
        "float32": <size_t> single, "float64": <size_t> double_, "int64": <size_t> integer, "bool": <size_t> boolean,
    })


add = of_numbers("add", <kernel_t> _add[float], <kernel_t> _add[double], <kernel_t> _add[int64_t])
sub = of_numbers("sub", <kernel_t> _sub[float], <kernel_t> _sub[double], <kernel_t> _sub[int64_t])
mul = of_numbers("mul", <kernel_t> _mul[float], <kernel_t> _mul[double], <kernel_t> _mul[int64_t])
maximum = of_numbers("maximum", <kernel_t> _maximum[float], <kernel_t> _maximum[double], <kernel_t> _maximum[int64_t])
minimum = of_numbers("minimum", <kernel_t> _minimum[float], <kernel_t> _minimum[double], <kernel_t> _minimum[int64_t])
div = of_reals("div", <kernel_t> _div[float], <kernel_t> _div[double])
larger = of_reals("larger", <kernel_t> _larger[float], <kernel_t> _larger[double])
pow = of_reals("pow", <kernel_t> _pow[float], <kernel_t> _pow[double])
pow_base = of_reals("pow_base", <kernel_t> _pow_base[float], <kernel_t> _pow_base[double])
pow_exponent = of_reals("pow_exponent", <kernel_t> _pow_exponent[float], <kernel_t> _pow_exponent[double])
eq = of_elements("eq", <kernel_t> _eq[float], <kernel_t> _eq[double], <kernel_t> _eq[int64_t], <kernel_t> _eq[uint8_t])
ne = of_elements("ne", <kernel_t> _ne[float], <kernel_t> _ne[double], <kernel_t> _ne[int64_t], <kernel_t> _ne[uint8_t])
lt = of_elements("lt", <kernel_t> _lt[float], <kernel_t> _lt[double], <kernel_t> _lt[int64_t], <kernel_t> _lt[uint8_t])
le = of_elements("le", <kernel_t> _le[float], <kernel_t> _le[double], <kernel_t> _le[int64_t], <kernel_t> _le[uint8_t])
where = of_elements(
    "where", <kernel_t> _where[float], <kernel_t> _where[double],
    <kernel_t> _where[int64_t], <kernel_t> _where[uint8_t],
)
to_float32 = of_elements(
    "to_float32", <kernel_t> _to_float32[float], <kernel_t> _to_float32[double],
    <kernel_t> _to_float32[int64_t], <kernel_t> _to_float32[uint8_t],
)
to_float64 = of_elements(
    "to_float64", <kernel_t> _to_float64[float], <kernel_t> _to_float64[double],
    <kernel_t> _to_float64[int64_t], <kernel_t> _to_float64[uint8_t],
)
to_int64 = of_elements(
    "to_int64", <kernel_t> _to_int64[float], <kernel_t> _to_int64[double],
    <kernel_t> _to_int64[int64_t], <kernel_t> _to_int64[uint8_t],
)
to_bool = of_elements(
    "to_bool", <kernel_t> _to_bool[float], <kernel_t> _to_bool[double],
    <kernel_t> _to_bool[int64_t], <kernel_t> _to_bool[uint8_t],
)
