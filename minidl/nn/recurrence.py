"""What recurrent layers and cells share: weights, initial values, and one run of each kind of recurrence."""

from minidl import functional as F
from minidl.engine import as_tensor, memory
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.values import count, float_dtype
from minidl.tensor import Parameter, Tensor


class Recurrence(Module):
    """What layers and cells share: weights with PyTorch's names, and one run through time with them.

    Input weights start from Xavier's uniform distribution and recurrent ones orthogonal, gate by gate (Glorot & Bengio
    2010; Saxe et al. 2014); biases from 0, the forget gate's from 1 (Jozefowicz et al. 2015).
    """

    gates: int
    states: tuple[str, ...] = ("h_0",)
    forget: int | None = None  # the gate whose bias starts from 1

    def __init__(self, input_size, hidden_size, bias, dtype):
        super().__init__()
        kind = type(self).__name__
        self.input_size = count(kind, "input_size", input_size, low=1)
        self.hidden_size = count(kind, "hidden_size", hidden_size, low=1)
        self.bias, self._dtype = bool(bias), float_dtype(kind, dtype)

    def _add_weights(self, suffix, inputs):
        """Parameters of one direction of one layer."""
        rows, H = self.gates * self.hidden_size, self.hidden_size
        shapes: dict[str, tuple] = {"weight_ih": (rows, inputs), "weight_hh": (rows, H)}
        if self.bias:
            shapes.update(bias_ih=(rows,), bias_hh=(rows,))
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(memory.empty(shape, self._dtype)))

    def reset_parameters(self):
        """Draw new initial values, for all but what parametrized weights are computed from."""
        H = self.hidden_size
        for name, parameter in self.named_parameters(recurse=False):
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
        for parameter in self.parameters(recurse=False):
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
                hint = "; lengths are given as lengths=" if state.dtype.kind == "i" else ""
                raise ValueError(f"{name} has shape {state.shape}, expected {shape}{hint}")
        return hx

    def _as_hx(self, states):
        """A state as users know it."""
        return tuple(states) if len(self.states) > 1 else states[0]


class TanhRecurrence(Recurrence):
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


class LSTMRecurrence(Recurrence):
    """i, f, o = sigmoid, g = tanh of the quarters of W_ih x + b_ih + W_hh h + b_hh;  c = f c + i g, h = o tanh(c)."""

    gates, states, forget = 4, ("h_0", "c_0"), 1

    def _recur(self, x, suffix, state, options):
        gates, weight = self._gates(x, suffix, merge=True), self._weight("weight_hh", suffix)
        options = {"peephole": self._weight("weight_peephole", suffix), **options}
        return F.lstm(gates, weight, *state, **options)


class GRURecurrence(Recurrence):
    """r, z = sigmoid, n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h = (1 - z) n + z h."""

    gates = 3

    def _recur(self, x, suffix, state, options):
        gates, weight = self._gates(x, suffix, merge=False), self._weight("weight_hh", suffix)
        return F.gru(gates, weight, self._weight("bias_hh", suffix), *state, **options)
