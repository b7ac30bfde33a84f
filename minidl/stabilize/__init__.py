"""Nodes that shape or watch gradients."""

from minidl.stabilize.clip import ClipGradNorm, ClipGradValue, clip_grad_norm_, clip_grad_value_
from minidl.stabilize.noise import GradientNoise

__all__ = ["ClipGradNorm", "ClipGradValue", "GradientNoise", "clip_grad_norm_", "clip_grad_value_"]
