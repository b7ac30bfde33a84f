"""Tools for the parameters of a model."""

from minidl.nn.utils.vector import parameters_to_vector, vector_to_parameters
from minidl.stabilize import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]
