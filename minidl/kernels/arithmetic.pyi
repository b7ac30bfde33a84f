"""Arithmetic, comparisons and changes of dtype. p: y x z; n: `minidl.functional._shapes.plan_of(y, x, z)`."""

from minidl.kernels.kernel import Kernel

add: Kernel
sub: Kernel
mul: Kernel
div: Kernel
maximum: Kernel
minimum: Kernel
larger: Kernel  # d maximum(x, z) / dx: 1, 0.5 or 0
pow: Kernel
pow_base: Kernel  # d pow(x, z) / dx
pow_exponent: Kernel  # d pow(x, z) / dz
eq: Kernel  # y is bool, as for the next three
ne: Kernel
lt: Kernel
le: Kernel
where: Kernel  # y, condition (bool), x, z
to_float32: Kernel  # y, x; n is [size]; the dtype is that of x, as for the next three
to_float64: Kernel
to_int64: Kernel
to_bool: Kernel
