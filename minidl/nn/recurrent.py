"""Recurrent layers: RNN, LSTM, GRU."""

import warnings

import numpy as np

from minidl import engine
from minidl import functional as F
from minidl.engine import as_tensor, is_grad_enabled, memory, version
from minidl.functional.embedding import Embedding
from minidl.functional.recurrent import bound
from minidl.functional.sequence import zero_padding
from minidl.nn.recurrence import GRURecurrence, LSTMRecurrence, Recurrence, TanhRecurrence
from minidl.nn.utils.packed import PackedSequence
from minidl.nn.values import count
from minidl.tensor import Parameter, Tensor


class _Layers(Recurrence):
    """Layers of recurrences on top of each other, in one or both directions."""

    def __init__(
        self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, clip_grad, dtype
    ):
        super().__init__(input_size, hidden_size, bias, dtype)
        kind = type(self).__name__
        self.num_layers = count(kind, "num_layers", num_layers, low=1)
        if not 0 <= dropout <= 1:
            raise ValueError(f"{kind}: dropout: got {dropout!r}, expected 0 <= dropout <= 1")
        if dropout and num_layers == 1:
            warnings.warn(f"{kind}: dropout acts between layers, but num_layers is 1", stacklevel=3)
        self.dropout, self.batch_first, self.bidirectional = dropout, bool(batch_first), bool(bidirectional)
        for layer, suffix in self._suffixes():
            width = self.hidden_size * (1 + self.bidirectional)
            self._add_weights(suffix, self.input_size if layer == 0 else width)
        self._norms = {suffix: memory.zeros(2, np.float64) for _, suffix in self._suffixes()}
        self._bound = memory.zeros(1, np.float64)  # what the recordings of all layers and directions read
        self.clip_grad = clip_grad
        self.reset_parameters()

    def _suffixes(self):
        """(layer, suffix of the parameters' names) in the order of the states."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        return [(layer, f"_l{layer}{direction}") for layer in range(self.num_layers) for direction in directions]

    @property
    def clip_grad(self):
        """Bound on the gradient at every step, or None; recorded steps read it anew at every replay."""
        return None if np.isinf(self._bound[0]) else float(self._bound[0])

    @clip_grad.setter
    def clip_grad(self, value):
        self._bound[...] = bound(type(self).__name__, value)

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
        B = (x if tokens is None else tokens).shape[1]
        states = self._check_state(hx, (len(self._suffixes()), B, self.hidden_size))
        output, states = self._run(x, states, tokens, lengths)
        return F.transpose(output, 0, 1) if self.batch_first else output, self._as_hx(states)

    def _run(self, x, states, tokens=None, lengths=None):
        """Time first, from checked states to a list of them; the tokens are those of a table x."""
        T, B = (x if tokens is None else tokens).shape[:2]
        suffixes, H = self._suffixes(), self.hidden_size
        norms = self._room_for_norms(T) if is_grad_enabled() else {}
        last, outputs = [], []
        for i, (layer, suffix) in enumerate(suffixes):
            state = [F.reshape(s, (B, H)) if len(suffixes) == 1 else F.getitem(s, i) for s in states]
            options = {"reverse": suffix.endswith("_reverse"), "tokens": tokens, "lengths": lengths}
            options.update(norms=norms.get(suffix), clip_grad=self._bound)
            y, *final = self._recur(x, suffix, state, options)
            outputs.append(y)
            last.append(final)
            if len(outputs) == 1 + self.bidirectional:
                x, tokens = F.cat(outputs, -1) if self.bidirectional else y, None
                outputs = []
                if self.dropout and layer < self.num_layers - 1:
                    x = F.dropout(x, self.dropout, self.training)
        stacked = [F.reshape(s[0], (1, B, H)) if len(s) == 1 else F.stack(s) for s in zip(*last, strict=True)]
        return x, stacked

    def _run_single(self, x, hx, lengths):
        """One sequence, without a batch."""
        if lengths is not None:
            raise ValueError(f"lengths: got some for one sequence, input of shape {x.shape}; expected a batch")
        states = self._check_state(hx, (len(self._suffixes()), self.hidden_size))
        output, states = self._run(F.unsqueeze(x, 1), [F.unsqueeze(s, 1) for s in states])
        return F.squeeze(output, 1), self._as_hx([F.squeeze(s, 1) for s in states])

    def _run_packed(self, packed, hx, lengths):
        """The sequences of a packed batch, whose states are in the order that they had before packing."""
        if lengths is not None:
            raise ValueError("lengths: a PackedSequence has its own")
        x = packed.padded()
        self._check_input(x, (3,))
        order, inverse = packed.sorted_indices, packed.unsorted_indices
        states = self._check_state(hx, (len(self._suffixes()), x.shape[1], self.hidden_size))
        if order is not None:
            states = [F.index_select(s, 1, order) for s in states]
        output, states = self._run(x, states, lengths=packed.lengths())
        if inverse is not None:
            states = [F.index_select(s, 1, inverse) for s in states]
        return packed.repack(output), self._as_hx(states)

    def _room_for_norms(self, T):
        """Where backward passes leave the norms of their steps; it only grows, so that all recordings share it."""
        size = min(map(len, self._norms.values()))
        if size < 2 + T:
            more = np.zeros(2 + 2 * T - size)
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
            For each layer and direction, by the suffix of its parameters: ``l0``, ``l0_reverse``, ... With
            `clip_grad`, before clipping.
        """
        return {suffix[1:]: norms[2 : 2 + int(norms[0])].copy() for suffix, norms in self._norms.items()}

    def clipped_steps(self):
        """How many of the (step, sequence) pairs of the last backward pass `clip_grad` has scaled down.

        Returns
        -------
        dict of str to int
            For each layer and direction, as in `gradient_norms`; of at most T times B, fewer with lengths.
        """
        return {suffix[1:]: int(norms[1]) for suffix, norms in self._norms.items()}

    def extra_repr(self):
        defaults: dict[str, object] = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        defaults |= {"bidirectional": False, "clip_grad": None}
        changed = [f"{k}={getattr(self, k)}" for k, v in defaults.items() if getattr(self, k) != v]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])


class RNN(TanhRecurrence, _Layers):
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
        clip_grad=None,
        dtype="float32",
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, clip_grad, dtype
        )
        self.norm_penalty = norm_penalty
        self._set_nonlinearity(nonlinearity)


class LSTM(LSTMRecurrence, _Layers):
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
    clip_grad : float, optional
        Bound > 0 on the norm of dE/dh_t: at every step on the way back through time, each sequence's is scaled down to
        it, see `functional.lstm`. An attribute, too, which may change between the replays of a recorded step.

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
        clip_grad=None,
        dtype="float32",
    ):
        if proj_size:
            raise ValueError(f"LSTM: proj_size: got {proj_size!r}, expected 0; projections are not supported")
        self.peephole = bool(peephole)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, clip_grad, dtype
        )

    def _add_weights(self, suffix, inputs):
        super()._add_weights(suffix, inputs)
        if self.peephole:
            peephole = Parameter(memory.zeros((3, self.hidden_size), self._dtype))
            setattr(self, f"weight_peephole{suffix}", peephole)

    def extra_repr(self):
        return super().extra_repr() + (", peephole=True" if self.peephole else "")


class GRU(GRURecurrence, _Layers):
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
        clip_grad=None,
        dtype="float32",
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, clip_grad, dtype
        )


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
