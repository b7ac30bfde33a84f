"""Initial values of recurrent layers: distributions, and what the layers then do."""

import math

import numpy as np
import pytest

import minidl as dl
from minidl import nn
from minidl.nn import init


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# chrono


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(3, 400, num_layers=2),
        lambda: nn.LSTM(3, 400, bidirectional=True),
        lambda: nn.GRU(3, 400),
        lambda: nn.LSTMCell(3, 400),
        lambda: nn.GRUCell(3, 400),
        lambda: nn.Sequential(nn.GRU(3, 400)),
    ],
)
def test_chrono_is_uniform_in_the_time_of_forgetting(make):
    model = make()
    weights = {name: p.numpy().copy() for name, p in model.named_parameters() if "weight" in name}
    assert init.chrono_(model, 101) is model
    draws = []
    for name, p in model.named_parameters():
        if "weight" in name:
            np.testing.assert_array_equal(p.numpy(), weights[name])
            continue
        gates = p.numpy().reshape(-1, 400)
        if "bias_hh" in name:
            assert not gates.any()
            continue
        if len(gates) == 4:  # i, f, g, o: the input gate is open as far as the forget gate is not
            np.testing.assert_array_equal(gates[0], -gates[1])
        assert not gates[0].any() or len(gates) == 4
        assert not gates[2:].any()
        draws.append(gates[1])
        times = np.sort(1 / (1 - sigmoid(gates[1].astype("float64"))))  # of geometric forgetting
        assert times[0] >= 2 - 1e-5 and times[-1] <= 101 + 1e-3
        uniform = 2 + 99 * (np.arange(400) + 0.5) / 400
        assert np.abs(times - uniform).max() < 99 * 1.95 / math.sqrt(400)  # Kolmogorov and Smirnov, p = 0.001
    assert all((draws[0] != other).any() for other in draws[1:])


def test_chrono_makes_memories_long():
    """What an LSTM without weights keeps of its cell: sigmoid(b)^steps, so that some is left after 100 steps."""
    lstm = nn.LSTM(1, 50)
    for weight in (lstm.weight_ih_l0, lstm.weight_hh_l0):
        init.zeros_(weight)
    x, state = np.zeros((100, 1, 1), "float32"), (np.zeros((1, 1, 50), "float32"), np.ones((1, 1, 50), "float32"))
    kept = {longest: init.chrono_(lstm, longest)(x, state)[1][1].numpy() for longest in (3, 1000)}
    expected = sigmoid(lstm.bias_ih_l0.numpy()[50:100].astype("float64")) ** 100
    np.testing.assert_allclose(kept[1000].ravel(), expected, rtol=1e-4)
    assert kept[3].max() < 1e-15 and np.median(kept[1000]) > 0.5


# identity


@pytest.mark.parametrize("kind", [nn.RNN, nn.RNNCell])
def test_identity(kind):
    rnn = kind(6, 40, nonlinearity="relu")
    assert init.irnn_(rnn) is rnn
    for name, p in rnn.named_parameters():
        if name.startswith("weight_hh"):
            np.testing.assert_array_equal(p.numpy(), np.eye(40))
        elif name.startswith("weight_ih"):
            assert p.numpy().std() == pytest.approx(0.001, rel=0.3)
        else:
            assert not p.numpy().any()


def test_an_identity_recurrence_remembers():
    rnn = init.irnn_(nn.RNN(2, 8, nonlinearity="relu"))
    start = np.abs(np.random.default_rng(0).standard_normal((1, 3, 8))).astype("float32")
    _, end = rnn(np.zeros((500, 3, 2), "float32"), start)
    np.testing.assert_array_equal(end.numpy(), start)
    h = dl.tensor(start, requires_grad=True)
    rnn(np.zeros((500, 3, 2), "float32"), h)[1].sum().backward()
    np.testing.assert_array_equal(h.grad.numpy(), 1)


# bad arguments


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: init.chrono_(nn.LSTM(2, 2), 1.5), ValueError, "chrono_: longest: got 1.5, expected a finite number"),
        (lambda: init.chrono_(nn.GRU(2, 2), math.inf), ValueError, "chrono_: longest: got inf"),
        (
            lambda: init.chrono_(nn.LSTM(2, 2, bias=False), 9),
            ValueError,
            "chrono_: rnn: got LSTM.*, expected a layer w",
        ),
        (lambda: init.chrono_(nn.RNN(2, 2), 9), TypeError, "chrono_: rnn: got RNN, expected LSTM or GRU, or a model"),
        (lambda: init.irnn_(nn.RNN(2, 2)), ValueError, "irnn_: nonlinearity: got 'tanh', expected 'relu'"),
        (lambda: init.irnn_(nn.Linear(2, 2)), TypeError, "irnn_: rnn: got Linear, expected RNN, or a model"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
