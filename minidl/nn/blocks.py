"""Blocks of convolutions that keep signals and gradients alive in deep models: residual and densely connected ones."""

from minidl import functional as F
from minidl.nn import init
from minidl.nn.containers import Sequential
from minidl.nn.convolution import Conv2d
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm2d
from minidl.nn.pooling import AvgPool2d


class ZeroPadShortcut(Module):
    """Every `stride`-th pixel, with channels of zeros behind: a shortcut without parameters (He et al. 2016, option A).

    Shapes
    ------
    input : (N, in_channels, H, W)
    output : (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(f"ZeroPadShortcut: out_channels: got {out_channels}, expected at least {in_channels}")
        self.extra, self.stride = out_channels - in_channels, stride

    def forward(self, input):
        return F.pad(input[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))


class BasicBlock(Module):
    """Two convolutions of 3x3 with a shortcut: y = relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)).

    The last normalisation starts with weight 0, so that the block starts as its shortcut (Goyal et al. 2017). Names are
    those of torchvision's `BasicBlock`.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution and the shortcut.
    norm : callable
        Makes a layer for a number of channels. Behind `BatchNorm2d`, the sum and the ReLU cost no pass of their own.
    projection : bool
        Whether a shortcut that changes the shape is a convolution of 1x1 with a normalisation (option B of the paper),
        or pads with zeros (option A).
    residual : bool
        False leaves the shortcut out: a plain net, to compare with.
    zero_init : bool
        Whether the last normalisation starts with weight 0.

    Shapes
    ------
    input : (N, in_channels, H, W)
    output : (N, out_channels, ceil(H / stride), ceil(W / stride))

    References
    ----------
    He et al., "Deep residual learning for image recognition", 2016. Goyal et al., "Accurate, large minibatch SGD:
    Training ImageNet in 1 hour", 2017.
    """

    def __init__(
        self, in_channels, out_channels, stride=1, norm=BatchNorm2d, *, projection=True, residual=True, zero_init=True
    ):
        super().__init__()
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = norm(out_channels)
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = norm(out_channels)
        self.residual, self.downsample = residual, None
        if residual and (stride, in_channels) != (1, out_channels):
            self.downsample = (
                Sequential(Conv2d(in_channels, out_channels, 1, stride, bias=False), norm(out_channels))
                if projection
                else ZeroPadShortcut(in_channels, out_channels, stride)
            )
        if residual and zero_init and getattr(self.bn2, "weight", None) is not None:
            init.zeros_(self.bn2.weight)

    def forward(self, input):
        shortcut = None
        if self.residual:
            shortcut = input if self.downsample is None else self.downsample(input)
        hidden = norm_relu(self.bn1, self.conv1(input))
        return norm_relu(self.bn2, self.conv2(hidden), shortcut)


def norm_relu(norm, input, residual=None):
    """relu(norm(input) + residual), in one pass where the layer can."""
    if type(norm) is BatchNorm2d:
        return norm(input, activation="relu", residual=residual)
    output = norm(input)
    return F.relu(output if residual is None else output + residual)


class DenseLayer(Module):
    """y = [x, conv(relu(norm(x)))]: the input, and behind it the `growth` channels of a 3x3 convolution of it.

    Shapes
    ------
    input : (N, in_channels, H, W)
    output : (N, in_channels + growth, H, W)
    """

    def __init__(self, in_channels, growth, norm=BatchNorm2d):
        super().__init__()
        self.norm = norm(in_channels)
        self.conv = Conv2d(in_channels, growth, 3, padding=1, bias=False)

    def forward(self, input):
        return F.cat([input, self.conv(norm_relu(self.norm, input))], dim=1)


class DenseBlock(Sequential):
    """Layers that each see the results of all before them (Huang et al., "Densely connected networks", 2017).

    Shapes
    ------
    input : (N, in_channels, H, W)
    output : (N, in_channels + layers * growth, H, W)
    """

    def __init__(self, in_channels, growth, layers, norm=BatchNorm2d):
        super().__init__(*(DenseLayer(in_channels + i * growth, growth, norm) for i in range(layers)))


class Transition(Module):
    """What lies between dense blocks: a convolution of 1x1, and means of 2x2 pixels.

    Shapes
    ------
    input : (N, in_channels, H, W)
    output : (N, out_channels, H // 2, W // 2)
    """

    def __init__(self, in_channels, out_channels, norm=BatchNorm2d):
        super().__init__()
        self.norm = norm(in_channels)
        self.conv = Conv2d(in_channels, out_channels, 1, bias=False)
        self.pool = AvgPool2d(2)

    def forward(self, input):
        return self.pool(self.conv(norm_relu(self.norm, input)))
