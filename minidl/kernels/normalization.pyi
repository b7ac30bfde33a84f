"""y = (x - mean) rstd weight + bias over planes and rows; stats: mean, rest of the mean, rstd, var of each set."""

from minidl.kernels.kernel import Kernel

planes: (
    Kernel  # y, stats, x, weight, bias, residual, running_mean, running_var; n: S K inner step_s step_k C relu [eps]
)
rows: Kernel  # y, stats, x, weight, bias; n: R L G [eps]
