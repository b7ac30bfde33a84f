"""Compiled loops: Cython forward kernels, Numba backward kernels."""

import os

# GNU OpenMP's threads spin for some 10 ms before they sleep. Where another program keeps a core busy, the thread that
# spins takes the time slice of the one it waits for, in every region: a step of 2 ms takes 200. It is loaded with the
# first kernel, and reads this then.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "2000"  # 50 to 100 us: longer than the way to the next region
    try:
        import minidl.kernels.gemm  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]
