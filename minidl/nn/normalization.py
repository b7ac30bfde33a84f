"""Normalisation layers."""

import numpy as np

from minidl import functional as F
from minidl.engine import as_tensor, memory
from minidl.functional.normalization import check_eps, check_momentum, shape_of
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.values import count, float_dtype
from minidl.tensor import Parameter, Tensor


class _Affine(Module):
    """A layer with a weight that starts at 1 and a bias that starts at 0."""

    def _place_affine(self, shape, affine, bias, dtype):
        dtype = float_dtype(type(self).__name__, dtype)
        self.weight = Parameter(memory.empty(shape, dtype)) if affine else None
        self.bias = Parameter(memory.empty(shape, dtype)) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _Channels(_Affine):
    """What BatchNorm and InstanceNorm share: channels, and their running statistics."""

    ndims: tuple[int, ...]
    shapes: str
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, dtype="float32", *, bias=True
    ):
        super().__init__()
        name = type(self).__name__
        self.num_features = count(name, "num_features", num_features)
        self.eps, self.momentum = check_eps(name, eps), check_momentum(name, momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        dtype = float_dtype(name, dtype)
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(memory.empty(num_features, dtype)) if tracked else None)
        self.register_buffer("running_var", Tensor(memory.empty(num_features, dtype)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(memory.empty((), np.int64)) if tracked else None)
        self._place_affine((self.num_features,), affine, bias, dtype)

    def reset_running_stats(self):
        """Mean 0, variance 1, no batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Weight 1, bias 0, and running statistics of no batches."""
        self.reset_running_stats()
        super().reset_parameters()

    def check_input(self, input):
        """`input` as a tensor with a fitting shape."""
        input = as_tensor(input)
        if input.ndim not in self.ndims:
            raise ValueError(f"input has shape {input.shape}, expected {self.shapes}")
        return input

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Channels):
    def forward(self, input, activation=None, residual=None):
        input = self.check_input(input)
        if input.shape[1] != self.num_features:
            raise ValueError(f"input has {input.shape[1]} channels (shape {input.shape}), expected {self.num_features}")
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
            activation,
            residual,
            num_batches_tracked=self.num_batches_tracked,
        )


class BatchNorm1d(_BatchNorm):
    """Each channel with the mean and the variance of the batch; in evaluation with the running ones.

    Ioffe and Szegedy (2015).

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        Added to the variance.
    momentum : float or None
        Share of the new batch in the running statistics. None: they are means over all batches.
    affine : bool
        Whether there are `weight` and `bias`.
    track_running_stats : bool
        Whether there are running statistics; without, evaluation uses those of the batch as well.
    dtype : dtype or str
    bias : bool
        Whether there is a `bias`.

    Shapes
    ------
    input, output : (N, C) or (N, C, L)
    weight, bias, running_mean, running_var : (C,)
    num_batches_tracked : (), int64
    """

    ndims, shapes, fuses_relu = (2, 3), "(N, C) or (N, C, L)", True


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images.

    Shapes
    ------
    input, output : (N, C, H, W)
    """

    ndims, shapes, fuses_relu = (4,), "(N, C, H, W)", True


class _InstanceNorm(_Channels):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        dtype="float32",
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias=bias)

    def forward(self, input):
        input = self.check_input(input)
        batch = input if input.ndim == self.ndims[-1] else F.unsqueeze(input, 0)
        if batch.shape[1] != self.num_features:
            raise ValueError(f"input has {batch.shape[1]} channels (shape {input.shape}), expected {self.num_features}")
        y = F.instance_norm(
            batch,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
            num_batches_tracked=self.num_batches_tracked,
        )
        return y if batch is input else F.squeeze(y, 0)


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample with its own mean and variance: Ulyanov, Vedaldi, Lempitsky (2016).

    Parameters
    ----------
    num_features : int
        C.
    eps, momentum, affine, track_running_stats, dtype, bias
        As for `BatchNorm1d`, though without weight, bias and running statistics by default.

    Shapes
    ------
    input, output : (N, C, L) or (C, L)
    """

    ndims, shapes = (2, 3), "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images.

    Shapes
    ------
    input, output : (N, C, H, W) or (C, H, W)
    """

    ndims, shapes = (3, 4), "(N, C, H, W) or (C, H, W)"


class LayerNorm(_Affine):
    """Each sample with the mean and the variance over its last dimensions: Ba, Kiros, Hinton (2016).

    Parameters
    ----------
    normalized_shape : int or sequence of int
        Sizes of these dimensions.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there are `weight` and `bias`.
    bias : bool
        Whether there is a `bias`.
    dtype : dtype or str

    Shapes
    ------
    input, output : (..., *normalized_shape)
    weight, bias : normalized_shape
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, dtype="float32"):
        super().__init__()
        self.normalized_shape = shape_of("LayerNorm", normalized_shape)
        self.eps, self.elementwise_affine = check_eps("LayerNorm", eps), elementwise_affine
        self._place_affine(self.normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """Each sample divided by the root mean square over its last dimensions: Zhang and Sennrich (2019).

    Parameters
    ----------
    normalized_shape : int or sequence of int
        Sizes of these dimensions.
    eps : float, optional
        Added to the mean square; by default the distance from 1 to the next number of the input's dtype.
    elementwise_affine : bool
        Whether there is a `weight`.
    dtype : dtype or str

    Shapes
    ------
    input, output : (..., *normalized_shape)
    weight : normalized_shape
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, dtype="float32"):
        super().__init__()
        self.normalized_shape = shape_of("RMSNorm", normalized_shape)
        self.eps = None if eps is None else check_eps("RMSNorm", eps)
        self.elementwise_affine = elementwise_affine
        self._place_affine(self.normalized_shape, elementwise_affine, False, dtype)

    def forward(self, input):
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """Groups of channels of each sample with their own mean and variance: Wu and He (2018).

    Parameters
    ----------
    num_groups, num_channels : int
        G and C; G divides C.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are `weight` and `bias`.
    dtype : dtype or str
    bias : bool
        Whether there is a `bias`.

    Shapes
    ------
    input, output : (N, C, ...)
    weight, bias : (C,)
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, dtype="float32", *, bias=True):
        super().__init__()
        self.num_channels = count("GroupNorm", "num_channels", num_channels)
        self.num_groups = count("GroupNorm", "num_groups", num_groups)
        if not self.num_groups or self.num_channels % self.num_groups:
            raise ValueError(
                f"GroupNorm: num_groups: got {num_groups}, expected a divisor of num_channels={num_channels}"
            )
        self.eps, self.affine = check_eps("GroupNorm", eps), affine
        self._place_affine((self.num_channels,), affine, bias, dtype)

    def forward(self, input):
        input = as_tensor(input)
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ValueError(f"input has shape {input.shape}, expected (N, {self.num_channels}, ...)")
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        groups = f"{self.num_groups}, {self.num_channels}, eps={self.eps}"
        return f"{groups}, affine={self.affine}, bias={self.bias is not None}"
