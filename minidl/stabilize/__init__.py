"""Nodes that shape or watch gradients and weights, made once and called in the training step.

In this order: ``zero_grad``; around all the rest `Probe`; forward pass and ``backward``; around all the rest a
`SpikeGuard` that watches the loss, and inside of it `GradientAccumulation`; clips, noise and coupled decays, which
change gradients; `WeightDecay`; the optimizer's step; `MaxNorm` and `WeightAverage`.
"""

from minidl.stabilize.accumulate import GradientAccumulation
from minidl.stabilize.adaptive import AutoClip, ZClip
from minidl.stabilize.average import WeightAverage
from minidl.stabilize.clip import ClipGradNorm, ClipGradValue, ClipParameterNorm, clip_grad_norm_, clip_grad_value_
from minidl.stabilize.decay import L1Decay, L2Decay, WeightDecay
from minidl.stabilize.noise import GradientNoise
from minidl.stabilize.probe import Probe
from minidl.stabilize.scaler import GradScaler
from minidl.stabilize.spike import Spike, SpikeError, SpikeGuard
from minidl.stabilize.total_norm import clip_grads_with_norm_, get_total_norm
from minidl.stabilize.units import AdaptiveClip, CentralizeGradient, MaxNorm

__all__ = [
    "AdaptiveClip",
    "AutoClip",
    "CentralizeGradient",
    "ClipGradNorm",
    "ClipGradValue",
    "ClipParameterNorm",
    "GradScaler",
    "GradientAccumulation",
    "GradientNoise",
    "L1Decay",
    "L2Decay",
    "MaxNorm",
    "Probe",
    "Spike",
    "SpikeError",
    "SpikeGuard",
    "WeightAverage",
    "WeightDecay",
    "ZClip",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]
