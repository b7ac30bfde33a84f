"""Compiled loops: Cython forward kernels, Numba backward kernels."""

import os

# GNU OpenMP's threads spin for some 10 ms before they sleep. Where another program keeps a core busy, the thread that
# spins takes the time slice of the one it waits for, in every region: LeNet's step of 2 ms took 200. The library is
# loaded with the first kernel, and reads this then.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "40000"  # about 1 ms: longer than threads wait for each other on a quiet machine
    try:
        import minidl.kernels.gemm  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]
