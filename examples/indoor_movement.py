"""Does a person walk to another room? An LSTM on radio signals, in sequences of 19 to 129 steps.

    python examples/indoor_movement.py IndoorMovement.zip

The file is that of the UCI repository (Bacciu et al. 2014). Of the 314 walks 30 %, drawn at random once, are for the
test. Each of five runs draws its own fifth of the others to stop at the epoch with the lowest loss there, and its own
initial values. The network and its settings were chosen by the validation losses, too. About 92 % of the test walks
are right (86 to 96 over the runs); 82 % by the best threshold for the length alone, as in two of the three pairs of
rooms the way to another one takes longer.
"""

import argparse

import numpy as np

import minidl as dl
from minidl import nn, optim
from minidl.data import DataLoader, indoor_movement, random_split
from minidl.train import EarlyStopping, Trainer


class Network(nn.Module):
    """What the LSTM knows at both ends of a walk decides."""

    def __init__(self, hidden=32):
        super().__init__()
        self.lstm = nn.LSTM(4, hidden, batch_first=True, bidirectional=True)
        self.answer = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * hidden, 2))

    def forward(self, walks, lengths):
        _, (last, _) = self.lstm(walks, lengths=lengths)  # (2 directions, B, hidden): behind the last step of each walk
        return self.answer(last.transpose(0, 1).flatten(1))


def train(walks, seed, epochs):
    """A network, trained."""
    dl.manual_seed(seed)
    training, validation = random_split(walks, [0.8, 0.2])
    model = Network()
    trainer = Trainer(model, optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1), clip_norm=1.0)
    best = EarlyStopping(patience=epochs, restore_best_weights=True)
    trainer.fit(DataLoader(training, batch_size=32, shuffle=True), validation, epochs, [best])
    return trainer


def by_length(walks, test):
    """The share of test walks that the best threshold for the length gets right."""
    _, lengths, labels = walks.batch(np.arange(len(walks)))
    _, test_lengths, test_labels = test.batch(np.arange(len(test)))
    threshold = max(range(130), key=lambda steps: np.mean((lengths.numpy() > steps) == labels.numpy()))
    return np.mean((test_lengths.numpy() > threshold) == test_labels.numpy())


def main(file, seeds=5, epochs=80):
    walks, test = random_split(indoor_movement(file), [0.7, 0.3], seed=0)
    print(f"{len(walks)} walks to train and validate with, {len(test)} to test with")
    print(f"threshold for the length: test accuracy {by_length(walks, test):.1%}")
    found = []
    for seed in range(seeds):
        found.append(train(walks, seed, epochs).evaluate(test)["accuracy"])
        print(f"LSTM, seed {seed}: test accuracy {found[-1]:.1%}")
    print(f"LSTM: test accuracy {np.mean(found):.1%}, standard deviation {np.std(found):.1%} over {seeds} runs")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="IndoorMovement.zip, or the folder that it unpacks to")
    parser.add_argument("--seeds", type=int, default=5, help="how many runs (default: 5)")
    parser.add_argument("--epochs", type=int, default=80, help="of each run (default: 80)")
    main(**vars(parser.parse_args()))
