"""minidl's worker. Options: threads."""

import itertools

import numpy as np
import protocol
from workloads import LR, MAX_NORM


def start(options):
    """Import minidl; see `protocol.serve`."""
    import minidl as dl
    from minidl import functional as F
    from minidl import nn, optim

    dl.set_num_threads(options["threads"])

    def mlp(row):
        layers = []
        for n_in, n_out in itertools.pairwise(row.sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    models = {"mlp": mlp}

    def load(row, state):
        model = models[row.kind](row)
        model.load_state_dict(state)
        opt = optim.Adam(model.parameters(), lr=LR)

        def train_step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            opt.step()
            return loss

        def parameters():
            return {name: np.asarray(p) for name, p in model.state_dict().items()}

        return dl.record(train_step), model.load_state_dict, parameters

    return getattr(dl, "__version__", "?"), load


if __name__ == "__main__":
    protocol.serve(start)
