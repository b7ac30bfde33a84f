from minidl.kernels.kernel import Kernel

adadelta: Kernel
adagrad: Kernel
rmsprop: Kernel
