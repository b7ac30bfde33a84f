"""Recurrent layers and cells: RNN, LSTM, GRU."""

import warnings

import numpy as np

from minidl import engine
from minidl import functional as F
from minidl.engine import as_tensor, is_grad_enabled, memory, version
from minidl.functional.embedding import Embedding
from minidl.functional.sequence import zero_padding
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.utils.packed import PackedSequence
from minidl.nn.values import float_dtype
from minidl.tensor import Parameter, Tensor


class _Recurrence(Module):
    """What layers and cells share: weights with PyTorch's names, and one run through time with them.

    Input weights start from Xavier's uniform distribution and recurrent ones orthogonal, gate by gate (Glorot & Bengio
    2010; Saxe et al. 2014); biases from 0, the forget gate's from 1 (Jozefowicz et al. 2015).
    """

    gates: int
    states: tuple[str, ...] = ("h_0",)
    forget: int | None = None  # the gate whose bias starts from 1

    def __init__(self, input_size, hidden_size, bias, dtype):
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(size, (int, np.integer)) or size < 1:
                raise ValueError(f"{type(self).__name__}: {name}: got {size!r}, expected an integer >= 1")
        self.input_size, self.hidden_size, self.bias = int(input_size), int(hidden_size), bool(bias)
        self._dtype = float_dtype(type(self).__name__, dtype)

    def _add_weights(self, suffix, inputs):
        """Parameters of one direction of one layer."""
        rows, H = self.gates * self.hidden_size, self.hidden_size
        shapes: dict[str, tuple] = {"weight_ih": (rows, inputs), "weight_hh": (rows, H)}
        if self.bias:
            shapes.update(bias_ih=(rows,), bias_hh=(rows,))
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(memory.empty(shape, self._dtype)))

    def reset_parameters(self):
        """Draw new initial values."""
        H = self.hidden_size
        for name, parameter in self.named_parameters():
            if not name.startswith(("weight_ih", "weight_hh")):
                init.zeros_(parameter)
                if self.forget is not None and name.startswith("bias_ih"):
                    parameter.array[self.forget * H :][:H] = 1
                continue
            draw = init.xavier_uniform_ if name.startswith("weight_ih") else init.orthogonal_
            for gate in range(self.gates):
                draw(Tensor(parameter.array[gate * H :][:H]))

    def reset_parameters_torch(self):
        """Draw PyTorch's initial values: all uniform within 1 / sqrt(hidden_size)."""
        for parameter in self.parameters():
            init.torch_uniform_(parameter, self.hidden_size)

    def _weight(self, name, suffix):
        return getattr(self, name + suffix, None)

    def _gates(self, x, suffix, merge):
        """The inputs' share of the gates, all steps in one product; with both biases if they may be merged."""
        bias = self._weight("bias_ih", suffix)
        if merge and bias is not None:
            bias = bias + self._weight("bias_hh", suffix)
        return F.linear(x, self._weight("weight_ih", suffix), bias)

    def _recur(self, x, suffix, state, options):
        """The outputs and the last state: y, h_n, ..."""
        raise NotImplementedError

    def _check_input(self, x, dims):
        if x.ndim not in dims or x.shape[-1] != self.input_size:
            wanted = " or ".join(f"{d}" for d in dims)
            raise ValueError(f"input has shape {x.shape}, expected {wanted} dimensions, the last {self.input_size}")

    def _check_state(self, hx, shape):
        """The state as a tuple of tensors of that shape; () for None."""
        if hx is None:
            return ()
        several = isinstance(hx, (tuple, list))
        if several != (len(self.states) > 1) or several and len(hx) != len(self.states):
            got = f"a {type(hx).__name__}" + (f" of {len(hx)}" if several else "")
            raise TypeError(f"hx: got {got}, expected {self._as_hx(self.states)}")
        hx = tuple(as_tensor(state) for state in (hx if several else (hx,)))
        for name, state in zip(self.states, hx, strict=True):
            if state.shape != shape:
                raise ValueError(f"{name} has shape {state.shape}, expected {shape}")
        return hx

    def _as_hx(self, states):
        """A state as users know it."""
        return tuple(states) if len(self.states) > 1 else states[0]


