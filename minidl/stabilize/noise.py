"""Noise on gradients, as an update node."""

import numpy as np

from minidl.engine import Statistics, generator, memory, state
from minidl.engine.checks import at_least
from minidl.kernels.random import gradient_noise
from minidl.kernels.update import advance
from minidl.stabilize.update import Setting, Update, parameter_list, segments, sizes, with_gradient


class GradientNoise(Update):
    """g = g + z, z normal with variance eta / (1 + t)^gamma, where t counts the calls before this one.

    Called between `backward` and the optimizer's step. Every replay of a recorded step draws anew.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    eta : float
        >= 0; the paper chose among 0.01, 0.3 and 1. May be changed between steps, as `gamma` may.
    gamma : float
        >= 0; how fast the noise gets less.

    Attributes
    ----------
    clock : ndarray of float64, shape (1,)
        The t of the next call; written by the step, and to be set by who goes on from a checkpoint.
    statistics : Statistics
        The norms over all parameters before and after.

    Notes
    -----
    Where gradients are float32, the noise ends at 6.56 standard deviations.

    References
    ----------
    Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015.
    """

    name = "GradientNoise"
    eta = Setting(0, at_least)
    gamma = Setting(1, at_least)

    def __init__(self, parameters, eta=0.01, gamma=0.55):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.cells = np.zeros(2)
        self.eta, self.gamma = eta, gamma
        self.clock, self.go = np.zeros(1), np.ones(1)
        self.statistics = Statistics("noised")

    def __call__(self):
        """Add the noise."""
        for group in with_gradient(self.parameters).values():
            # not joined: the gaps between neighbours must stay zeros
            pieces = segments([parameter.buffer for parameter in group], [(i, i) for i in range(len(group))])
            scratch = [memory.empty(2 * len(pieces), np.float64), self.statistics.cells]
            outputs, dtype = [generator.counter, *pieces], group[0].dtype
            self.call(gradient_noise, outputs, [self.clock], sizes(pieces), self.cells, dtype, scratch)
            if state.recording is not None:
                state.recording.checked.difference_update(group)
        self.call(advance, [self.clock], [self.go], [1])
