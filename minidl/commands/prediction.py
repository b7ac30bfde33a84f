"""``minidl predict``."""

import csv
import sys
from pathlib import Path

import numpy as np

from minidl.cli import CommandError
from minidl.commands.training import as_trained
from minidl.data import DataLoader, TensorDataset, read_idx
from minidl.data.folder import MODES, read_image
from minidl.data.images import to_float
from minidl.data.source import find_images
from minidl.train import Trainer
from minidl.train.run import Inputs, load_run
from minidl.train.trainer import EVALUATION_BATCH

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


def predict(args):
    """Classify images with a trained model."""
    try:
        model, inputs, options = load_run(args.run)
        if not isinstance(inputs, Inputs):
            raise ValueError(f"{args.run} holds a model of characters, which cannot classify; try minidl generate")
        trainer = Trainer(model, optimizer=None)
        if args.input is None:
            test_images(trainer, inputs, options)
        else:
            classify_input(trainer, inputs, Path(args.input))
    except ValueError as error:
        raise CommandError(error) from error


def test_images(trainer, inputs, options):
    """Classify the images that the run was tested with, and print how many are right."""
    test = find_images(options["data"], options.get("size"), options["seed"]).test
    if (test.images.shape[1:], test.classes) != (tuple(inputs.shape), tuple(inputs.classes)):
        raise ValueError(
            f"{options['data']} has changed: got images of shape {test.images.shape[1:]} and classes {test.classes}, "
            f"expected {inputs.shape} and {inputs.classes}"
        )
    classes, _ = most_probable(trainer.predict(as_trained(test, inputs)))
    right = classes == test.labels
    print(f"test accuracy {100 * right.mean():.2f} % ({right.sum()} of {len(right)})")
    width = max(5, *map(len, inputs.classes))
    print(f"{'class':>{width}}  images  right  taken for")
    for label, name in enumerate(inputs.classes):
        mine = test.labels == label
        wrong = enumerate(np.bincount(classes[mine & ~right], minlength=1))
        mistakes = ", ".join(f"{inputs.classes[other]} ({count}x)" for other, count in wrong if count)
        print(f"{name:>{width}}  {mine.sum():6d}  {(mine & right).sum():5d}  {mistakes}".rstrip())


def classify_input(trainer, inputs, path):
    """Classify the images in a file or folder, and print a line for each."""
    names, pixels = read_input(path, inputs)
    images = to_float(pixels.reshape(-1, *inputs.shape))
    loader = DataLoader(TensorDataset(images), EVALUATION_BATCH, seed=0, transform=inputs.normalize())
    classes, probabilities = most_probable(trainer.predict(loader))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["row" if isinstance(names, range) else "file", "class", "probability"])
    for name, label, probability in zip(names, classes, probabilities, strict=True):
        writer.writerow([name, inputs.classes[label], f"{probability:.4f}"])


def most_probable(logits):
    """The most probable class of each row, and its probability by softmax."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return logits.argmax(axis=1), weights.max(axis=1) / weights.sum(axis=1)


def read_input(path, inputs):
    """Images from a file or a folder.

    Parameters
    ----------
    path : Path
        ``.npy``, an idx file, ``.csv`` with or without a line of names, a picture, or a folder of pictures.
    inputs : Inputs
        What the model reads; pictures are converted to it.

    Returns
    -------
    names : range or list of str
        Numbers of the rows from 1, or names of the files.
    pixels : ndarray, shape (N, ...)
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES)
        if not files:
            raise ValueError(f"--input: {path}: got no pictures there, expected {', '.join(PICTURES)}")
        return [str(file.relative_to(path)) for file in files], np.stack([picture(file, inputs) for file in files])
    if not path.is_file():
        raise FileNotFoundError(f"--input: no such file: {path}")
    if path.suffix.lower() in PICTURES:
        return [path.name], picture(path, inputs)[None]
    pixels = read_array(path)
    check_array(path, pixels, inputs)
    return range(1, len(pixels) + 1), pixels


def picture(path, inputs):
    """A picture, in the size and the colours that the model reads."""
    if inputs.highest != 255:
        raise ValueError(
            f"--input: {path}: the model reads pixels up to {inputs.highest}, expected a .csv or .npy file"
        )
    return read_image(path, tuple(inputs.shape[1:]), dict(zip((1, 3, 4), MODES, strict=True))[inputs.shape[0]])


def read_array(path):
    """Numbers from a file."""
    idx = "idx" in path.name or "ubyte" in path.name
    if not idx and path.suffix not in (".npy", ".csv"):
        raise ValueError(
            f"--input: got {path}, expected a .csv or .npy file, an idx file, a picture, or a folder of them"
        )
    try:
        pixels = read_idx(path) if idx else np.load(path) if path.suffix == ".npy" else read_csv(path)
        return np.asarray(pixels, np.float32)
    except (ValueError, TypeError, EOFError) as error:  # TypeError: an archive of several arrays
        raise ValueError(f"--input: {path} cannot be read as numbers: {error}") from error


def check_array(path, pixels, inputs):
    """ValueError unless there are images of the model's shape, with pixels in its range."""
    shape = tuple(inputs.shape)
    count = int(np.prod(shape))
    shapes = {(count,), shape, shape[1:] if shape[0] == 1 else shape}
    if not pixels.size or pixels.shape[1:] not in shapes:
        raise ValueError(
            f"--input: {path} has shape {pixels.shape}, expected rows of {count} pixels, or images of shape {shape}"
        )
    if inputs.highest > 1 and pixels.dtype.kind == "f" and 0 < pixels.max() <= 1:
        raise ValueError(f"--input: {path}: pixels lie between 0 and 1, expected numbers from 0 to {inputs.highest}")
    fine = ((pixels >= 0) & (pixels <= inputs.highest)).reshape(len(pixels), -1).all(axis=1)  # false for NaN too
    if not fine.all():
        row = int(np.flatnonzero(~fine)[0]) + 1
        raise ValueError(f"--input: {path}, row {row}: pixels must be numbers from 0 to {inputs.highest}")


def read_csv(path):
    """Numbers of a CSV file; a first line that holds none is taken for names."""
    rows = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]  # Excel writes a BOM
    if rows and not any(map(is_number, rows[0].split(","))):
        del rows[0]
    if not rows:
        raise ValueError("it has no rows")
    return np.loadtxt(rows, delimiter=",", ndmin=2)


def is_number(text):
    """Whether `text` can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
