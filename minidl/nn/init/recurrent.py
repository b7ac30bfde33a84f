"""Initial values of recurrent layers."""

import numpy as np

from minidl.engine import generator, outside_recordings
from minidl.nn.init.basic import check, constant_, normal_, zeros_
from minidl.nn.init.structured import eye_

GRU_GATES, LSTM_GATES = 3, 4


def irnn_(rnn):
    """Recurrent weights the identity, small inputs, no biases: ReLU networks that begin by adding up what they see.

    Parameters
    ----------
    rnn : Module
        An `RNN` or `RNNCell` with ``nonlinearity="relu"``, or a model with such layers.

    Returns
    -------
    `rnn`

    References
    ----------
    Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015.
    """
    for layer in _recurrent("irnn_", rnn, "RNN", [1]):
        check("irnn_", layer.nonlinearity == "relu", "nonlinearity", layer.nonlinearity, "'relu'")
        for name, parameter in layer.named_parameters():
            if name.startswith("weight_hh"):
                eye_(parameter)
            elif name.startswith("weight_ih"):
                normal_(parameter, std=0.001)
            else:
                zeros_(parameter)
    return rnn


def chrono_(rnn, longest):
    """Biases of the gates for memories of 2 to `longest` steps: a gate with bias b forgets within 1 + e^b of them.

    Those of LSTM's forget gate are log U(1, longest - 1), and those of its input gate their negatives. Those of GRU's
    update gate, which keeps the state here as in PyTorch, are log U(1, longest - 1). All other biases are 0.

    Parameters
    ----------
    rnn : Module
        An `LSTM`, `GRU` or cell with biases, or a model with such layers.
    longest : float
        Steps of the longest dependency that is expected, at least 2.

    Returns
    -------
    `rnn`

    References
    ----------
    Tallec and Ollivier, "Can recurrent neural networks warp time?", 2018.
    """
    check("chrono_", 2 <= longest < float("inf"), "longest", longest, "a finite number >= 2")
    outside_recordings("chrono_")
    for layer in _recurrent("chrono_", rnn, "LSTM or GRU", [GRU_GATES, LSTM_GATES]):
        check("chrono_", layer.bias, "rnn", layer, "a layer with biases")
        H = layer.hidden_size
        for name, parameter in layer.named_parameters():
            if not name.startswith("bias"):
                continue
            constant_(parameter, 0.0)
            if name.startswith("bias_ih"):
                times = np.log(generator.numpy.uniform(1, longest - 1, H))
                parameter.array[H : 2 * H] = times  # LSTM's forget gate, GRU's update gate
                if layer.gates == LSTM_GATES:
                    parameter.array[:H] = -times
    return rnn


def _recurrent(function, model, kind, gates):
    """The recurrent layers of a kind in a model; TypeError if there are none."""
    found = [module for module in model.modules() if getattr(module, "gates", None) in gates]
    if not found:
        raise TypeError(f"{function}: rnn: got {type(model).__name__}, expected {kind}, or a model with such layers")
    return found
