"""How a Numba function becomes a kernel: a C address that the tape calls like any Cython kernel.

A backward kernel is two functions. The loops::

    @loops
    def _relu(dx, dy, y):
        for i in prange(y.size):
            dx[i] = dy[i] if y[i] > 0 else 0

and the kernel, which has the shape that `minidl.kernels.kernel` prescribes and turns pointers into arrays::

    @kernel
    def relu(p, n, a):
        N = n[0]
        _relu(carray(p[0], N), carray(p[1], N), carray(p[2], N))
        return 0

They must stay two: Numba silently writes nothing where ``carray`` and ``prange`` meet in one parallel function.
"""

import sys
import threading
import time
from typing import Any

import llvmlite.binding
import numba
from numba import types
from numba.extending import intrinsic

from minidl.kernels.kernel import PARALLEL, Kernel, flush_address, get_num_threads, restore_address, threads_address

# Keeps NaN and Inf: the flags that assume there are none are left out. So is arcp: a loop has a vector copy and a plain
# one, chosen by addresses, and a division that became a product in one of them would make the bits depend on addresses.
FASTMATH = {"reassoc", "contract", "nsz", "afn"}


def cache_folder():
    """The folder where Numba keeps compiled kernels; None if it finds none that it may write."""
    try:
        return numba.njit(cache=True)(cache_folder).stats.cache_path
    except RuntimeError:  # "no locator available": read-only package and home
        return None


CACHE = cache_folder() is not None

loops = numba.njit(parallel=True, fastmath=FASTMATH, error_model="numpy", cache=CACHE)
# where no sums are to be taken side by side, no such freedom: of a product of three factors, the vector and the plain
# copy of a loop may multiply other two first
elementwise = numba.njit(parallel=True, fastmath=False, error_model="numpy", cache=CACHE)
body = numba.njit(fastmath=FASTMATH, error_model="numpy", inline="always")
piece = numba.njit(fastmath=FASTMATH, error_model="numpy", cache=CACHE)  # a long body: compiled once, not at every use

llvmlite.binding.add_symbol("minidl_threads", threads_address)
llvmlite.binding.add_symbol("minidl_flush_denormals", flush_address)
llvmlite.binding.add_symbol("minidl_restore_denormals", restore_address)
threads: Any = types.ExternalFunction("minidl_threads", types.int32())
flush_denormals: Any = types.ExternalFunction("minidl_flush_denormals", types.uint32())
restore_denormals: Any = types.ExternalFunction("minidl_restore_denormals", types.void(types.uint32))


@body
def serial(size):
    """Whether loops over `size` elements should do without threads: too few elements, or only one thread allowed."""
    return size < PARALLEL or threads() == 1


@body
def shares():
    """Number of parts in which threads share out rows: a power of two, row r belongs to part r & (shares - 1)."""
    parts = 1
    while parts < threads() and parts < 16:
        parts *= 2
    return parts


class NumbaKernel(Kernel):
    """A kernel that is compiled for a dtype when a node first asks for its address."""

    def __init__(self, function):
        super().__init__(function.__name__, {})
        self.function = function
        self.__doc__ = function.__doc__
        self.compiled = []  # keeps the machine code alive

    def address(self, dtype):
        """C address of the version for `dtype`, compiled or loaded from the cache on first use."""
        if dtype not in self.addresses:
            self.addresses[dtype] = self.compile(dtype)
        return self.addresses[dtype]

    def compile(self, dtype):
        """Compile for `dtype`; says so on the terminal when it takes long enough to be noticed."""
        follow_num_threads()  # also starts Numba's threads: a cached kernel that is loaded before them crashes
        real = types.CPointer(numba.from_dtype(dtype))
        signature = types.int32(types.CPointer(real), types.CPointer(types.intp), types.CPointer(types.float64))
        with Notice(f"{self.name} ({dtype})"):
            compiled = numba.cfunc(signature, error_model="numpy", cache=CACHE)(self.function)
        self.compiled.append(compiled)
        return compiled.address


def kernel(function):
    """Make `function(p, n, a)` a kernel, compiled when it is first needed."""
    return NumbaKernel(function)


def retyped(dtype):
    """An intrinsic: the same address as a pointer to `dtype`."""

    def retype(typingcontext, pointer):
        def codegen(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(dtype)(pointer), codegen

    return intrinsic(retype)


as_int64 = retyped(types.int64)  # labels and indices among float buffers
as_bool = retyped(types.uint8)  # masks among float buffers
as_double = retyped(types.float64)  # sums among float buffers


def follow_num_threads():
    """Use as many threads as the Cython kernels do."""
    numba.get_num_threads()
    numba.set_num_threads(min(get_num_threads(), numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


class Notice:
    """Context manager that tells who waits that a kernel is being compiled, while it lasts.

    Whether the cache has the kernel shows only in the time that it takes, so a timer speaks up; a kernel that is merely
    loaded is done long before.
    """

    delay = 0.7  # seconds: loading Numba and a kept kernel takes less
    silent = False  # whether someone else shows the progress

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.began, self.shown = time.perf_counter(), False
        self.timer = threading.Timer(self.delay, self.announce)
        self.timer.daemon = True
        self.timer.start()

    def announce(self):
        """What is being compiled."""
        if self.silent:
            return
        self.shown = True
        line = "\r\033[K" if sys.stderr.isatty() else ""  # a progress bar may stand on the line
        kept = ", kept for next time" if CACHE else ""
        print(f"{line}minidl: compiling kernel {self.name}{kept} ...", end="", file=sys.stderr, flush=True)

    def __exit__(self, *error):
        self.timer.cancel()
        self.timer.join()
        if self.shown:
            print(f" {time.perf_counter() - self.began:.1f} s", file=sys.stderr)
