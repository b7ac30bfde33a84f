"""Compiled loops: Cython forward kernels, Numba backward kernels."""
