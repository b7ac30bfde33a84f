"""Wires, where they leave the gradient as it is; what they do otherwise is in test_gradient_nodes.py."""

from op_table import Op

from minidl import functional as F

SHAPES = [((3, 4),), ((1,),), ((0, 3),), ((2, 3, 5),)]

OPS = [
    Op("clip_grad", lambda x: F.clip_grad(x, 1e9), lambda x: x, [*SHAPES, ((),)], torch=lambda x: x.clone()),
    Op("clip_grad_rows", lambda x: F.clip_grad(x, 1e9, norm_type=3, dim=0), lambda x: x, SHAPES, torch=lambda x: x.clone()),
    Op("clip_grad_value", lambda x: F.clip_grad(x, max_value=1e9), lambda x: x, [*SHAPES, ((),)], torch=lambda x: x.clone()),
    Op("scale_grad", lambda x: F.scale_grad(x, 1.0), lambda x: x, [*SHAPES, ((),)], torch=lambda x: x.clone()),
    Op("noise_grad", lambda x: F.noise_grad(x, 0.0), lambda x: x, [*SHAPES, ((),)], torch=lambda x: x.clone()),
    Op("stop_grad", F.stop_grad, lambda x: x, [*SHAPES, ((),)], torch=lambda x: x.detach(), differentiable=False),
]  # fmt: skip
