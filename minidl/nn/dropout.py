"""Dropout: noise in training, nothing in evaluation."""

from minidl import functional as F
from minidl.nn.module import Module


class Dropout(Module):
    """In training sets each number to 0 with probability `p` and divides the rest by 1 - p: Srivastava et al. (2014).

    Parameters
    ----------
    p : float
        0 <= p <= 1.
    inplace : bool
        Accepted for PyTorch's sake; the result is a new tensor.
    """

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p: got {p!r}, expected 0 <= p <= 1")
        self.p, self.inplace = p, inplace

    def forward(self, input):
        return F.dropout(input, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance, for `SELU`: Klambauer et al. (2017)."""

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training)


class Dropout1d(Dropout):
    """Dropout of whole channels of a (N, C, L) or (C, L) input."""

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training)


class Dropout2d(Dropout):
    """Dropout of whole channels of a (N, C, H, W) or (C, H, W) input: Tompson et al. (2015)."""

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training)
