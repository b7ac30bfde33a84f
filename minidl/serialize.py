"""Weights on disk: `.safetensors` files with PyTorch's names and layouts."""

import os

import numpy as np

from minidl.engine import Tensor, as_array, memory


def save(weights, path):
    """Write weights to a `.safetensors` file; the file is replaced in one move, so it is never half written.

    Parameters
    ----------
    weights : Module or dict
        A module, or what its ``state_dict()`` gives: names and tensors or arrays.
    path : str or Path

    Raises
    ------
    TypeError
        If a value is no tensor or array of a dtype that the engine knows.
    ImportError
        If the `safetensors` package is missing.
    """
    encode = require_package("save").numpy.save
    named = weights.state_dict() if hasattr(weights, "state_dict") else weights
    if not isinstance(named, dict):
        raise TypeError(f"save: weights: got {type(weights).__name__}, expected a Module or a dict of tensors")
    arrays = {}
    for name, value in named.items():
        if not isinstance(value, (Tensor, np.ndarray)):
            raise TypeError(f"save: {name!r}: got {type(value).__name__}, expected a tensor or an array")
        arrays[name] = as_array(value.array if isinstance(value, Tensor) else value)
    write_atomically(path, encode(arrays))


def load(path):
    """Read the weights in a `.safetensors` file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        Names and tensors, for ``module.load_state_dict``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no complete `.safetensors` file.
    ImportError
        If the `safetensors` package is missing.
    """
    from pathlib import Path  # here and below: importing it takes longer than all of minidl.nn

    package = require_package("load")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: no such file: {path}")
    try:
        arrays = package.numpy.load(path.read_bytes())
    except (package.SafetensorError, KeyError) as error:  # KeyError: a dtype that NumPy does not have
        raise ValueError(f"load: {path} is not a complete .safetensors file: {error}") from error
    weights = {}
    for name, array in sorted(arrays.items()):  # the package gives them in a random order
        try:
            weights[name] = Tensor.public(memory.copy(as_array(array)))  # theirs is read-only
        except TypeError as error:
            raise ValueError(f"load: {path}, {name!r}: {error}") from error
    return weights


def write_atomically(path, content):
    """Write bytes to a temporary file beside `path`, then rename it."""
    from pathlib import Path

    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_package(function):
    """`safetensors`, imported when first needed."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"{function}: needs the safetensors package: pip install 'minidl[train]'") from error
    return safetensors
