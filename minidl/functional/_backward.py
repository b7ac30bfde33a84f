"""The Numba kernels, imported when a backward pass first needs one: importing Numba costs half a second."""

import importlib


class _Lazy:
    """A module that is imported at the first use of one of its names."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        module = importlib.import_module(self._name)
        self.__dict__.update(vars(module))
        return getattr(module, attribute)


activation = _Lazy("minidl.kernels.backward.activation")
convolution = _Lazy("minidl.kernels.backward.convolution")
elementwise = _Lazy("minidl.kernels.backward.elementwise")
embedding = _Lazy("minidl.kernels.backward.embedding")
gate = _Lazy("minidl.kernels.backward.gate")
gradient = _Lazy("minidl.kernels.backward.gradient")
index = _Lazy("minidl.kernels.backward.index")
loss = _Lazy("minidl.kernels.backward.loss")
normalization = _Lazy("minidl.kernels.backward.normalization")
penalty = _Lazy("minidl.kernels.backward.penalty")
pooling = _Lazy("minidl.kernels.backward.pooling")
random = _Lazy("minidl.kernels.backward.random")
recurrent = _Lazy("minidl.kernels.backward.recurrent")
reduce = _Lazy("minidl.kernels.backward.reduce")
resample = _Lazy("minidl.kernels.backward.resample")
rms_norm = _Lazy("minidl.kernels.backward.rms_norm")
softmax = _Lazy("minidl.kernels.backward.softmax")
weight_norm = _Lazy("minidl.kernels.backward.weight_norm")
