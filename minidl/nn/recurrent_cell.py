"""Recurrent cells: one step of RNN, LSTM or GRU."""

from minidl import functional as F
from minidl.engine import as_tensor
from minidl.nn.recurrence import GRURecurrence, LSTMRecurrence, Recurrence, TanhRecurrence


class _Cell(Recurrence):
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


class RNNCell(TanhRecurrence, _Cell):
    """One step of an `RNN`; parameters weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", dtype="float32"):
        super().__init__(input_size, hidden_size, bias, dtype)
        self._set_nonlinearity(nonlinearity)


class LSTMCell(LSTMRecurrence, _Cell):
    """One step of an `LSTM`; parameters weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(self, input_size, hidden_size, bias=True, dtype="float32"):
        super().__init__(input_size, hidden_size, bias, dtype)


class GRUCell(GRURecurrence, _Cell):
    """One step of a `GRU`; parameters weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(self, input_size, hidden_size, bias=True, dtype="float32"):
        super().__init__(input_size, hidden_size, bias, dtype)
