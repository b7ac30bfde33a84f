"""Tools for the parameters of a model, and for sequences of different lengths (`rnn`).

`parametrizations` has weights by norm, `parametrize` what lets a module compute its parameters.
"""

from minidl.nn.utils import parametrizations, parametrize, rnn
from minidl.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from minidl.nn.utils.vector import parameters_to_vector, vector_to_parameters
from minidl.stabilize import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_linear_bn_eval",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "rnn",
    "vector_to_parameters",
]
