"""y = (x - mean) rstd weight + bias over sets of elements; stats: mean, rest of the mean, rstd, var of each set."""

from minidl.kernels.kernel import Kernel

planes: Kernel  # y, stats, x, weight, bias, residual, running_mean, running_var; n: S K inner step_s step_k C relu
rows: Kernel  # y, stats, x, weight, bias; n: R L G [eps]
columns: Kernel  # y, stats, x, weight, bias, residual, running_mean, running_var; n: N C relu [eps]
track: Kernel  # running_mean, running_var, batches, stats; n: N C count [momentum]