class _Layers(_Recurrence):
    """Layers of recurrences on top of each other, in one or both directions."""

    def __init__(self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype):
        super().__init__(input_size, hidden_size, bias, dtype)
        kind = type(self).__name__
        if not isinstance(num_layers, (int, np.integer)) or num_layers < 1:
            raise ValueError(f"{kind}: num_layers: got {num_layers!r}, expected an integer >= 1")
        if not 0 <= dropout <= 1:
            raise ValueError(f"{kind}: dropout: got {dropout!r}, expected 0 <= dropout <= 1")
        if dropout and num_layers == 1:
            warnings.warn(f"{kind}: dropout acts between layers, but num_layers is 1", stacklevel=3)
        self.num_layers, self.dropout = int(num_layers), dropout
        self.batch_first, self.bidirectional = bool(batch_first), bool(bidirectional)
        for layer, suffix in self._suffixes():
            width = self.hidden_size * (1 + self.bidirectional)
            self._add_weights(suffix, self.input_size if layer == 0 else width)
        self._norms = {suffix: memory.zeros(1, np.float64) for _, suffix in self._suffixes()}
        self.reset_parameters()

    def _suffixes(self):
        """(layer, suffix of the parameters' names) in the order of the states."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        return [(layer, f"_l{layer}{direction}") for layer in range(self.num_layers) for direction in directions]

    def forward(self, input, hx=None, lengths=None):
        """Run over whole sequences.

        Parameters
        ----------
        input : Tensor, shape (T, B, input_size), or (B, T, input_size) with `batch_first`; or (T, input_size)
            Or a `PackedSequence`; then the output is one, too.
        hx : Tensor, shape (layers * directions, B, hidden_size), optional
            State to start from, zeros by default; for LSTM a pair (h_0, c_0). Without a batch the B is left out.
        lengths : int64 Tensor, shape (B,), optional
            1 <= length <= T. What stands behind the end of a sequence counts for nothing, the outputs there are 0, and
            the last state is that at its end. Recorded steps read the lengths anew at every replay.

        Returns
        -------
        output : Tensor, shape (T, B, directions * hidden_size), or (B, T, ...) with `batch_first`
        hx : like the argument
            The state behind the last step; detach it to carry it to the next part of a long sequence.
        """
        if isinstance(input, PackedSequence):
            return self._run_packed(input, hx, lengths)
        x = as_tensor(input)
        self._check_input(x, (3, 2))
        if x.ndim == 2:
            return self._run_single(x, hx, lengths)
        x, tokens = looked_up(x)
        if tokens is not None:
            tokens = F.transpose(tokens, 0, 1) if self.batch_first else tokens
        elif self.batch_first:
            x = F.transpose(x, 0, 1)
        if lengths is not None:
            lengths = as_tensor(lengths)
            x = x if tokens is not None else zero_padding(x, lengths)
        output, state = self._run(x, hx, tokens, lengths)
        return F.transpose(output, 0, 1) if self.batch_first else output, state

    def _run(self, x, hx, tokens, lengths):
        """Time first; the tokens are those of a table x."""
        T, B = x.shape[:2] if tokens is None else tokens.shape
        suffixes, H = self._suffixes(), self.hidden_size
        hx = self._check_state(hx, (len(suffixes), B, H))
        norms = self._room_for_norms(T) if is_grad_enabled() else {}
        last, outputs = [], []
        for i, (layer, suffix) in enumerate(suffixes):
            state = [F.reshape(s, (B, H)) if len(suffixes) == 1 else F.getitem(s, i) for s in hx]
            options = {"reverse": suffix.endswith("_reverse"), "tokens": tokens, "lengths": lengths}
            options["norms"] = norms.get(suffix)
            y, *final = self._recur(x, suffix, state, options)
            outputs.append(y)
            last.append(final)
            if len(outputs) == 1 + self.bidirectional:
                x, tokens = F.cat(outputs, -1) if self.bidirectional else y, None
                outputs = []
                if self.dropout and layer < self.num_layers - 1:
                    x = F.dropout(x, self.dropout, self.training)
        stacked = [F.reshape(s[0], (1, B, H)) if len(s) == 1 else F.stack(s) for s in zip(*last, strict=True)]
        return x, self._as_hx(stacked)

    def _run_single(self, x, hx, lengths):
        """One sequence, without a batch."""
        if lengths is not None:
            raise ValueError(f"lengths: got some for one sequence, input of shape {x.shape}; expected a batch")
        hx = self._check_state(hx, (len(self._suffixes()), self.hidden_size))
        batched = self._as_hx([F.unsqueeze(s, 1) for s in hx]) if hx else None
        output, state = self._run(F.unsqueeze(x, 1), batched, None, None)
        state = state if isinstance(state, tuple) else (state,)
        return F.squeeze(output, 1), self._as_hx([F.squeeze(s, 1) for s in state])

    def _run_packed(self, packed, hx, lengths):
        """The sequences of a packed batch, whose states are in the order that they had before packing."""
        if lengths is not None:
            raise ValueError("lengths: a PackedSequence has its own")
        x = packed.padded()
        self._check_input(x, (3,))
        order, inverse = packed.sorted_indices, packed.unsorted_indices
        hx = self._check_state(hx, (len(self._suffixes()), x.shape[1], self.hidden_size))
        if order is not None:
            hx = [F.index_select(s, 1, order) for s in hx]
        output, state = self._run(x, self._as_hx(hx) if hx else None, None, packed.lengths())
        if inverse is not None:
            state = state if isinstance(state, tuple) else (state,)
            state = self._as_hx([F.index_select(s, 1, inverse) for s in state])
        return packed.repack(output), state

    def _room_for_norms(self, T):
        """Where backward passes leave the norms of their steps; it only grows, so that all recordings share it."""
        size = min(map(len, self._norms.values()))
        if size < 1 + T:
            more = np.zeros(1 + 2 * T - size)
            self._norms = {suffix: memory.copy(np.append(norms, more)) for suffix, norms in self._norms.items()}
            version.count += 1  # recordings of shorter sequences still write to the old ones
        if engine.state.recording is not None:
            engine.state.recording.rely_on(self, "_norms")
        return self._norms

    def gradient_norms(self):
        """Norms of dE/dh_t over the batch for every step t of the last backward pass, at no extra pass.

        Returns
        -------
        dict of str to float64 ndarray, shape (T,)
            For each layer and direction, by the suffix of its parameters: ``l0``, ``l0_reverse``, ...
        """
        return {suffix[1:]: norms[1 : 1 + int(norms[0])].copy() for suffix, norms in self._norms.items()}

    def extra_repr(self):
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        changed = [f"{k}={getattr(self, k)}" for k, v in defaults.items() if getattr(self, k) != v]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])


class _Cell(_Recurrence):
    """One step of a recurrence."""

    def __init__(self, input_size, hidden_size, bias, dtype):
        super().__init__(input_size, hidden_size, bias, dtype)
        self._add_weights("", self.input_size)
        self.reset_parameters()

    def forward(self, input, hx=None):
        """Make one step.

        Parameters
        ----------
        input : Tensor, shape (B, input_size) or (input_size,)
        hx : Tensor, shape (B, hidden_size) or (hidden_size,), optional
            State to start from, zeros by default; for LSTMCell a pair (h_0, c_0).

        Returns
        -------
        The next state, like `hx`.
        """
        x = as_tensor(input)
        self._check_input(x, (2, 1))
        hx = self._check_state(hx, (*x.shape[:-1], self.hidden_size))
        B = len(x) if x.ndim == 2 else 1
        state = [F.reshape(s, (B, self.hidden_size)) for s in hx]
        _, *last = self._recur(F.reshape(x, (1, B, self.input_size)), "", state, {})
        return self._as_hx([F.reshape(s, (*x.shape[:-1], self.hidden_size)) for s in last])

    def extra_repr(self):
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class _Tanh(_Recurrence):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu."""

    gates = 1

    norm_penalty = None

    def _set_nonlinearity(self, nonlinearity):
        if nonlinearity not in ("tanh", "relu"):
            kind = type(self).__name__
            raise ValueError(f"{kind}: nonlinearity: got {nonlinearity!r}, expected 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity

    def _recur(self, x, suffix, state, options):
        gates = self._gates(x, suffix, merge=True)
        options = {"activation": self.nonlinearity, "norm_penalty": self.norm_penalty, **options}
        return F.rnn(gates, self._weight("weight_hh", suffix), *state, **options)

    def extra_repr(self):
        return super().extra_repr() + (", nonlinearity=relu" if self.nonlinearity == "relu" else "")


class _LSTM(_Recurrence):
    """i, f, o = sigmoid, g = tanh of the quarters of W_ih x + b_ih + W_hh h + b_hh;  c = f c + i g, h = o tanh(c)."""

    gates, states, forget = 4, ("h_0", "c_0"), 1
    peephole = False

    def _recur(self, x, suffix, state, options):
        gates, weight = self._gates(x, suffix, merge=True), self._weight("weight_hh", suffix)
        options = {"peephole": self._weight("weight_peephole", suffix), **options}
        return F.lstm(gates, weight, *state, **options)


class _GRU(_Recurrence):
    """r, z = sigmoid, n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h = (1 - z) n + z h."""

    gates = 3

    def _recur(self, x, suffix, state, options):
        gates, weight = self._gates(x, suffix, merge=False), self._weight("weight_hh", suffix)
        return F.gru(gates, weight, self._weight("bias_hh", suffix), *state, **options)


class RNN(_Tanh, _Layers):
    """Simple recurrent layers: Elman (1990). See `LSTM` for the parameters that they share.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}
    norm_penalty : float, optional
        Weight of a penalty on gradients that grow or shrink on their way back through time: Pascanu et al. (2013).
        It is added to the gradient of ``weight_hh``, see `functional.rnn`.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        norm_penalty=None,
        dtype="float32",
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)
        self.norm_penalty = norm_penalty
        self._set_nonlinearity(nonlinearity)


class LSTM(_LSTM, _Layers):
    """Long short-term memory: Hochreiter & Schmidhuber (1997), with forget gates: Gers et al. (2000).

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input and of the state.
    num_layers : int
        Layers on top of each other.
    bias : bool
    batch_first : bool
        Whether input and output are (B, T, features) instead of (T, B, features); states never are.
    dropout : float
        Of the outputs of every layer but the last.
    bidirectional : bool
        Whether every layer also runs from the last step to the first.
    proj_size : int
        Projections are not supported: only 0.
    peephole : bool
        Whether the gates see the cells: Gers & Schmidhuber (2000). Adds ``weight_peephole_l0`` (3, H): i, f, o.

    Shapes
    ------
    weight_ih_l0 : (4 H, input_size), gates in the order i, f, g, o
    weight_hh_l0 : (4 H, H)
    bias_ih_l0, bias_hh_l0 : (4 H,)

    Names end in ``_l1`` and so on for further layers, and in ``_reverse`` for the other direction.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        peephole=False,
        dtype="float32",
    ):
        if proj_size:
            raise ValueError(f"LSTM: proj_size: got {proj_size!r}, expected 0; projections are not supported")
        self.peephole = bool(peephole)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)

    def _add_weights(self, suffix, inputs):
        super()._add_weights(suffix, inputs)
        if self.peephole:
            peephole = Parameter(memory.zeros((3, self.hidden_size), self._dtype))
            setattr(self, f"weight_peephole{suffix}", peephole)

    def extra_repr(self):
        return super().extra_repr() + (", peephole=True" if self.peephole else "")


