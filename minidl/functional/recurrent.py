"""rnn, lstm, gru: the recurrence of one layer in one direction, over inputs already multiplied for all steps."""

import numpy as np

from minidl.engine import Node, as_tensor, memory
from minidl.functional import _backward as B
from minidl.functional.sequence import explain_lengths
from minidl.kernels import gemm
from minidl.kernels import recurrent as K
from minidl.kernels.elementwise import copy
from minidl.kernels.index import linear_index
from minidl.kernels.kernel import Kernel


class Recurrence(Node):
    """h_t = f(x_t, h_before) for every step t, forwards or backwards in time.

    Parameters
    ----------
    tensors : dict of str to Tensor
        The differentiable inputs: x, weight, and those of bias, peephole, h_0, c_0 that are there.
    reverse : bool
    tokens, lengths, norms, clip_grad
        As in `lstm`.
    """

    role, saturates = "recurrent", (-0.975, 0.975)  # as tanh
    gates: int  # per unit: products, and numbers to keep for the backward pass
    kept: int
    has_cells = has_share = False
    forward_kernel: Kernel
    kind: str

    def __init__(self, tensors, reverse=False, tokens=None, lengths=None, norms=None, clip_grad=None):
        super().__init__()
        given = {name: as_tensor(tensor) for name, tensor in tensors.items() if tensor is not None}
        self.names, self.tensors = list(given), list(given.values())
        self.tokens, self.lengths = (None if index is None else as_tensor(index) for index in (tokens, lengths))
        self.reverse, self.norms = reverse, norms
        self.bound = bound(self.name, clip_grad)
        check(self, given)

    def run(self):
        """The outputs: y, h_n, and c_n where there are cells."""
        tensors, self.tensors = self.tensors, []  # backward needs few of them
        return self.apply(*tensors)

    def forward(self, *inputs):
        given = dict(zip(self.names, inputs, strict=True))
        x, w = given["x"], given["weight"]
        (T, N), H = self.tokens.shape if self.tokens is not None else x.shape[:2], w.shape[1]
        states = memory.empty((T + 1, N, H), x.dtype)
        cells = memory.empty((T + 1, N, H), x.dtype) if self.has_cells else None
        gates = memory.empty((T, N, self.kept * H), x.dtype) if self.kept else None
        y = None if self.lengths is None else self.new((T, N, H))
        last = [self.new((N, H)) for _ in range(1 + self.has_cells)]
        optional = [given.get(name) for name in ("bias", "peephole", "h_0", "c_0")]
        if self.tokens is not None:  # a copy that nobody changes before backward
            tokens, self.tokens = self.tokens, memory.empty((T, N), np.int64)
            self.call(linear_index, [self.tokens], [tokens], [T * N, 1, False, x.shape[0], 1])
        self.call(
            self.forward_kernel,
            [y, *last, *[None] * (not self.has_cells), states, cells, gates],
            [x, self.packed(w, transposed=True), *optional, self.tokens, self.lengths],
            [T, N, H, self.reverse],
            dtype=x.dtype,
        )
        self.w, self.peephole = w.array, given["peephole"].array if "peephole" in given else None
        self.states, self.cells, self.kept_gates, self.sizes, self.rows = states, cells, gates, (T, N, H), x.shape[0]
        if y is None:
            y = self.wrap(states[:-1] if self.reverse else states[1:])
        return (y, *last)

    def packed(self, w, transposed):
        """The weight as the loops over time want it."""
        K, N = w.shape[::-1] if transposed else w.shape
        result = memory.empty(gemm.packed_size(N, K, w.dtype.itemsize), w.dtype)
        self.call(gemm.pack_once, [result], [w], [N, K, transposed])
        return result

    def backward(self, dy, *last):
        T, N, H = self.sizes
        width = self.gates * H
        dx = self.wanted("x")
        d = memory.empty((T, N, width), dy.dtype) if dx is None or self.tokens is not None else dx
        share = memory.empty((T, N, width), dy.dtype) if self.has_share else d
        first = []
        for name, gradient in zip(("h_0", "c_0"), last, strict=False):
            wanted = self.wanted(name)
            first.append(memory.empty((N, H), dy.dtype) if wanted is None else wanted)
            self.call(copy, [first[-1]], [gradient], [gradient.size])
        squares = memory.empty((T, N), np.float64)
        norms = memory.empty(2 + T, np.float64) if self.norms is None else self.norms[: 2 + T]
        lengths = np.full(N, T) if self.lengths is None else self.lengths
        cells_gradient = first[1] if self.has_cells else None
        self.call(
            B.recurrent.through_time,
            [d, share, first[0], cells_gradient, squares, norms],
            [dy, self.kept_gates, self.states, self.cells, self.packed(self.w, False), self.peephole, lengths],
            [T, N, H, self.reverse, getattr(B.recurrent, self.kind), self.gates, self.kept, self.peephole is not None],
            self.bound,
        )
        self.weight_gradients(share, d)
        if dx is not None and self.tokens is not None:
            self.call(B.index.take, [dx], [d, self.tokens], [1, self.rows, T * N, width])

    def explain_index(self, call):
        if call.kernel is self.forward_kernel:
            return explain_lengths(call.inputs[-1], call.sizes[0])
        (tokens,), rows = call.inputs, call.sizes[3]
        t, b = np.argwhere((tokens < 0) | (tokens >= rows))[0]
        return f"tokens[{t}, {b}] is {tokens[t, b]}, expected 0 <= token < {rows} (the rows of x)"

    def moment(self, call):
        """Where in time a call's NaN and Inf began, and in which row of the batch."""
        T, N, _, reverse = (*call.sizes, 0, 0, 0, 0)[:4]
        found = []
        for array in call.outputs:
            if array is not None and array.ndim == 3 and array.shape[:2] in ((T, N), (T + 1, N)):
                early = len(array) - T if not reverse else 0  # states begin with that before the first step
                steps, rows = np.nonzero(~np.isfinite(array).all(-1))
                found += [(max(int(t) - early, 0), int(row)) for t, row in zip(steps, rows, strict=True)]
        backwards = bool(reverse) != (call.phase == "backward")
        return min(found, key=lambda one: (-one[0] if backwards else one[0], one[1]), default=None)

    def weight_gradients(self, share, d):
        """Those of what every step has multiplied with."""
        T, N, H = self.sizes
        rows, width = T * N, self.gates * H
        dw, db, dp = (self.wanted(name) for name in ("weight", "bias", "peephole"))
        if dw is not None:
            before = self.states[1:] if self.reverse else self.states[:-1]
            self.call(gemm.matmul_tn, [dw], [share, before], [width, H, rows, 0, 1, 0, 0, 0])
        if db is not None:
            self.call(B.reduce.column_sum, [db], [share], [rows, width])
        if dp is not None:
            self.call(B.recurrent.peephole, [dp], [d, self.cells], [T, N, H, self.reverse])

    def wanted(self, name):
        """Where to write the gradient of an input; None if it is not there or nobody needs it."""
        return self.grad(self.names.index(name)) if name in self.names else None


