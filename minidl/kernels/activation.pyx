from minidl.kernels.kernel cimport real
from minidl.kernels.kernel import Kernel
cdef int _relu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n[0]):
        p[0][i] = p[1][i] if not (p[1][i] < 0) else 0
    return 0
relu = Kernel("relu", {"float32": <size_t>_relu[float], "float64": <size_t>_relu[double]})