class GRU(_GRU, _Layers):
    """Gated recurrent units: Cho et al. (2014); the reset is applied after the product. See `LSTM` for the parameters.

    Shapes
    ------
    weight_ih_l0 : (3 H, input_size), gates in the order r, z, n
    weight_hh_l0 : (3 H, H)
    bias_ih_l0, bias_hh_l0 : (3 H,)
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        dtype="float32",
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)


class RNNCell(_Tanh, _Cell):
    """One step of an `RNN`; parameters weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", dtype="float32"):
        super().__init__(input_size, hidden_size, bias, dtype)
        self._set_nonlinearity(nonlinearity)


class LSTMCell(_LSTM, _Cell):
    """One step of an `LSTM`; parameters weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(self, input_size, hidden_size, bias=True, dtype="float32"):
        super().__init__(input_size, hidden_size, bias, dtype)


class GRUCell(_GRU, _Cell):
    """One step of a `GRU`; parameters weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(self, input_size, hidden_size, bias=True, dtype="float32"):
        super().__init__(input_size, hidden_size, bias, dtype)


def looked_up(x):
    """The table and the tokens (T, B) of an embedding x that has more rows than its table; else x and None.

    A table times a matrix is cheaper than its copies times the matrix: that is most of the input product of a model
    of characters.
    """
    node = x.node
    if isinstance(node, Embedding) and not node.freed and node.padding_idx is None:
        table = node.inputs[0]
        if isinstance(table, Tensor) and len(table) < node.index.array.size:
            return table, node.index
    return x, None