class RNN(Recurrence):
    """h = tanh(x + h W^T);  da = dh (1 - h^2),  dh_before = da W,  dW = sum of da^T h_before.

    Parameters
    ----------
    norm_penalty : float64 ndarray of shape (1,), optional
        As in `rnn`.
    """

    gates, kept = 1, 0

    def __init__(self, tensors, norm_penalty=None, **options):
        super().__init__(tensors, **options)
        self.norm_penalty = norm_penalty

    def weight_gradients(self, share, d):
        super().weight_gradients(share, d)
        T, N, H = self.sizes
        if self.norm_penalty is None or not self.inputs[self.names.index("weight")].requires_grad:
            return
        rows, later = (T - 1) * N, d[:-1] if self.reverse else d[1:]
        carried = memory.empty((T - 1, N, H), d.dtype)
        self.call(gemm.matmul_nn, [carried], [later, self.w], [rows, H, H, 0, 1, 0, 0, 0])
        sizes = [rows, N, H, self.kind == "RNN_RELU"]
        self.call(B.recurrent.norm_penalty, [carried], [later, self.states[1:-1]], sizes, self.norm_penalty)
        self.call(gemm.matmul_tn, [self.wanted("weight")], [later, carried], [H, H, rows, 0, 1, 0, 0, 0])

    forward_kernel = K.rnn_tanh
    kind = "RNN_TANH"


