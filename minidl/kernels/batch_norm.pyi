"""y = (x - mean) rstd weight + bias over columns, and running statistics."""

from minidl.kernels.kernel import Kernel

columns: Kernel  # y, stats, x, weight, bias, residual, running_mean, running_var; n: N C relu [eps]
track: Kernel  # running_mean, running_var, batches, stats; n: N C count [momentum]
