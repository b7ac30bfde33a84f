"""Train a network on MNIST (or Fashion-MNIST) in minidl and in PyTorch from the same weights, batch by batch alike.

How to run (each framework may live in its own environment)::

    python benchmarks/peers/accuracy.py FOLDER --model lenet5 --epochs 3 --seeds 0,1,2
    python benchmarks/peers/accuracy.py FOLDER --model small_cnn --epochs 10 --seeds 0 --python-torch venv/bin/python

FOLDER holds the four idx files. Both sides take batches of 64 in the same order, Adam at 1e-3, and pixels with mean 0
and deviation 1; the initial weights are He's. Printed are the test accuracy after each epoch, its mean over the seeds
and the seconds per epoch, which are no benchmark: each framework runs by itself.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BATCH, LR = 64, 1e-3
FRAMEWORKS = ("minidl", "torch")
MODELS = ("lenet5", "small_cnn")


def read(folder, name):
    """An idx file of bytes as an array, packed or not."""
    path = Path(folder, name)
    content = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{name}.gz").read_bytes())
    shape = np.frombuffer(content, ">u4", content[3], 4)
    return np.frombuffer(content, np.uint8, -1, 4 + 4 * content[3]).reshape(shape)


def images(folder, kind):
    """Pixels [N, 1, 28, 28] with the training images' mean and deviation taken out, and labels."""
    pixels = read(folder, f"{kind}-images-idx3-ubyte")[:, None] / np.float32(255)
    training = read(folder, "train-images-idx3-ubyte") / 255
    mean, std = np.float32(training.mean()), np.float32(training.std())
    return (pixels - mean) / std, read(folder, f"{kind}-labels-idx1-ubyte").astype(np.int64)


def initial(shapes, seed):
    """He's weights and zero biases for named shapes, the same in every framework."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape) * np.sqrt(2 / max(np.prod(shape[1:]), 1)) * (len(shape) > 1)).astype("f4")
        for name, shape in shapes.items()
    }


def minidl_side(name):
    """(start, step, predict) in minidl."""
    import minidl as dl
    from minidl import functional as F
    from minidl import models, optim

    model = getattr(models, name)()
    shapes = {key: value.shape for key, value in model.state_dict().items()}

    def start(seed):
        model.load_state_dict(initial(shapes, seed))
        opt = optim.Adam(model.parameters(), lr=LR)

        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()

        return dl.record(step)

    def predict(x):
        with dl.no_grad():
            return np.concatenate([model(part).numpy() for part in np.array_split(x, 20)])

    return start, predict


def torch_side(name):
    """The same in PyTorch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layers = {
        "lenet5": {
            **{"conv1": nn.Conv2d(1, 6, 5, padding=2), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(2)},
            **{"conv2": nn.Conv2d(6, 16, 5), "relu2": nn.ReLU(), "pool2": nn.MaxPool2d(2), "flatten": nn.Flatten()},
            **{"fc1": nn.Linear(400, 120), "relu3": nn.ReLU(), "fc2": nn.Linear(120, 84), "relu4": nn.ReLU()},
            "fc3": nn.Linear(84, 10),
        },
        "small_cnn": {
            **{"conv": nn.Conv2d(1, 32, 3), "relu1": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1)},
            **{"flatten": nn.Flatten(), "fc1": nn.Linear(32, 64), "relu2": nn.ReLU(), "fc2": nn.Linear(64, 10)},
        },
    }[name]
    model = nn.Sequential()
    for key, layer in layers.items():
        model.add_module(key, layer)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}

    def start(seed):
        model.load_state_dict({key: torch.from_numpy(value) for key, value in initial(shapes, seed).items()})
        opt = torch.optim.Adam(model.parameters(), lr=LR, fused=True)

        def step(x, y):
            opt.zero_grad()
            F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
            opt.step()

        return step

    def predict(x):
        with torch.no_grad():
            return np.concatenate([model(torch.from_numpy(part)).numpy() for part in np.array_split(x, 20)])

    return start, predict


def train(framework, args):
    """One line of JSON per seed: accuracies after each epoch, in percent, and seconds per epoch."""
    start, predict = {"minidl": minidl_side, "torch": torch_side}[framework](args.model)
    x, y = images(args.folder, "train")
    test_x, test_y = images(args.folder, "t10k")
    for seed in map(int, args.seeds.split(",")):
        step, accuracies, seconds = start(seed), [], 0.0
        for epoch in range(args.epochs):
            order = np.random.default_rng([seed, epoch]).permutation(len(x))
            begin = time.perf_counter()
            for rows in np.split(order[: len(x) // BATCH * BATCH], len(x) // BATCH):
                step(x[rows], y[rows])
            seconds += time.perf_counter() - begin
            accuracies.append(100 * float(np.mean(predict(test_x).argmax(1) == test_y)))
        print(json.dumps({"seed": seed, "accuracies": accuracies, "seconds": seconds / args.epochs}), flush=True)


def main():
    """Run both sides and print their accuracies next to each other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--model", choices=MODELS, default="lenet5")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--side", choices=FRAMEWORKS, help="train only here, and print JSON")
    parser.add_argument("--python-torch", default=sys.executable, metavar="PATH")
    args = parser.parse_args()
    if args.side:
        train(args.side, args)
        return
    last = {}
    print(f"{args.model}, {args.epochs} epochs, test accuracy in %")
    for framework in FRAMEWORKS:
        python = args.python_torch if framework == "torch" else sys.executable
        command = [python, __file__, *sys.argv[1:], "--side", framework]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            results = [json.loads(line) for line in process.stdout]
        if process.returncode:
            sys.exit(f"{framework} failed")
        for result in results:
            accuracies = " ".join(f"{accuracy:.2f}" for accuracy in result["accuracies"])
            print(f"  {framework:7} seed {result['seed']}: {accuracies}   {result['seconds']:.1f} s per epoch")
        last[framework] = np.mean([result["accuracies"][-1] for result in results])
    difference = last["minidl"] - last["torch"]
    print(
        f"mean of the last epochs: minidl {last['minidl']:.3f}, PyTorch {last['torch']:.3f}: {difference:+.3f} points"
    )


if __name__ == "__main__":
    main()