class ReluRNN(RNN):
    """h = relu(x + h W^T);  da = dh where h > 0."""

    name, saturates = "rnn", Node.saturates
    forward_kernel = K.rnn_relu
    kind = "RNN_RELU"


class LSTM(Recurrence):
    """i, f, o = sigmoid, g = tanh of (x + h W^T)'s quarters;  c = f c_before + i g,  h = o tanh(c).

    With peepholes p (Gers & Schmidhuber 2000) i and f also see p c_before, and o sees p c.
    """

    gates, kept, has_cells = 4, 5, True
    forward_kernel = K.lstm
    kind = "LSTM"


class GRU(Recurrence):
    """r, z = sigmoid, n = tanh(x_n + r (h W_n^T + b_n));  h = (1 - z) n + z h_before."""

    gates, kept, has_share = 3, 4, True
    forward_kernel = K.gru
    kind = "GRU"


def check(node, given):
    """ValueError or TypeError for what does not fit together."""
    name, G = node.name, node.gates
    x, w = given["x"], given["weight"]
    if w.ndim != 2 or w.shape[0] != G * w.shape[1]:
        raise ValueError(f"{name}: weight has shape {w.shape}, expected ({G} * hidden_size, hidden_size)")
    H = w.shape[1]
    for key, index in (("tokens", node.tokens), ("lengths", node.lengths)):
        if index is not None and index.dtype != np.int64:
            raise TypeError(f"{name}: {key}: got dtype {index.dtype}, expected int64")
    if node.tokens is not None and node.tokens.ndim != 2:
        raise ValueError(f"{name}: tokens has shape {node.tokens.shape}, expected (T, B)")
    wanted = "(tokens, {})" if node.tokens is not None else "(T, B, {})"
    if x.ndim != (3 if node.tokens is None else 2) or x.shape[-1] != G * H:
        raise ValueError(f"{name}: x has shape {x.shape}, expected {wanted.format(G * H)}")
    T, N = x.shape[:2] if node.tokens is None else node.tokens.shape
    if not T:
        raise ValueError(f"{name}: got a sequence of 0 steps, expected at least one")
    shapes = {"bias": (G * H,), "peephole": (3, H), "h_0": (N, H), "c_0": (N, H)}
    for key, tensor in given.items():
        if tensor.shape != shapes.get(key, tensor.shape):
            raise ValueError(f"{name}: {key} has shape {tensor.shape}, expected {shapes[key]}")
        if tensor.dtype != x.dtype:
            raise TypeError(f"{name}: x is {x.dtype}, but {key} is {tensor.dtype}; expected the same dtype")
    if node.lengths is not None and node.lengths.shape != (N,):
        raise ValueError(f"{name}: lengths has shape {node.lengths.shape}, expected ({N},)")
    norms = node.norms
    if norms is not None and (norms.dtype != np.float64 or norms.ndim != 1 or norms.size < 2 + T):
        raise ValueError(f"{name}: norms: got {norms.dtype} {norms.shape}, expected float64 ({2 + T},) or longer")


def bound(name, clip_grad):
    """`clip_grad` as the kernel's scalars, Inf for None; ValueError unless it is > 0."""
    value = np.asarray(np.inf if clip_grad is None else clip_grad, np.float64).reshape(1)
    if not value[0] > 0:
        raise ValueError(f"{name}: clip_grad: got {value[0]:g}, expected None or a number > 0")
    return value


