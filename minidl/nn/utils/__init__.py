"""Tools for the parameters of a model."""

from minidl.nn.utils.vector import parameters_to_vector, vector_to_parameters

__all__ = ["parameters_to_vector", "vector_to_parameters"]
