"""Nodes that shape or watch gradients."""

from minidl.stabilize.clip import ClipGradNorm, ClipGradValue, clip_grad_norm_, clip_grad_value_
from minidl.stabilize.noise import GradientNoise
from minidl.stabilize.probe import Probe

__all__ = ["ClipGradNorm", "ClipGradValue", "GradientNoise", "Probe", "clip_grad_norm_", "clip_grad_value_"]
