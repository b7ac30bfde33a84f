"""minidl: a small deep-learning engine for the CPU."""

import importlib

try:
    from minidl.kernels.kernel import get_num_threads
except ModuleNotFoundError as error:
    raise ImportError(
        f"the kernels of minidl are not compiled in {__path__[0]}: run Python from another folder to use the installed "
        "package, or compile them here with: python setup.py build_ext --inplace"
    ) from error

from minidl import functional, nn, optim
from minidl.creation import (
    arange,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    zeros,
    zeros_like,
)
from minidl.engine import (
    detect_anomaly,
    enable_grad,
    is_grad_enabled,
    manual_seed,
    no_grad,
    record,
)
from minidl.engine.threads import set_num_threads
from minidl.functional import (
    bmm,
    cat,
    chunk,
    clone,
    dot,
    flatten,
    flip,
    gather,
    index_select,
    masked_fill,
    matmul,
    mm,
    narrow,
    outer,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    take_along_dim,
    transpose,
    tril,
    triu,
    unbind,
    unsqueeze,
)
from minidl.serialize import load, save
from minidl.tensor import Parameter, Tensor, from_numpy, tensor

__version__ = "0.1.0"

__all__ = [
    "Parameter",
    "Tensor",
    "arange",
    "bmm",
    "cat",
    "chunk",
    "clone",
    "detect_anomaly",
    "dot",
    "empty",
    "empty_like",
    "enable_grad",
    "eye",
    "flatten",
    "flip",
    "from_numpy",
    "full",
    "full_like",
    "functional",
    "gather",
    "get_num_threads",
    "index_select",
    "is_grad_enabled",
    "linspace",
    "load",
    "manual_seed",
    "masked_fill",
    "matmul",
    "mm",
    "narrow",
    "nn",
    "no_grad",
    "normal",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "permute",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "record",
    "reshape",
    "save",
    "set_num_threads",
    "split",
    "squeeze",
    "stack",
    "take_along_dim",
    "tensor",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unsqueeze",
    "zeros",
    "zeros_like",
]


def __getattr__(name):
    """`minidl.data` and `minidl.train` are imported when first used."""
    if name in ("data", "train"):
        return importlib.import_module(f"minidl.{name}")
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")
