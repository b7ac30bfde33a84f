"""What the engine knows about the moment: recording or not, gradients or not, which layer is running."""

import os
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class State(threading.local):
    """Per-thread state of the engine."""

    grad_enabled = True
    recording: Any = None  # the Recording that listens, if any
    pool: Any = None  # where its buffers come from
    detect_anomaly: Any = None  # the Watch that runs all calls, if any
    gate: Any = None  # the cell that calls wait for, if any; see `Gate`
    observer: Any = None  # sees what nodes make, forward and backward; see `Observer`
    phase = "forward"

    def __init__(self):
        self.scope: Sequence[str] = ()  # names of the modules that are running, outermost first


class Version:
    """Counts changes of what a recording takes for granted: train/eval modes and `requires_grad` flags."""

    count = 0


state = State()
version = Version()


class Switch:
    """Context manager, and decorator, that sets one field of the state."""

    field: str
    value: Any

    def __enter__(self):
        self.previous = getattr(state, self.field)
        setattr(state, self.field, self.value)
        return self

    def __exit__(self, *error):
        setattr(state, self.field, self.previous)

    def __call__(self, function):
        def wrapped(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)

        wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
        return wrapped


class no_grad(Switch):
    """Nothing computed inside remembers how it was computed."""

    field, value = "grad_enabled", False


class enable_grad(Switch):
    """Undoes `no_grad` inside."""

    field, value = "grad_enabled", True


def is_grad_enabled():
    """Whether operations remember how they were computed."""
    return state.grad_enabled


def outside_recordings(function):
    """RuntimeError while recording, for what runs once and would not be done again by a replay."""
    if state.recording is not None:
        raise RuntimeError(f"{function}: called while recording; a replay would not do it again, so do it outside")


def user_line():
    """``file:line`` of the innermost frame outside the package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "unknown line"
