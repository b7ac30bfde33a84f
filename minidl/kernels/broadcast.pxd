# Broadcasting for kernels that only know plain contiguous buffers.
#
# n: size of the output, number of buffers, rank, shape[rank], then per buffer its item size and strides[rank] in items.
# `minidl.functional._shapes.plan` makes it: there the innermost stride of every buffer is 1 or 0. A plain row of
# `size` elements is (size, 0).

from minidl.kernels.kernel cimport kernel_t

cdef enum:
    TILE = 4096  # elements that a thread takes at a time
    CHUNK = 256  # elements of a repeated operand that are written out

cdef int broadcast(kernel_t kernel, void **p, const Py_ssize_t *n, const double *a) noexcept nogil
