"""Operations that change a tensor in place: copy_, zero_, fill_, add_, sub_, mul_, div_, and random numbers.

They are calls like all others, so a recorded step repeats them. Autograd does not see them: they are allowed on leaves
under `no_grad`, and on tensors that no graph holds.
"""

import numpy as np

from minidl.engine import Caller, Tensor, as_array, as_tensor, generator, no_grad, state
from minidl.functional.arithmetic import div
from minidl.functional.dropout import check_probability
from minidl.functional.shape import expand
from minidl.kernels import inplace as K
from minidl.kernels import random
from minidl.kernels.elementwise import copy, fill


class InPlace(Caller):
    """One change of `tensor`."""

    def __init__(self, name, tensor):
        super().__init__()
        self.operation = name
        if tensor.node is not None:
            raise RuntimeError(
                f"{name}: the tensor was made by {tensor.node}, and backward needs that; use a copy, or detach()"
            )
        if tensor.requires_grad and state.grad_enabled:
            raise RuntimeError(f"{name}: a leaf that requires a gradient can only be changed in place under no_grad()")
        self.tensor = tensor

    name = property(lambda self: self.operation)
    named_by = ("path", "operation")

    def run(self, kernel, inputs=(), sizes=(), scalars=(), others=()):
        """Make the call, which may write `others` too; the tensor."""
        x, recording = self.tensor, state.recording
        if recording is not None:
            recording.changes(x, self.name)
            recording.rely_on_leaves([x])
            recording.checked.clear()  # the tensor may share memory with a gradient
        self.call(kernel, [x, *others], inputs, [x.array.size, *sizes], scalars)
        return x

    def check_dtype(self, dtype):
        """TypeError if numbers of `dtype` would lose more than width in the target."""
        if not np.can_cast(dtype, self.tensor.dtype, "same_kind"):
            raise TypeError(f"{self.name}: got {dtype} numbers for a tensor of {self.tensor.dtype}")

    def operand(self, value):
        """`value` as a tensor of the dtype and shape of the target, or with one element."""
        x = self.tensor
        if not isinstance(value, Tensor):
            self.check_dtype(np.asarray(value).dtype)
            value = as_tensor(as_array(value, x.dtype))
        elif value.requires_grad and state.grad_enabled:
            raise RuntimeError(
                f"{self.name}: the operand requires a gradient, which would not flow through a change in place; "
                "compute a new tensor, or pass detach()"
            )
        if value.dtype != x.dtype:
            raise TypeError(f"{self.name}: got a {value.dtype} tensor, expected {x.dtype}")
        if value.array.size == 1 and value.ndim <= x.ndim:
            return value
        try:
            with no_grad():
                return expand(value, x.shape)
        except ValueError:
            raise ValueError(f"{self.name}: got shape {value.shape}, which does not expand to {x.shape}") from None


def fill_(tensor, value):
    """All elements become `value`."""
    return InPlace("fill_", tensor).run(fill, scalars=[float(value)])


def zero_(tensor):
    """All elements become 0."""
    return InPlace("zero_", tensor).run(fill, scalars=[0.0])


def copy_(tensor, source):
    """The elements become those of `source`, which broadcasts."""
    change = InPlace("copy_", tensor)
    source = change.operand(source)
    if source.shape != tensor.shape:
        with no_grad():
            source = expand(source, tensor.shape)
    return change.run(copy, [source])


def _add(name, tensor, other, alpha):
    change = InPlace(name, tensor)
    change.check_dtype(np.asarray(alpha).dtype)
    other = change.operand(other)
    return change.run(K.add, [other], [other.array.size != 1], [alpha])


def add_(tensor, other, alpha=1):
    """tensor += alpha * other, which broadcasts."""
    return _add("add_", tensor, other, alpha)


def sub_(tensor, other, alpha=1):
    """tensor -= alpha * other, which broadcasts."""
    return _add("sub_", tensor, other, -alpha)


def mul_(tensor, other):
    """tensor *= other, which broadcasts."""
    change = InPlace("mul_", tensor)
    other = change.operand(other)
    return change.run(K.multiply, [other], [other.array.size != 1])


def div_(tensor, other):
    """tensor /= other, which broadcasts."""
    change = InPlace("div_", tensor)
    return change.run(copy, [change.operand(div(tensor, other))])


def uniform_(tensor, low=0.0, high=1.0):
    """The elements become random numbers, uniform in [low, high)."""
    if not low <= high:
        raise ValueError(f"uniform_: got low {low} and high {high}, expected low <= high")
    return InPlace("uniform_", tensor).run(random.uniform, scalars=[low, high], others=[generator.counter])


def normal_(tensor, mean=0.0, std=1.0):
    """The elements become random numbers, normal with the given mean and standard deviation."""
    if not std >= 0:
        raise ValueError(f"normal_: std: got {std}, expected std >= 0")
    return InPlace("normal_", tensor).run(random.normal, scalars=[mean, std], others=[generator.counter])


def bernoulli_(tensor, p=0.5):
    """The elements become 1 with probability `p`, else 0."""
    p = check_probability("bernoulli_", p)
    return InPlace("bernoulli_", tensor).run(random.bernoulli, scalars=[p], others=[generator.counter])
