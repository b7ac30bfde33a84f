"""Small models that are known from the literature, ready to train."""

import itertools

from minidl import nn
from minidl.nn import BasicBlock, DenseBlock, Transition


def mlp(widths):
    """Fully connected layers with ReLU between them.

    Parameters
    ----------
    widths : sequence of int
        Features of the input, of each hidden layer, of the output.

    Shapes
    ------
    input : (N, ...), widths[0] numbers per row
    output : (N, widths[-1])
    """
    if len(widths) < 2:
        raise ValueError(f"mlp: widths: got {widths}, expected at least those of the input and the output")
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def small_cnn(channels=1, classes=10):
    """One convolution of 32 3x3 kernels, the mean over the image, and two linear layers: 3,082 parameters.

    Shapes
    ------
    input : (N, channels, H, W), H and W at least 3
    output : (N, classes)
    """
    return nn.Sequential(
        {
            "conv": nn.Conv2d(channels, 32, 3),
            "relu1": nn.ReLU(),
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(32, 64),
            "relu2": nn.ReLU(),
            "fc2": nn.Linear(64, classes),
        }
    )


def lenet5(channels=1, size=28, classes=10):
    """LeNet-5 with max pooling and ReLU: 61,706 parameters for one channel and ten classes.

    LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Parameters
    ----------
    channels : int
    size : int or (int, int)
        Height and width of the images, at least 12; 28 becomes 32 by padding, as in the paper.
    classes : int

    Shapes
    ------
    input : (N, channels, *size)
    output : (N, classes)
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 12:
        raise ValueError(f"lenet5: size: got {size}, expected at least 12")
    features = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(channels, 6, 5, padding=2),
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(6, 16, 5),
            "relu2": nn.ReLU(),
            "pool2": nn.MaxPool2d(2),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(features, 120),
            "relu3": nn.ReLU(),
            "fc2": nn.Linear(120, 84),
            "relu4": nn.ReLU(),
            "fc3": nn.Linear(84, classes),
        }
    )


def resnet(depth, channels=3, classes=10, width=16, *, residual=True, projection=True):
    """The residual networks for small images of He et al. (2016): three stages of `BasicBlock`.

    With shortcuts padded by zeros (``projection=False``), as in the paper, depth 20 has 269,722 parameters, depth 32
    464,154 and depth 56 853,018; the two projections add 2,752. Names are those of torchvision's ResNet.

    Parameters
    ----------
    depth : int
        Layers with weights on the longest path: 8, 14, 20, ...: 6 n + 2 for n blocks per stage.
    channels, classes : int
    width : int
        Channels of the first stage; the others have two and four times as many, and half and a quarter of the height.
    residual : bool
        False gives the plain network of the same depth.
    projection : bool
        Whether shortcuts between stages are convolutions of 1x1, or pad with zeros.

    Shapes
    ------
    input : (N, channels, H, W)
    output : (N, classes)

    References
    ----------
    He et al., "Deep residual learning for image recognition", 2016, section 4.2.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"resnet: depth: got {depth}, expected 6 n + 2: 8, 14, 20, 26, 32, ...")
    stages: dict[str, nn.Module] = {}
    before = width
    for i in range(3):
        after = width * 2**i
        shapes = [(before, after, 1 if i == 0 else 2)] + [(after, after, 1)] * (blocks - 1)
        stages[f"layer{i + 1}"] = nn.Sequential(
            *(BasicBlock(*shape, residual=residual, projection=projection) for shape in shapes)
        )
        before = after
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(channels, width, 3, padding=1, bias=False),
            "bn1": nn.BatchNorm2d(width),
            "relu": nn.ReLU(),
            **stages,
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(before, classes),
        }
    )


def densenet(growth=12, layers=(6, 6, 6), channels=3, classes=10, compression=0.5):
    """A small DenseNet: dense blocks with transitions between them; 161,002 parameters as it is.

    ``densenet(12, (12, 12, 12), compression=1)`` is DenseNet-40 of the paper, with 1.02 million.

    Parameters
    ----------
    growth : int
        Channels that each layer adds.
    layers : sequence of int
        Layers of each block.
    channels, classes : int
    compression : float
        Share of the channels that a transition keeps.

    Shapes
    ------
    input : (N, channels, H, W), H and W at least 2 ** (len(layers) - 1)
    output : (N, classes)

    References
    ----------
    Huang et al., "Densely connected convolutional networks", 2017.
    """
    if not layers or min(layers) < 1 or growth < 1 or not 0 < compression <= 1:
        raise ValueError(
            f"densenet: got growth {growth}, layers {layers}, compression {compression}, "
            "expected positive numbers and a compression of at most 1"
        )
    width = 2 * growth if compression < 1 else 16  # as in the paper
    stages: dict[str, nn.Module] = {"conv": nn.Conv2d(channels, width, 3, padding=1, bias=False)}
    for i, count in enumerate(layers, 1):
        stages[f"block{i}"] = DenseBlock(width, growth, count)
        width += count * growth
        if i < len(layers):
            stages[f"transition{i}"] = Transition(width, int(width * compression))
            width = int(width * compression)
    return nn.Sequential(
        {
            **stages,
            "norm": nn.BatchNorm2d(width),
            "relu": nn.ReLU(),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(width, classes),
        }
    )


class CharLM(nn.Module):
    """A recurrent language model: an embedding, recurrent layers, and a score for every token that may come next.

    Made by `char_lm`. In evaluation and training alike the state is the caller's to carry on.

    Shapes
    ------
    tokens : (T, B), int64
    state : that of the recurrent layers: (layers, B, hidden), a pair of them for LSTM
    output : (T, B, vocabulary_size), and the state behind the last step
    """

    def __init__(self, embedding, rnn, dropout, fc):
        super().__init__()
        self.embedding, self.rnn, self.dropout, self.fc = embedding, rnn, dropout, fc

    def forward(self, tokens, state=None):
        output, state = self.rnn(self.embedding(tokens), state)
        return self.fc(self.dropout(output)), state


def char_lm(vocabulary_size, hidden=128, layers=1, embedding=None, dropout=0.0, cell="lstm"):
    """A model that reads a text and predicts its next character.

    Mikolov et al., "Recurrent neural network based language model", 2010; with dropout where Zaremba et al.,
    "Recurrent neural network regularization", 2014, have it: behind every layer, never between steps.

    Parameters
    ----------
    vocabulary_size : int
        How many characters there are.
    hidden : int
        Size of the state of each layer.
    layers : int
    embedding : int, optional
        Size of the vectors that stand for characters; by default `hidden`.
    dropout : float
    cell : {"lstm", "gru", "rnn"}

    Returns
    -------
    CharLM
    """
    cells = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
    if cell not in cells:
        raise ValueError(f"char_lm: cell: got {cell!r}, expected 'lstm', 'gru' or 'rnn'")
    embedding = hidden if embedding is None else embedding
    between = dropout if layers > 1 else 0.0
    return CharLM(
        nn.Embedding(vocabulary_size, embedding),
        cells[cell](embedding, hidden, layers, dropout=between),
        nn.Dropout(dropout),
        nn.Linear(hidden, vocabulary_size),
    )
