"""ResNet-8 on images in CIFAR's binary format, with flips, crops and one cycle of the learning rate.

    python examples/cifar_resnet.py FOLDER [EPOCHS]

The folder holds CIFAR-10's ``.bin`` files, or others of that format with "test" in the names of those to test with.
"""

import sys

import minidl as dl
from minidl import models, optim
from minidl.data import DataLoader
from minidl.data.source import find_images, pixel_statistics
from minidl.data.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip
from minidl.optim.lr_scheduler import OneCycleLR
from minidl.train import LRScheduler, Trainer


def main(folder, epochs):
    dl.manual_seed(0)
    source = find_images(folder)
    print(f"{source.name}: {len(source.train):,} images to train with, {len(source.test):,} to test")
    normalize = Normalize(*pixel_statistics(source.train.images))
    augment = Compose([RandomHorizontalFlip(), RandomCrop(32, padding=4, padding_mode="reflect"), normalize])
    batches = DataLoader(source.train, batch_size=128, shuffle=True, seed=0, transform=augment)

    model = models.resnet(depth=8)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = OneCycleLR(optimizer, max_lr=0.2, epochs=epochs, steps_per_epoch=len(batches))
    trainer = Trainer(model, optimizer)
    history = trainer.fit(batches, epochs=epochs, callbacks=[LRScheduler(schedule, per_batch=True)])
    for epoch, loss, accuracy in zip(history.epoch, history["loss"], history["accuracy"], strict=True):
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.2%}")
    print(f"test accuracy {trainer.evaluate(DataLoader(source.test, 256, transform=normalize))['accuracy']:.2%}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 10)
