"""What is done to the values of a model: loading and converting them."""

from collections import namedtuple

import numpy as np

from minidl.engine import memory, outside_recordings
from minidl.engine.tensor import FLOATS

IncompatibleKeys = namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])


def load(owner, entries, state_dict, strict):
    """Copy the values of `state_dict` into the tensors of `entries`; nothing if anything does not fit.

    Parameters
    ----------
    owner : str
        Name of the model, for errors.
    entries : dict of str to Tensor
        Where to copy to.
    state_dict : mapping of str to Tensor or array
    strict : bool
        Whether every path must be on both sides.
    """
    outside_recordings("load_state_dict")
    try:
        values = {path: np.asarray(value) for path, value in dict(state_dict).items()}
    except (TypeError, ValueError) as error:
        raise TypeError(f"load_state_dict: got {type(state_dict).__name__}, expected a mapping of arrays") from error
    missing = [path for path in entries if path not in values]
    unexpected = [path for path in values if path not in entries]
    problems = [f"missing: {', '.join(missing)}"] if strict and missing else []
    problems += [f"unexpected: {', '.join(unexpected)}"] if strict and unexpected else []
    fitting = {path: (tensor, values[path]) for path, tensor in entries.items() if path in values}
    for path, (tensor, value) in fitting.items():
        if value.shape != tensor.shape:
            problems.append(f"{path}: got shape {value.shape}, expected {tensor.shape}")
        elif not np.can_cast(value.dtype, tensor.dtype, "same_kind"):
            problems.append(f"{path}: got dtype {value.dtype}, expected {tensor.dtype}")
    if problems:
        raise ValueError("\n  ".join([f"load_state_dict: {owner}:", *problems]))
    for tensor, value in fitting.values():
        tensor.array[...] = value
    return IncompatibleKeys(missing, unexpected)


def count(name, argument, value, low=0):
    """`value` as an int; ValueError if it is none, or less than `low`."""
    if not isinstance(value, (int, np.integer)) or value < low:
        raise ValueError(f"{name}: {argument}: got {value!r}, expected an integer >= {low}")
    return int(value)


def float_dtype(function, dtype):
    """`dtype` as a NumPy dtype; TypeError if it is not float32 or float64."""
    dtype = np.dtype(dtype)
    if dtype not in FLOATS:
        raise TypeError(f"{function}: dtype: got {dtype}, expected float32 or float64")
    return dtype


def convert(tensor, dtype):
    """Give a leaf the memory that a new tensor of its kind would have, with the same values."""
    fresh = type(tensor)(memory.copy(tensor.array.astype(dtype)))
    if tensor.has_grad():
        fresh.gradient_buffer()[...] = tensor.buffer
    tensor.array, tensor.buffer = fresh.array, fresh.buffer
