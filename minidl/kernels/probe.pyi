"""Read-only measurements; all their buffers are scratch: they compute nothing that a step depends on."""

from minidl.kernels.kernel import Kernel

tick: Kernel
log: Kernel
describe: Kernel
gradients: Kernel
updates: Kernel
