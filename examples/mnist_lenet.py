"""LeNet-5 on MNIST or Fashion-MNIST, first with a loop of one's own, then with the Trainer.

    python examples/mnist_lenet.py FOLDER

The folder holds the four idx files, packed or not. Three epochs each; about 98.8 % of MNIST's test images are right.
The recipe for about 99.4 % is `minidl train --model lenet5 --data FOLDER --augment light`.
"""

import sys
import time

import minidl as dl
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader
from minidl.data.transforms import Normalize
from minidl.train import Trainer

EPOCHS = 3
normalize = Normalize(mean=0.1307, std=0.3081)  # of MNIST's training images


def own_loop(training, test):
    """Plain eager code; `record` makes it fast."""
    model = models.lenet5()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    @dl.record
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    @dl.record
    @dl.no_grad()
    def count_right(x, y):
        return (model(x).argmax(dim=1) == y).sum()

    batches = DataLoader(training, batch_size=64, shuffle=True, seed=0, transform=normalize)
    for epoch in range(1, EPOCHS + 1):
        began = time.perf_counter()
        total = sum(float(step(x, y)) for x, y in batches)
        right = sum(int(count_right(x, y)) for x, y in DataLoader(test, 256, transform=normalize))
        seconds = time.perf_counter() - began
        print(f"epoch {epoch}: loss {total / len(batches):.4f}, test accuracy {right / len(test):.2%}, {seconds:.1f} s")


def with_trainer(training, test):
    """The same, shorter, with a progress bar and a Ctrl-C that stops between steps."""
    model = models.lenet5()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-3), clip_norm=1.0)
    trainer.fit(DataLoader(training, 64, shuffle=True, seed=0, transform=normalize), epochs=EPOCHS)
    print(f"test accuracy {trainer.evaluate(DataLoader(test, 256, transform=normalize))['accuracy']:.2%}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    parts = dl.data.mnist(sys.argv[1]), dl.data.mnist(sys.argv[1], train=False)
    for train in own_loop, with_trainer:
        dl.manual_seed(0)
        print(train.__doc__)
        train(*parts)
