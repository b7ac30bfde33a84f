"""The engine: tensors, nodes, reverse mode, recording and replay."""

from minidl.engine import memory
from minidl.engine.autograd import backward
from minidl.engine.finding import Finding, NonFiniteError
from minidl.engine.gate import Gate
from minidl.engine.node import Caller, Node
from minidl.engine.observer import Observer
from minidl.engine.origin import detect_anomaly
from minidl.engine.random import generator, manual_seed
from minidl.engine.record import Step, record
from minidl.engine.state import (
    enable_grad,
    is_grad_enabled,
    no_grad,
    outside_recordings,
    state,
    version,
)
from minidl.engine.statistics import Statistics
from minidl.engine.tensor import Tensor, as_array, as_tensor

__all__ = [
    "Caller",
    "Finding",
    "Gate",
    "Node",
    "NonFiniteError",
    "Observer",
    "Statistics",
    "Step",
    "Tensor",
    "as_array",
    "as_tensor",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "generator",
    "is_grad_enabled",
    "manual_seed",
    "memory",
    "no_grad",
    "outside_recordings",
    "record",
    "state",
    "version",
]
