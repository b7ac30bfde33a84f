"""Settings of optimizers: where they live, and whether they are in range."""

import numpy as np

from minidl.engine import outside_recordings
from minidl.engine.checks import at_least, fraction


class ParameterGroup(dict):
    """A dict of settings whose numbers also live in `cells`, where recorded steps read them.

    Assigning ``group["lr"] = 0.01`` changes the next step, recorded or not.
    """

    def __init__(self, settings, optimizer):
        self.optimizer = optimizer
        self.cells = np.array(optimizer.layout(settings), np.float64)
        super().__init__(settings)

    def __setitem__(self, key, value):
        self.update({key: value})

    def update(self, *args, **kwargs):
        """Change settings; ValueError, and nothing changed, if one is out of range."""
        outside_recordings("param_groups: changed")
        settings = {**self, **dict(*args, **kwargs)}
        self.cells[:] = self.optimizer.layout(settings)
        if self.optimizer.buffers_of(settings) != self.optimizer.buffers_of(self):
            self.optimizer.revise()
        super().update(settings)

    def read_lr(self):
        """Take over the learning rate from the cells, where a kernel has changed it."""
        super().update(lr=float(self.cells[0]))

    def __ior__(self, settings):  # type: ignore[misc]
        self.update(settings)
        return self


def adaptive(optimizer, group):
    """lr, both betas, eps and weight_decay of Adam and its kin; ValueError if one is out of range."""
    beta1, beta2 = group["betas"]
    return (
        at_least(optimizer, "lr", group["lr"]),
        fraction(optimizer, "betas[0]", beta1),
        fraction(optimizer, "betas[1]", beta2),
        at_least(optimizer, "eps", group["eps"]),
        at_least(optimizer, "weight_decay", group["weight_decay"]),
    )
