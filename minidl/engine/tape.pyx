"""Calls and the tape that repeats them: the only part of the engine that runs once per step."""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cimport numpy as cnp

from minidl.kernels.kernel cimport SPIKE, kernel_t

import numpy as np

cnp.import_array()


cdef struct Instruction:
    kernel_t run
    void **p
    Py_ssize_t *n
    double *a
    double *gate


cdef inline int execute(const Instruction *it) noexcept nogil:
    if it.gate != NULL and it.gate[0] == 0:
        return 0
    return it.run(it.p, it.n, it.a)


cdef class Call:
    """One kernel bound to its buffers, sizes and scalars.

    Eager code makes a call and runs it; a recording also keeps it; replay runs what was kept.

    Parameters
    ----------
    kernel : Kernel
        Handle of the compiled loop.
    outputs, inputs : sequence of ndarray or None
        Buffers the kernel writes and reads; None becomes a null pointer.
    sizes : sequence of int
        What the kernel reads as ``n``.
    scalars : sequence of float or float64 ndarray
        What the kernel reads as ``a``. An array is shared, not copied: its values may change between steps.
    dtype : dtype
        Version of the kernel to run.
    node : object
        Who makes the call; named in errors and listings.
    phase : str
        ``"forward"``, ``"backward"`` or ``"update"``.
    scratch : sequence of ndarray
        Buffers behind the others whose contents mean nothing before or after.
    gate : float64 ndarray of shape (1,), optional
        The kernel runs only while this holds no 0.
    """
    cdef Instruction instruction
    cdef readonly object kernel, scalars, dtype, node, gate
    cdef readonly tuple outputs, inputs, sizes, scratch
    cdef readonly str phase

    def __cinit__(self, kernel, outputs, inputs, sizes, scalars, dtype, node, str phase, scratch=(), gate=None):
        self.kernel, self.node, self.phase, self.dtype, self.gate = kernel, node, phase, dtype, gate
        self.outputs, self.inputs, self.sizes = tuple(outputs), tuple(inputs), tuple(sizes)
        self.scratch = tuple(scratch)
        self.scalars = scalars if isinstance(scalars, np.ndarray) else np.array(scalars, np.float64)
        cdef size_t address = kernel.address(dtype)
        cdef cnp.ndarray cells = self.scalars
        cdef Py_ssize_t i, count = len(self.outputs) + len(self.inputs) + len(self.scratch)
        self.instruction.run = <kernel_t>address
        self.instruction.a = <double *>cnp.PyArray_DATA(cells)
        self.instruction.gate = NULL if gate is None else <double *>cnp.PyArray_DATA(gate)
        # one block for pointers and sizes, so that replay reads one stretch of memory per call
        self.instruction.p = <void **>calloc(count + len(self.sizes) + 1, sizeof(void *))
        if self.instruction.p == NULL:
            raise MemoryError
        self.instruction.n = <Py_ssize_t *>(self.instruction.p + count)
        for i, array in enumerate(self.outputs + self.inputs + self.scratch):
            self.instruction.p[i] = address_of(array)
        for i, size in enumerate(self.sizes):
            self.instruction.n[i] = size

    def __dealloc__(self):
        free(self.instruction.p)

    @property
    def closed(self):
        """Whether it stands in a block that does not run now."""
        return self.gate is not None and self.gate[0] == 0

    def run(self):
        """Run the kernel; its status, 0 when all went well."""
        cdef int status
        with nogil:
            status = execute(&self.instruction)
        return status

    def __repr__(self):
        shapes = [str(array.shape) for array in self.outputs if array is not None]
        more = [f"and {len(shapes) - 3} more"] if len(shapes) > 3 else []
        title = "" if self.node is None else self.node.title
        return f"{self.phase} {title} [{self.kernel.name}] -> {' '.join(shapes[:3] + more)}"


cdef void *address_of(array) except? NULL:
    if array is None:
        return NULL
    if not cnp.PyArray_IS_C_CONTIGUOUS(array):
        raise ValueError(f"a kernel needs contiguous buffers, got strides {array.strides} for shape {array.shape}")
    return cnp.PyArray_DATA(array)


cdef class Tape:
    """A list of calls, the buffers that feed it and the result it leaves behind.

    Parameters
    ----------
    feeds : list of ndarray
        Buffers that `feed` fills from the arguments of a step.
    """
    cdef Instruction *code
    cdef Py_ssize_t size
    cdef readonly list calls, feeds

    def __cinit__(self, list feeds):
        self.feeds, self.calls = feeds, []

    def __dealloc__(self):
        free(self.code)

    def __len__(self):
        return self.size

    def append(self, Call call):
        """Note a call that has just run."""
        self.insert(self.size, call)

    def insert(self, Py_ssize_t at, Call call):
        """Put `call` before position `at`."""
        cdef Instruction *code = <Instruction *>realloc(self.code, (self.size + 1) * sizeof(Instruction))
        cdef Py_ssize_t i
        if code == NULL:
            raise MemoryError
        self.code = code
        for i in range(self.size, at, -1):
            code[i] = code[i - 1]
        code[at] = call.instruction
        self.size += 1
        self.calls.insert(at, call)

    cpdef bint feed(self, tuple arguments):
        """Copy the arguments into the feeds; False, and nothing copied, if one of them does not fit."""
        cdef Py_ssize_t i, count = len(self.feeds)
        cdef cnp.ndarray buffer
        if len(arguments) != count:
            return False
        for i in range(count):
            if not fits(array_of(arguments[i]), self.feeds[i]):
                return False
            if not isinstance(arguments[i], cnp.ndarray) and arguments[i]._requires_grad:
                return False  # `Step.find` explains why
        for i in range(count):
            buffer = self.feeds[i]
            memcpy(cnp.PyArray_DATA(buffer), cnp.PyArray_DATA(array_of(arguments[i])), cnp.PyArray_NBYTES(buffer))
        return True

    cpdef int replay(self, Py_ssize_t begin=0) except -1:
        """Run the calls in order from `begin` on; 0, or the status of the first that failed, at `stopped`."""
        cdef int status = 0
        cdef Py_ssize_t i = begin
        with nogil:
            while i < self.size:
                status = execute(&self.code[i])
                if status:
                    break
                i += 1
        self.stopped = i
        return status

    def timed(self, nanoseconds):
        """Replay, and write how long each call took into `nanoseconds`, one float64 per call; its status."""
        cdef double[::1] times = nanoseconds
        cdef Py_ssize_t i = 0
        cdef int status = 0
        cdef double before, after
        with nogil:
            before = now()
            while i < self.size and not status:
                status = execute(&self.code[i])
                after = now()
                times[i] = after - before
                before = after
                i += 1
                if status == SPIKE:  # no failure: Python has something to note, but not of a step that is put back
                    status = 0
        return status

    cdef readonly Py_ssize_t stopped


cdef double now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec * 1e9 + t.tv_nsec


cdef cnp.ndarray array_of(argument):
    return argument if isinstance(argument, cnp.ndarray) else getattr(argument, "array", None)


cdef bint fits(cnp.ndarray array, cnp.ndarray buffer):
    if array is None or not cnp.PyArray_ISCARRAY_RO(array):
        return False
    cdef int ndim = cnp.PyArray_NDIM(buffer)
    return (
        cnp.PyArray_NDIM(array) == ndim
        and cnp.PyArray_TYPE(array) == cnp.PyArray_TYPE(buffer)
        and memcmp(cnp.PyArray_DIMS(array), cnp.PyArray_DIMS(buffer), ndim * sizeof(cnp.npy_intp)) == 0
    )
