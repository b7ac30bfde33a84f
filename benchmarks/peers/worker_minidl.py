"""minidl's worker. Options: threads."""

import numpy as np
import protocol
from layers import build
from workloads import LR, MAX_NORM


def start(options):
    """Import minidl; see `protocol.serve`."""
    import minidl as dl
    from minidl import functional as F
    from minidl import nn, optim

    dl.set_num_threads(options["threads"])

    def residual(block, x):
        h = block.norm1(block.conv1(x), activation="relu")
        return block.norm2(block.conv2(h), activation="relu", residual=block.shortcut(x))

    def load(row, state):
        model = build(nn, residual, row.layers)
        opt = optim.Adam(model.parameters(), lr=LR)

        def train_step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            opt.step()
            return loss

        def reset(state):
            model.load_state_dict({**model.state_dict(), **state})  # how many batches there were may stay

        def parameters():
            return {name: np.asarray(p) for name, p in model.state_dict().items()}

        reset(state)
        return dl.record(train_step), reset, parameters

    def product(a):
        a = dl.tensor(a)
        step = dl.record(lambda a: a @ a)
        return lambda: step(a)

    return dl.__version__, load, product


if __name__ == "__main__":
    protocol.serve(start)
