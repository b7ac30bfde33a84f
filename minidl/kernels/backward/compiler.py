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
import time

import numba
from numba import types
from numba.extending import intrinsic

from minidl.kernels.kernel import Kernel, get_num_threads

# Keeps NaN and Inf: the flags that assume there are none are left out. So is arcp: a loop has a vector copy and a plain
# one, chosen by addresses, and a division that became a product in one of them would make the bits depend on addresses.
FASTMATH = {"reassoc", "contract", "nsz", "afn"}

# Below this many elements a parallel region costs more than it saves.
PARALLEL = 32768


def cache_works():
    """Whether Numba finds a folder to keep compiled kernels in."""
    try:
        numba.njit(cache=True)(cache_works)
    except RuntimeError:  # "no locator available": read-only package and home
        return False
    return True


CACHE = cache_works()

loops = numba.njit(parallel=True, fastmath=FASTMATH, error_model="numpy", cache=CACHE)
body = numba.njit(fastmath=FASTMATH, error_model="numpy", inline="always")


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
        began = time.perf_counter()
        compiled = numba.cfunc(signature, fastmath=FASTMATH, error_model="numpy", cache=CACHE)(self.function)
        self.compiled.append(compiled)
        _Notice.show(self.name, time.perf_counter() - began)
        return compiled.address


def kernel(function):
    """Make `function(p, n, a)` a kernel, compiled when it is first needed."""
    return NumbaKernel(function)


@intrinsic
def as_int64(typingcontext, pointer):
    """The same address as a pointer to int64: labels and indices among float buffers."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.int64)(pointer), codegen


@intrinsic
def as_bool(typingcontext, pointer):
    """The same address as a pointer to bytes: masks among float buffers."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint8)(pointer), codegen


def follow_num_threads():
    """Use as many threads as the Cython kernels do."""
    numba.get_num_threads()
    numba.set_num_threads(min(get_num_threads(), numba.config.NUMBA_NUM_THREADS))


class _Notice:
    """Tells who waits that kernels are being compiled, once there is something to notice."""

    waited = 0.0

    @classmethod
    def show(cls, name, seconds):
        """Add up the time spent, and report it on the terminal once it exceeds a second."""
        cls.waited += seconds
        if seconds > 0.3 and cls.waited > 1.0:
            print(f"minidl: compiled kernel {name} ({cls.waited:.0f} s so far; kept for next time)", file=sys.stderr)
