"""Layers and models: parameters, and the calls that use them."""

from minidl.nn import init, utils
from minidl.nn.activation import ReLU
from minidl.nn.containers import Identity, ModuleDict, ModuleList, ParameterList, Sequential
from minidl.nn.linear import Flatten, Linear, Unflatten
from minidl.nn.module import Module
from minidl.tensor import Parameter

__all__ = [
    "Flatten",
    "Identity",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Unflatten",
    "init",
    "utils",
]
