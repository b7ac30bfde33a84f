"""Layers and the batch normalisation behind them as one layer, for networks that are no longer trained."""

import copy

import numpy as np

from minidl.nn.utils.parametrize import remove_parametrizations
from minidl.tensor import Parameter


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A convolution that does what `conv` and then `bn` do in evaluation.

    Parameters
    ----------
    conv : Conv1d, Conv2d, ConvTranspose1d or ConvTranspose2d
    bn : BatchNorm1d or BatchNorm2d
        With running statistics, over the output channels of `conv`.
    transpose : bool
        Accepted for PyTorch's sake; `conv` knows whether it is transposed.

    Returns
    -------
    module of the kind of `conv`, with a bias; shares no memory with it

    Raises
    ------
    ValueError
        If one of them is in training, `bn` has no running statistics, or the channels differ.
    """
    scale, shift = _affine("fuse_conv_bn_eval", conv, bn, conv.out_channels)
    weight = conv.weight.numpy()
    if conv.transposed:  # (in, out / groups, ...): the outputs of a group belong to its inputs
        groups = weight.reshape(conv.groups, conv.in_channels // conv.groups, *weight.shape[1:])
        weight = groups * scale.reshape(conv.groups, 1, -1, *[1] * (weight.ndim - 2))
    else:
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return _with(conv, weight, scale, shift)


def fuse_linear_bn_eval(linear, bn):
    """A `Linear` that does what `linear` and then `bn` do in evaluation; as `fuse_conv_bn_eval`."""
    scale, shift = _affine("fuse_linear_bn_eval", linear, bn, linear.out_features)
    return _with(linear, linear.weight.numpy() * scale[:, None], scale, shift)


def _affine(name, layer, bn, channels):
    """Scale and shift of `bn` in evaluation, in float64."""
    if layer.training or bn.training:
        raise ValueError(f"{name}: got modules in training; call eval() first")
    if bn.running_mean is None:
        raise ValueError(f"{name}: bn keeps no running statistics, expected track_running_stats=True")
    if bn.num_features != channels:
        raise ValueError(f"{name}: bn is over {bn.num_features} channels, expected {channels}")
    mean, var = (np.asarray(value, np.float64) for value in (bn.running_mean, bn.running_var))
    scale = 1 / np.sqrt(var + bn.eps)
    if bn.weight is not None:
        scale = scale * bn.weight.numpy()
    return scale, (0 if bn.bias is None else bn.bias.numpy()) - mean * scale


def _with(layer, weight, scale, shift):
    """A copy of `layer` with these weights, and a bias."""
    dtype = layer.weight.dtype
    bias = shift + (0 if layer.bias is None else layer.bias.numpy() * scale)
    fused = copy.deepcopy(layer)
    for name in list(fused._computed):
        remove_parametrizations(fused, name)
    trained = layer.weight.requires_grad
    fused.weight = Parameter(weight.reshape(layer.weight.shape).astype(dtype), requires_grad=trained)
    fused.bias = Parameter(bias.astype(dtype), requires_grad=trained)
    return fused
