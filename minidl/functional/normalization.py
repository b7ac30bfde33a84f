"""Normalisation over a batch, a layer, groups of channels and single channels."""

import math

import numpy as np

from minidl.engine import as_tensor, state
from minidl.functional._normalization import Columns, Normalization, Planes, Rows
from minidl.functional.linear import ACTIVATIONS
from minidl.kernels import batch_norm as K


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    activation=None,
    residual=None,
    num_batches_tracked=None,
):
    """y = f((input - mean) / sqrt(var + eps) * weight + bias + residual), per channel.

    Parameters
    ----------
    input : Tensor, shape (N, C) or (N, C, ...)
    running_mean, running_var : Tensor, shape (C,), or None
        Used if `training` is False. Otherwise, if they are there, moved towards the mean and the unbiased variance of
        the batch, at every replay too.
    weight, bias : Tensor, shape (C,), optional
    training : bool
        Whether mean and variance are those of the batch.
    momentum : float or None
        How far the running statistics move. None: as far as makes them the mean over all batches so far, which
        `num_batches_tracked` counts.
    eps : float
    activation : {None, "relu"}
        f, applied in the same pass.
    residual : Tensor, shape of the input, optional
        Added before f, in the same pass.
    num_batches_tracked : Tensor, int64, shape (), optional
        Counted up in training.

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError
        If shapes do not fit, or in training with one value per channel.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization: Accelerating deep network training by reducing internal covariate shift",
    2015. The residual: He et al., "Deep residual learning for image recognition", 2015.
    """
    name = "batch_norm"
    input = at_least_2d(name, input)
    N, C, *space = input.shape
    if activation not in ACTIVATIONS:
        raise ValueError(f"{name}: activation: got {activation!r}, expected None or 'relu'")
    weight, bias, running_mean, running_var = check_affine(
        name, input, (C,), weight=weight, bias=bias, running_mean=running_mean, running_var=running_var
    )
    (residual,) = check_affine(name, input, input.shape, residual=residual)
    check_running(name, running_mean, running_var, not training, momentum, num_batches_tracked)
    inner = math.prod(space)
    if training and N * inner == 1:
        raise ValueError(f"{name}: got one value per channel (shape {input.shape}), expected more in training")
    given = (None, None) if training else (running_mean.array, running_var.array)
    arguments = C, C, check_eps(name, eps), ACTIVATIONS[activation], given
    if inner == 1:
        node: Normalization = Columns(name, (N, C), *arguments)
    else:
        node = Planes(name, (C, N, inner, 1, C, C), *arguments)
    y = node.run(input, weight=weight, bias=bias, residual=residual)
    if training:
        track(node, running_mean, running_var, num_batches_tracked, momentum, (1, C, N * inner))
    return y


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (input - mean) / sqrt(var + eps) * weight + bias, with mean and variance over the last dimensions.

    Parameters
    ----------
    input : Tensor, shape (..., *normalized_shape)
    normalized_shape : int or sequence of int
    weight, bias : Tensor, shape normalized_shape, optional
    eps : float

    Returns
    -------
    Tensor of the input's shape

    References
    ----------
    Ba, Kiros, Hinton, "Layer normalization", 2016.
    """
    name = "layer_norm"
    input, shape = as_tensor(input), shape_of(name, normalized_shape)
    if input.shape[input.ndim - len(shape) :] != shape or input.ndim < len(shape):
        raise ValueError(f"{name}: input has shape {input.shape}, expected it to end in normalized_shape {shape}")
    weight, bias = check_affine(name, input, shape, weight=weight, bias=bias)
    R, L = math.prod(input.shape[: input.ndim - len(shape)]), math.prod(shape)
    return Rows(name, (R, L, 1), R, L, check_eps(name, eps)).run(input, weight=weight, bias=bias)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """y = (input - mean) / sqrt(var + eps) * weight + bias, with mean and variance of `num_groups` groups of channels.

    Parameters
    ----------
    input : Tensor, shape (N, C, ...)
    num_groups : int
        Divides C.
    weight, bias : Tensor, shape (C,), optional
    eps : float

    Returns
    -------
    Tensor of the input's shape

    References
    ----------
    Wu and He, "Group normalization", 2018.
    """
    name = "group_norm"
    input = at_least_2d(name, input)
    N, C, *space = input.shape
    if not isinstance(num_groups, (int, np.integer)) or num_groups < 1 or C % num_groups:
        raise ValueError(f"{name}: num_groups: got {num_groups!r}, expected a divisor of the {C} channels")
    inner, G = math.prod(space), int(num_groups)
    if N * C // G * inner == 1:
        raise ValueError(f"{name}: got one value per group (shape {input.shape}), expected more")
    weight, bias = check_affine(name, input, (C,), weight=weight, bias=bias)
    return by_groups(name, input, G, check_eps(name, eps)).run(input, weight=weight, bias=bias)


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
    num_batches_tracked=None,
):
    """y = (input - mean) / sqrt(var + eps) * weight + bias, with mean and variance of every channel of every sample.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (N, C, ...)
    running_mean, running_var : Tensor, shape (C,), optional
        As for `batch_norm`, with the mean over the samples.
    weight, bias : Tensor, shape (C,), optional
    use_input_stats : bool
        Whether mean and variance are those of the input, or the running ones.
    momentum, eps, num_batches_tracked
        As for `batch_norm`.

    Returns
    -------
    Tensor of the input's shape

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky, "Instance normalization: The missing ingredient for fast stylization", 2016.
    """
    name = "instance_norm"
    input = at_least_2d(name, input)
    N, C, *space = input.shape
    weight, bias, running_mean, running_var = check_affine(
        name, input, (C,), weight=weight, bias=bias, running_mean=running_mean, running_var=running_var
    )
    check_running(name, running_mean, running_var, not use_input_stats, momentum, num_batches_tracked)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    inner = math.prod(space)
    if inner == 1:
        raise ValueError(f"{name}: got one value per channel and sample (shape {input.shape}), expected more")
    node = by_groups(name, input, C, check_eps(name, eps))
    y = node.run(input, weight=weight, bias=bias)
    track(node, running_mean, running_var, num_batches_tracked, momentum, (N, C, inner))
    return y


def by_groups(name, x, G, eps):
    """The node that normalises G groups of channels of every sample."""
    N, C, *space = x.shape
    inner, D = math.prod(space), C // max(G, 1)
    if inner == 1:
        return Rows(name, (N * G, D, G), N * G, C, eps)
    return Planes(name, (N * G, D, inner, D, 1, C), N * G, C, eps)


def track(node, running_mean, running_var, num_batches_tracked, momentum, sizes):
    """Move the running statistics towards those of the batch, in a call of `node`."""
    moved = [running_mean, running_var, num_batches_tracked]
    if any(tensor is not None for tensor in moved):
        for tensor in moved:
            if tensor is not None and state.recording is not None:
                state.recording.changes(tensor, node.name)
        rate = -1.0 if momentum is None else momentum
        node.call(K.track, moved, [node.stats], sizes, [rate], dtype=node.stats.dtype)


# What the arguments must be


def at_least_2d(name, input):
    """`input` as a tensor (N, C, ...)."""
    input = as_tensor(input)
    if input.ndim < 2:
        raise ValueError(f"{name}: input has shape {input.shape}, expected (N, C) or (N, C, ...)")
    return input


def check_affine(name, input, shape, **tensors):
    """The tensors, those that are not None checked against `shape` and the dtype of the input."""
    tensors = {key: None if tensor is None else as_tensor(tensor) for key, tensor in tensors.items()}
    for key, tensor in tensors.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(f"{name}: {key} has shape {tensor.shape}, expected {shape} for input of {input.shape}")
        if tensor.dtype != input.dtype:
            raise TypeError(f"{name}: input is {input.dtype}, but {key} is {tensor.dtype}; expected the same dtype")
    return tensors.values()


def check_running(name, mean, var, needed, momentum, batches):
    """ValueError if the running statistics are not both there, or the momentum makes no sense."""
    if (mean is None) != (var is None) or needed and mean is None:
        wanted = "both" if needed else "both or neither"
        raise ValueError(f"{name}: got only some of running_mean and running_var, expected {wanted}")
    if check_momentum(name, momentum) is None and mean is not None and not needed and batches is None:
        raise ValueError(f"{name}: momentum: got None without num_batches_tracked, which it needs")


def check_momentum(name, momentum):
    """`momentum`, if it is None or a finite number >= 0; else ValueError."""
    if momentum is not None and not (isinstance(momentum, (int, float)) and math.isfinite(momentum) and momentum >= 0):
        raise ValueError(f"{name}: momentum: got {momentum!r}, expected a finite number >= 0, or None")
    return momentum


def check_eps(name, eps):
    """`eps`, if it is a finite number >= 0; else ValueError."""
    if not (isinstance(eps, (int, float)) and math.isfinite(eps) and eps >= 0):
        raise ValueError(f"{name}: eps: got {eps!r}, expected a finite number >= 0")
    return eps


def shape_of(name, normalized_shape):
    """`normalized_shape` as a tuple of sizes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
    if not shape or not all(isinstance(size, (int, np.integer)) and size >= 0 for size in shape):
        raise ValueError(f"{name}: normalized_shape: got {normalized_shape!r}, expected sizes >= 0, at least one")
    return tuple(int(size) for size in shape)
