"""Bookkeeping on buffers; n is [size] unless said otherwise, a the scalars in brackets."""

from minidl.kernels.kernel import Kernel

fill: Kernel  # y [value]
copy: Kernel  # y, x
accumulate: Kernel  # y, x: y += x
check_finite: Kernel  # x
set_flags: Kernel  # flags, one byte each [value]; n: how many
expect_flags: Kernel  # flags, one byte each [values]; n: how many
product: Kernel  # y, x0, x1, one number each
nothing: Kernel  # x
