"""Packing, padding and zeros in the padding as recorded steps on a batch of 64 sequences of up to 50 x 32 float32."""

import numpy as np

from minidl import functional as F
from minidl.nn.utils import rnn

from .bench_ops import recorded

SHAPE = (50, 64, 32)
LENGTHS = np.random.default_rng(1).integers(1, 51, 64)

OPERATIONS = {
    "zero_padding": lambda x: F.zero_padding(x, LENGTHS),
    "pack": lambda x: rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False).data,
    "pack and pad": lambda x: rnn.pad_packed_sequence(
        rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False), total_length=50
    )[0],
    "unpad and pad": lambda x: rnn.pad_sequence(rnn.unpad_sequence(x, LENGTHS)),
}


class Operation:
    """One operation, replayed."""

    params = [list(OPERATIONS), ["forward", "forward and backward"]]
    param_names = ["operation", "passes"]

    def setup(self, name, passes):
        self.step, x = recorded(OPERATIONS[name], passes != "forward", SHAPE)
        y = self.step()
        self.step()
        steps = (np.arange(50)[:, None] < LENGTHS)[..., None]
        np.testing.assert_allclose(y.numpy().sum(), (x.numpy() * steps).sum(), rtol=1e-3)
        if passes != "forward":
            np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(steps, SHAPE))

    def time_operation(self, name, passes):
        self.step()


class Eager:
    """Packing and padding without a recording, where Python works out the rows each time."""

    def setup(self):
        self.x = np.random.default_rng(0).standard_normal(SHAPE).astype("float32")

    def time_pack(self):
        rnn.pack_padded_sequence(self.x, LENGTHS, enforce_sorted=False)

    def time_pack_and_pad(self):
        rnn.pad_packed_sequence(rnn.pack_padded_sequence(self.x, LENGTHS, enforce_sorted=False))
