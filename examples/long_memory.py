"""What recurrent networks can remember: known results, what is expected beside what was measured.

    python examples/long_memory.py [--rows T4 P3 P4 P1] [--quick]

T4  The adding problem: who always gives the same answer has a mean squared error of 1/6.
P3  An LSTM learns to add two numbers of 100 (Hochreiter & Schmidhuber 1997): at most 3 of 2560 sums are off by more
    than 0.04.
P4  It needs fewer steps where its forget gate starts open, from a bias of 1 (Jozefowicz et al. 2015).
P1  A tanh network of 50 units learns temporal order by SGD with a rate of 0.01 and batches of 20 (Pascanu et al. 2013):
    with clipping it succeeds more often than without, and yet more often with a penalty on gradients that change
    their norm on the way back. Success is less than 1 % wrong of 10,000, within 20,000 steps.

Every batch is drawn anew, so there is nothing to learn by heart. The rows take about 0, 40, 40 and 120 seconds.
"""

import argparse
import itertools
import time

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, adding_problem, temporal_order
from minidl.optim.lr_scheduler import OneCycleLR

METHODS = {  # of row P1
    "plain": {},
    "clip(1.0)": {"clip": 1.0},
    "clip(1.0) + Omega": {"clip": 1.0, "norm_penalty": 1.0},
}


class Reader(nn.Module):
    """Reads sequences (T, B, features), and answers at their ends."""

    def __init__(self, layer, answers):
        super().__init__()
        self.layer, self.answer = layer, nn.Linear(layer.hidden_size, answers)

    def forward(self, x):
        outputs, _ = self.layer(x)
        return self.answer(outputs[-1])


def adder(forget_bias=1.0, hidden=32):
    """An LSTM for sums."""
    layer = nn.LSTM(2, hidden)
    layer.bias_ih_l0.numpy()[hidden : 2 * hidden] = forget_bias  # gates in the order i, f, g, o; 1 is the default
    return Reader(layer, 1)


def batches(task, length, size):
    """Batches of a task without end, time first."""
    while True:
        for x, y in DataLoader(task(50 * size, length), size):
            yield x.transpose(0, 1), y


def training(model, loss_of, optimizer, data, clip=None):
    """Trains; gives the loss of every step."""

    @dl.record
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss

    for x, y in data:
        yield float(step(x, y))


def answers(model, x):
    """Answers to inputs (B, T, features)."""
    with dl.no_grad():
        return model(x.swapaxes(0, 1)).numpy()


def wrong_sums(seed, length=100, steps=7000):
    """How many of 2560 sums are off by more than 0.04 behind the training."""
    dl.manual_seed(seed)
    model = adder()
    optimizer = optim.Adam(model.parameters())
    schedule = OneCycleLR(optimizer, max_lr=0.02, total_steps=steps, pct_start=0.1)
    data = itertools.islice(batches(adding_problem, length, 64), steps)
    for _ in training(model, F.mse_loss, optimizer, data, clip=1.0):
        schedule.step()
    x, sums = adding_problem(2560, length).tensors
    return int(np.sum(np.abs(answers(model, x) - sums) > 0.04))


def steps_to_add(seed, forget_bias, length=100, limit=5000):
    """Steps until the mean loss of 50 of them is below 0.01."""
    dl.manual_seed(seed)
    model, recent = adder(forget_bias), []
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    for loss in training(model, F.mse_loss, optimizer, batches(adding_problem, length, 64), clip=1.0):
        recent.append(loss)
        if np.mean(recent[-50:]) < 0.01 or len(recent) == limit:
            return len(recent)


def steps_to_order(seed, length, limit=20_000, clip=None, **options):
    """Steps until less than 1 % of 10,000 orders are wrong, None at the limit; the options are those of the layer."""
    dl.manual_seed(seed)
    model = Reader(nn.RNN(6, 50, **options), 4)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    x, classes = temporal_order(10_000, length).tensors
    losses = training(model, F.cross_entropy, optimizer, batches(temporal_order, length, 20), clip)
    for step, _ in enumerate(itertools.islice(losses, limit), 1):
        if step % 1000 == 0 and np.mean(answers(model, x).argmax(1) != classes) < 0.01:
            return step
    return None


# The rows of the table: what was done, what is expected, what was measured. The quick ones are to try the code.


def constant(_):
    """T4"""
    sums = adding_problem(1_000_000, length=2, seed=0).tensors[1]
    yield "always the best answer: MSE", "1/6 = 0.1667", f"{sums.var():.4f}"


def adding(quick):
    """P3"""
    length, steps = (10, 600) if quick else (100, 7000)
    yield f"LSTM, {length} numbers: wrong of 2560", "at most 3", f"{wrong_sums(0, length, steps)}"


def forget_bias(quick):
    """P4"""
    length, seeds = (20, 1) if quick else (100, 3)
    for bias, expected in ((0.0, "more"), (1.0, "fewer")):
        steps = [f"{steps_to_add(seed, bias, length)}" for seed in range(seeds)]
        yield f"LSTM, {length} numbers, forget bias {bias:.0f}: steps", expected, ", ".join(steps)


def temporal_orders(quick):
    """P1"""
    lengths, seeds = ([10], 1) if quick else ([20, 30, 50], 5)
    for length in lengths:
        for (name, method), expected in zip(METHODS.items(), ("", ">= plain", ">= clip(1.0)"), strict=True):
            steps = [steps_to_order(seed, length, **method) for seed in range(seeds)]
            done = [count for count in steps if count is not None]
            measured = f"{len(done)} of {seeds}" + (f", median of {np.median(done):,.0f} steps" if done else "")
            yield f"RNN, {length} symbols, {name}: solved", expected, measured


ROWS = {"T4": constant, "P3": adding, "P4": forget_bias, "P1": temporal_orders}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="which (default: all)")
    parser.add_argument("--quick", action="store_true", help="short sequences and few steps, in seconds")
    args = parser.parse_args(argv)
    print(f"{'':50s} {'expected':>16s}   measured")
    for row in args.rows:
        began = time.perf_counter()
        for setting, expected, measured in ROWS[row](args.quick):
            print(
                f"{row}  {setting:46s} {expected:>16s}   {measured:34s} {time.perf_counter() - began:4.0f} s",
                flush=True,
            )
            began = time.perf_counter()


if __name__ == "__main__":
    main()
