"""Initial values, written in place; all draws come from the generator that `manual_seed` seeds."""

from minidl.nn.init.basic import (
    constant_,
    normal_,
    ones_,
    torch_,
    torch_uniform_,
    trunc_normal_,
    uniform_,
    zeros_,
)
from minidl.nn.init.lsuv import lsuv_
from minidl.nn.init.match import match_
from minidl.nn.init.mean_field import MeanField, critical, mean_field
from minidl.nn.init.recurrent import chrono_, irnn_
from minidl.nn.init.residual import fixup_
from minidl.nn.init.scaled import (
    calculate_gain,
    fans,
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    xavier_normal_,
    xavier_uniform_,
)
from minidl.nn.init.structured import delta_orthogonal_, dirac_, eye_, orthogonal_, sparse_

__all__ = [
    "MeanField",
    "calculate_gain",
    "chrono_",
    "constant_",
    "critical",
    "delta_orthogonal_",
    "dirac_",
    "eye_",
    "fans",
    "fixup_",
    "irnn_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lsuv_",
    "match_",
    "mean_field",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "torch_",
    "torch_uniform_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]