def rnn(x, weight, h_0=None, activation="tanh", norm_penalty=None, **options):
    """Simple recurrence h_t = f(x_t + h W^T): Elman (1990). See `lstm` for the parameters that it shares.

    Parameters
    ----------
    x : Tensor, shape (T, B, H)
    weight : Tensor, shape (H, H)
    activation : {"tanh", "relu"}
    norm_penalty : float or float64 ndarray of shape (1,), optional
        Weight of Pascanu et al. (2013)'s penalty on a signal that grows or shrinks on its way back: the sum over the
        steps, and mean over the batch, of (|dE/da_t+1 times da_t+1/da_t| / |dE/da_t+1| - 1)^2, where a is what goes
        into the activation. Only the gradient of `weight` sees it, the signal counting as a constant, as in the
        paper. An array is shared: its value may change between the replays of a recorded step.

    Returns
    -------
    y, h_n : Tensor, shapes (T, B, H) and (B, H)
    """
    if activation not in ("tanh", "relu"):
        raise ValueError(f"rnn: activation: got {activation!r}, expected 'tanh' or 'relu'")
    node = RNN if activation == "tanh" else ReluRNN
    if norm_penalty is not None:
        norm_penalty = np.asarray(norm_penalty, np.float64).reshape(1)
        if not 0 <= norm_penalty[0] < np.inf:
            raise ValueError(f"rnn: norm_penalty: got {norm_penalty[0]}, expected a finite number >= 0")
    return node({"x": x, "weight": weight, "h_0": h_0}, norm_penalty, **options).run()


def lstm(x, weight, h_0=None, c_0=None, peephole=None, **options):
    """Long short-term memory: Hochreiter & Schmidhuber (1997), with forget gates: Gers et al. (2000).

    Parameters
    ----------
    x : Tensor, shape (T, B, 4 H)
        Inputs times W_ih^T plus all biases, the gates in the order i, f, g, o.
    weight : Tensor, shape (4 H, H)
        W_hh.
    h_0, c_0 : Tensor, shape (B, H), optional
        State to start from; zeros by default.
    peephole : Tensor, shape (3, H), optional
        What the gates i, f and o see of the cells.
    reverse : bool
        Whether time runs from the last step to the first.
    tokens : int64 Tensor, shape (T, B), optional
        Then `x` is a table (tokens, 4 H) with a row per token, each 0 <= token < len(x).
    lengths : int64 Tensor, shape (B,), optional
        A sequence takes part in the steps t < length; behind them its outputs are zeros and its state stays.
    norms : float64 ndarray, shape (at least 2 + T,), optional
        The backward pass leaves here T, how many dE/dh_t were clipped, and the norm of dE/dh_t over the batch for every
        step t, before it is clipped.
    clip_grad : float or float64 ndarray of shape (1,), optional
        Bound > 0 on the gradient inside the loop: at every step, before dE/dh_t goes on to the gates and to earlier
        steps, it is scaled down to this norm, each sequence of the batch by itself. So a gradient cannot explode on
        its way through time, whatever the weights; what is clipped is no longer the gradient of the loss. dE/dc_t is
        left as it is: it comes from dE/dh_t and only shrinks on its own path, by the forget gate. NaN and Inf pass.
        Graves ("Generating sequences with recurrent neural networks", 2013) bounds each derivative at the gates'
        inputs instead, which changes directions, too. An array is shared: its value may change between the replays
        of a recorded step, and Inf means no bound.

    Returns
    -------
    y, h_n, c_n : Tensor, shapes (T, B, H), (B, H) and (B, H)

    Raises
    ------
    IndexError
        If a token or a length is out of range; names the first.
    """
    tensors = {"x": x, "weight": weight, "h_0": h_0, "c_0": c_0, "peephole": peephole}
    return LSTM(tensors, **options).run()


def gru(x, weight, bias=None, h_0=None, **options):
    """Gated recurrent unit: Cho et al. (2014), with the reset applied after the product, as in cuDNN and PyTorch.

    Parameters
    ----------
    x : Tensor, shape (T, B, 3 H)
        Inputs times W_ih^T plus b_ih, the gates in the order r, z, n.
    weight : Tensor, shape (3 H, H)
    bias : Tensor, shape (3 H,), optional
        b_hh.

    Returns
    -------
    y, h_n : Tensor, shapes (T, B, H) and (B, H)
    """
    return GRU({"x": x, "weight": weight, "bias": bias, "h_0": h_0}, **options).run()
