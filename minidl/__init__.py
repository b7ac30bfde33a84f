"""minidl: a small deep-learning engine for the CPU."""

from minidl import functional, nn
from minidl.engine import (
    detect_anomaly,
    enable_grad,
    is_grad_enabled,
    manual_seed,
    no_grad,
    record,
)
from minidl.engine.threads import set_num_threads
from minidl.kernels.kernel import get_num_threads
from minidl.serialize import load, save
from minidl.tensor import Parameter, Tensor, from_numpy, tensor

__version__ = "0.1.0"

__all__ = [
    "Parameter",
    "Tensor",
    "detect_anomaly",
    "enable_grad",
    "from_numpy",
    "functional",
    "get_num_threads",
    "is_grad_enabled",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "optim",
    "record",
    "save",
    "set_num_threads",
    "tensor",
]
