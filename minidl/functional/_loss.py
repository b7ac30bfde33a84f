"""What all losses check about their arguments."""

from minidl.engine import Tensor, as_tensor, state

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(name, reduction, count, reductions=REDUCTIONS):
    """ValueError for an unknown reduction, or for the mean over nothing, which would be NaN."""
    if reduction not in reductions:
        raise ValueError(f"{name}: reduction: got {reduction!r}, expected one of {', '.join(map(repr, reductions))}")
    if "mean" in reduction and count == 0:
        raise ValueError(f"{name}: empty batch: the mean over 0 losses is undefined; use reduction='sum'")


def as_float(name, argument, value, dtype):
    """A float tensor for the argument; arrays and numbers are converted, a tensor of another dtype is refused."""
    if not isinstance(value, Tensor):
        return as_tensor(value, dtype)
    if value.dtype != dtype:
        raise TypeError(f"{name}: {argument}: got dtype {value.dtype}, expected {dtype} as in input")
    return value


def as_constant(name, argument, value, dtype):
    """Tensor of weights that a loss does not differentiate; None stays None."""
    if value is None:
        return None
    tensor = as_float(name, argument, value, dtype)
    if tensor.requires_grad:
        raise ValueError(f"{name}: {argument}: requires a gradient, but the loss has none towards it; use detach()")
    if state.recording is not None:
        state.recording.rely_on_leaves([tensor])
    return tensor


def as_input(name, value):
    """The tensor of predictions; TypeError if it is not float."""
    tensor = as_tensor(value)
    if tensor.dtype.kind != "f":
        raise TypeError(f"{name}: input: got dtype {tensor.dtype}, expected float32 or float64")
    return tensor
