"""All parameters as one vector."""

import numpy as np

from minidl.engine import as_array, outside_recordings
from minidl.tensor import Tensor


def parameters_to_vector(parameters):
    """A copy of all values, one after another.

    Parameters
    ----------
    parameters : iterable of Tensor
        Of one dtype.

    Returns
    -------
    Tensor, shape (total number of values,); detached
    """
    parameters = list(parameters)
    dtypes = {parameter.dtype for parameter in parameters}
    if len(dtypes) != 1:
        found = ", ".join(sorted(map(str, dtypes))) or "no parameters"
        raise ValueError(f"parameters_to_vector: parameters: got {found}, expected one dtype")
    return Tensor(np.concatenate([parameter.numpy().ravel() for parameter in parameters]))


def vector_to_parameters(vec, parameters):
    """Copy the values of a vector into parameters, in place.

    Parameters
    ----------
    vec : Tensor or array, shape (total number of values,)
    parameters : iterable of Tensor
    """
    outside_recordings("vector_to_parameters")
    parameters, values = list(parameters), as_array(vec)
    total = sum(parameter.array.size for parameter in parameters)
    if values.shape != (total,):
        raise ValueError(f"vector_to_parameters: vec: got shape {values.shape}, expected ({total},)")
    start = 0
    for parameter in parameters:
        end = start + parameter.array.size
        parameter.array[...] = values[start:end].reshape(parameter.shape)
        start = end
