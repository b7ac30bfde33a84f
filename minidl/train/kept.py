"""Training steps that are taken back."""

import contextlib

from minidl.engine import generator


@contextlib.contextmanager
def kept(model, optimizer):
    """Puts parameters, buffers, gradients, random numbers and the state of the optimizer (or None) back at the end."""
    tensors = list({*model.parameters(), *model.buffers(), *(optimizer.parameters if optimizer else ())})
    before = [(tensor, tensor.array.copy(), tensor.buffer.copy() if tensor.has_grad() else None) for tensor in tensors]
    state, counter = optimizer.state_dict() if optimizer else None, generator.counter.copy()
    try:
        yield
    finally:
        for tensor, values, gradient in before:
            tensor.array[...] = values
            if tensor.requires_grad:
                tensor.grad = gradient
        if optimizer:
            optimizer.load_state_dict(state)
        generator.counter[:] = counter
