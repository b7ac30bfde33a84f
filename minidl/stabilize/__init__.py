"""Nodes that shape or watch gradients and weights."""

from minidl.stabilize.accumulate import GradientAccumulation
from minidl.stabilize.average import WeightAverage
from minidl.stabilize.clip import ClipGradNorm, ClipGradValue, clip_grad_norm_, clip_grad_value_
from minidl.stabilize.scaler import GradScaler
from minidl.stabilize.spike import Spike, SpikeError, SpikeGuard

__all__ = [
    "ClipGradNorm",
    "ClipGradValue",
    "GradScaler",
    "GradientAccumulation",
    "Spike",
    "SpikeError",
    "SpikeGuard",
    "WeightAverage",
    "clip_grad_norm_",
    "clip_grad_value_",
]
