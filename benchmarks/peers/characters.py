"""Train a model of characters in minidl and in PyTorch from the same weights, batch by batch alike.

How to run (each framework may live in its own environment)::

    python benchmarks/peers/characters.py input.txt
    python benchmarks/peers/characters.py input.txt --steps 2000 --steps-torch 2000 --python-torch venv/bin/python

Both sides run an embedding, an LSTM of 128 and a linear layer over the first nine tenths of the text: 32 streams, 64
steps at a time with the state carried on, Adam at 3e-3, gradients clipped to a norm of 1. Printed are both losses
every 50 steps (nats per character, of that batch), their largest relative difference over all steps that both have
made, and the loss on the last tenth of the text with the state carried on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HIDDEN, STREAMS, LENGTH, LR, CLIP = 128, 32, 64, 3e-3, 1.0
FRAMEWORKS = ("minidl", "torch")


def read(path):
    """The text as numbers: what to train with, what to validate with, and how many characters there are."""
    characters, ids = np.unique(list(Path(path).read_text(encoding="utf-8")), return_inverse=True)
    return *np.split(ids.astype(np.int64), [len(ids) * 9 // 10]), len(characters)


def batches(ids):
    """One epoch: inputs and targets (T, B), in streams that go on from batch to batch."""
    steps = (len(ids) - 1) // STREAMS
    streams = ids[np.arange(STREAMS) * steps + np.arange(steps + 1)[:, None]]
    for start in range(0, steps, LENGTH):
        piece = streams[start : start + LENGTH + 1]
        yield np.ascontiguousarray(piece[:-1]), np.ascontiguousarray(piece[1:])


def initial(shapes):
    """Weights as PyTorch draws them, the same in every framework: N(0, 1) for the embedding, the rest uniform."""
    rng = np.random.default_rng(0)

    def draw(name, shape):
        return rng.standard_normal(shape) if name == "embedding.weight" else rng.uniform(-1, 1, shape) / HIDDEN**0.5

    return {name: draw(name, shape).astype("f4") for name, shape in shapes.items()}


def minidl_side(characters):
    """(step, evaluate) in minidl: each takes a batch and a state, and gives the loss and the next state."""
    import minidl as dl
    from minidl import functional as F
    from minidl import models, nn, optim

    model = models.char_lm(characters, HIDDEN)
    model.load_state_dict(initial({key: value.shape for key, value in model.state_dict().items()}))
    opt = optim.Adam(model.parameters(), lr=LR)

    def loss_and_state(x, y, state):
        output, (h, c) = model(x, state or None)
        return F.cross_entropy(output.flatten(0, 1), y.flatten()), h.detach(), c.detach()

    @dl.record
    def step(x, y, *state):
        loss, *state = loss_and_state(x, y, state)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        opt.step()
        return loss, *state

    @dl.record
    @dl.no_grad()
    def evaluate(x, y, *state):
        return loss_and_state(x, y, state)

    return step, evaluate


def torch_side(characters):
    """The same in PyTorch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layers = nn.Embedding(characters, HIDDEN), nn.LSTM(HIDDEN, HIDDEN), nn.Linear(HIDDEN, characters)
    model = nn.ModuleDict(dict(zip(("embedding", "rnn", "fc"), layers, strict=True)))
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in initial(shapes).items()})
    opt = torch.optim.Adam(model.parameters(), lr=LR, fused=True)

    def loss_and_state(x, y, state):
        output, (h, c) = model["rnn"](model["embedding"](torch.from_numpy(x)), state or None)
        loss = F.cross_entropy(model["fc"](output).flatten(0, 1), torch.from_numpy(y).flatten())
        return loss, h.detach(), c.detach()

    def step(x, y, *state):
        loss, *state = loss_and_state(x, y, state)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        opt.step()
        return loss.detach(), *state

    def evaluate(x, y, *state):
        with torch.no_grad():
            return loss_and_state(x, y, state)

    return step, evaluate


def train(framework, path, steps):
    """One line of JSON: the loss of every step, the loss on the last tenth, seconds per step."""
    training, validation, characters = read(path)
    step, evaluate = {"minidl": minidl_side, "torch": torch_side}[framework](characters)
    losses, begin = [], time.perf_counter()
    while len(losses) < steps:
        state = ()
        for x, y in batches(training):
            loss, *state = step(x, y, *state)
            losses.append(float(loss))
            if len(losses) == steps:
                break
    seconds, state, total, count = (time.perf_counter() - begin) / steps, (), 0.0, 0
    for x, y in batches(validation):
        loss, *state = evaluate(x, y, *state)
        total, count = total + float(loss) * len(x), count + len(x)
    print(json.dumps({"losses": losses, "validation": total / count, "seconds": seconds}))


def main():
    """Run both sides and print their losses next to each other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text", help="a file of UTF-8")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--steps-torch", type=int, default=500)
    parser.add_argument("--side", choices=FRAMEWORKS, help="train only here, and print JSON")
    parser.add_argument("--python-torch", default=sys.executable, metavar="PATH")
    args = parser.parse_args()
    if args.side:
        train(args.side, args.text, args.steps if args.side == "minidl" else args.steps_torch)
        return
    results = {}
    for framework in FRAMEWORKS:
        python = args.python_torch if framework == "torch" else sys.executable
        done = subprocess.run([python, __file__, *sys.argv[1:], "--side", framework], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{framework} failed")
        results[framework] = json.loads(done.stdout)
    curves = {framework: np.array(result["losses"]) for framework, result in results.items()}
    common = min(map(len, curves.values()))
    print("  step  minidl  PyTorch")
    for i in range(49, common, 50):
        print(f"{i + 1:6d}  {curves['minidl'][i]:.4f}   {curves['torch'][i]:.4f}")
    difference = np.abs(curves["minidl"][:common] / curves["torch"][:common] - 1)
    print(f"largest relative difference of {common} steps: {difference.max():.2e}, at step {difference.argmax() + 1}")
    for framework, result in results.items():
        print(
            f"{framework}: validation loss after {len(result['losses'])} steps {result['validation']:.4f} nats per "
            f"character, {1e3 * result['seconds']:.1f} ms per step"
        )


if __name__ == "__main__":
    main()
