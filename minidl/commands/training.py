"""``minidl train``."""

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import minidl
from minidl import functional as F
from minidl import optim, serialize
from minidl.cli import CommandError
from minidl.data import DataLoader, random_split
from minidl.data.source import find_images, pixel_statistics
from minidl.data.transforms import Compose, Cutout, RandomAffine, RandomCrop, RandomHorizontalFlip
from minidl.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR
from minidl.train import CSVLogger, LRScheduler, Trainer
from minidl.train.plot import plot_curves
from minidl.train.run import CURVES, METRICS, MODELS, Inputs, save_run
from minidl.train.trainer import EVALUATION_BATCH

VALIDATION, MOST = 0.1, 2000  # of the training data, to draw curves from: the test data are looked at once, at the end
DECAY = 0.95  # of the learning rate, per epoch, in the exponential schedule


@dataclass(frozen=True)
class Recipe:
    """What is done where the options do not say otherwise."""

    epochs: int
    batch: int
    schedule: str
    adam: float
    sgd: float


RECIPES = {
    "mlp": Recipe(30, 32, "exponential", 0.002, 0.05),
    "small_cnn": Recipe(15, 64, "onecycle", 0.01, 0.1),
    "lenet5": Recipe(15, 64, "onecycle", 0.004, 0.05),
    "resnet": Recipe(30, 128, "onecycle", 0.01, 0.1),
    "densenet": Recipe(30, 64, "onecycle", 0.01, 0.1),
}


def train(args):
    """Train a model; leaves the run's folder."""
    serialize.require_package("train")  # rather than after the training
    minidl.manual_seed(args.seed)
    recipe = RECIPES[args.model]
    args.epochs, args.batch = args.epochs or recipe.epochs, args.batch or recipe.batch
    args.schedule = args.schedule or recipe.schedule
    args.lr = args.lr or (recipe.sgd if args.optimizer == "sgd" else recipe.adam)
    try:
        source = find_images(args.data, args.size, args.seed)
        if not len(source.train) or not len(source.test):
            raise ValueError(
                f"{args.data}: got {len(source.train)} images to train with and {len(source.test)} to test"
            )
        arguments = model_arguments(args, source)
        model = MODELS[args.model](**arguments)
        with minidl.no_grad():
            model.eval()(np.zeros((1, *source.train.images.shape[1:]), np.float32))  # images may be too small for it
        model.train()
    except ValueError as error:
        raise CommandError(error) from error
    mean, std = pixel_statistics(source.train.images)
    inputs = Inputs(source.train.images.shape[1:], source.highest, mean, std, source.train.classes)
    share = min(VALIDATION, MOST / len(source.train))
    training, validation = random_split(source.train, [1 - share, share], seed=args.seed)
    folder = make_folder(args.out)
    augmentation = make_augmentation(args.augment, source.kind, inputs.shape[1:])
    loader = DataLoader(
        training, args.batch, shuffle=True, seed=args.seed, transform=Compose([*augmentation, inputs.normalize()])
    )
    optimizer = make_optimizer(args, model)
    trainer = Trainer(model, optimizer, functools.partial(F.cross_entropy, label_smoothing=args.label_smoothing))
    if not args.quiet:
        describe(args, source, model, arguments, len(training), len(validation))
    try:
        history = trainer.fit(
            loader,
            as_trained(validation, inputs) if len(validation) else None,
            epochs=args.epochs,
            callbacks=[*make_schedule(args, optimizer, len(loader)), CSVLogger(folder / METRICS)],
            progress=not args.quiet,
        )
    except FloatingPointError as error:
        raise CommandError(f"training stopped, {error}; a smaller --lr may help") from error
    options = {key: value for key, value in vars(args).items() if key not in ("command", "model", "out", "quiet")}
    if Path(args.data).is_dir():
        options["data"] = str(Path(args.data).resolve())  # `predict` may run elsewhere
    save_run(folder, model, args.model, arguments, inputs, options)
    score = trainer.evaluate(as_trained(source.test, inputs))["accuracy"]
    print(f"test accuracy {100 * score:.2f} % ({round(score * len(source.test))} of {len(source.test)})")
    draw(history, folder)
    if not args.quiet:
        print(f"saved in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
        print(f"next: minidl predict {folder}")
    return 130 if history.interrupted else 0


def model_arguments(args, source):
    """What the model is made with."""
    channels, height, width = source.train.images.shape[1:]
    classes = len(source.train.classes)
    if args.hidden is not None and args.model != "mlp":
        raise CommandError(f"--hidden: {args.model} has no hidden layers to choose; only mlp has")
    if args.depth is not None and args.model not in ("resnet", "densenet"):
        raise CommandError(f"--depth: {args.model} has no depth to choose; only resnet and densenet have")
    if args.size is not None and source.kind != "unknown":
        raise CommandError(f"--size: {source.name} has a size of its own; only images in sub-folders are resized")
    if args.model == "mlp":
        return {"widths": [channels * height * width, *(args.hidden or [128, 64]), classes]}
    arguments = {"channels": channels, "classes": classes}
    if args.model == "lenet5":
        return {**arguments, "size": [height, width]}
    if args.model == "resnet":
        return {**arguments, "depth": args.depth or 8}
    if args.model == "densenet":
        layers, rest = divmod((args.depth or 22) - 4, 3)
        if rest or layers < 1:
            raise CommandError(f"--depth: densenet: got {args.depth}, expected 3 n + 4: 7, 10, 13, ... 22, ... 40")
        return {**arguments, "layers": [layers] * 3}
    return arguments


def make_augmentation(strength, kind, size):
    """Transforms for images of a kind; what may be mirrored is."""
    if strength == "none":
        return []
    strong = strength == "strong"
    covered = [Cutout(max(1, min(size) // 4))] if strong else []
    if kind == "objects":
        return [RandomHorizontalFlip(), RandomCrop(size, padding=min(size) // 8, padding_mode="reflect"), *covered]
    shift = 0.1 if strong else 0.07
    return [RandomAffine(15 if strong else 10, (shift, shift), (0.85, 1.15) if strong else (0.9, 1.1)), *covered]


def make_optimizer(args, model):
    """The optimizer that was asked for."""
    kind = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW}[args.optimizer]
    settings = {"momentum": 0.9} if args.optimizer == "sgd" else {}
    if args.weight_decay is not None:
        settings["weight_decay"] = args.weight_decay
    return kind(model.parameters(), lr=args.lr, **settings)


def make_schedule(args, optimizer, steps_per_epoch):
    """Callbacks that change the learning rate."""
    steps = args.epochs * steps_per_epoch
    if args.schedule == "exponential":
        return [LRScheduler(ExponentialLR(optimizer, DECAY))]
    if args.schedule == "cosine":
        return [LRScheduler(CosineAnnealingLR(optimizer, steps), per_batch=True)]
    if args.schedule == "onecycle":
        return [LRScheduler(OneCycleLR(optimizer, args.lr, steps), per_batch=True)]
    return []


def as_trained(images, inputs):
    """A loader of images that are normalised like those of the training."""
    return DataLoader(images, EVALUATION_BATCH, seed=0, transform=inputs.normalize())


def describe(args, source, model, arguments, training, validation):
    """Say what is about to happen."""
    shape = "x".join(map(str, source.train.images.shape[1:]))
    print(
        f"{source.name}: {training:,} images of {shape} to train with, {validation:,} to validate, "
        f"{len(source.test):,} to test; {len(source.train.classes)} classes"
    )
    parameters = sum(parameter.array.size for parameter in model.parameters())
    made = ", ".join(f"{key}={value}" for key, value in arguments.items())
    print(f"{args.model}({made}): {parameters:,} parameters")
    print(
        f"{args.optimizer}, learning rate {args.lr:g} ({args.schedule}), {args.epochs} epochs, "
        f"batches of {args.batch}, augmentation: {args.augment}"
    )


def make_folder(out):
    """The run's folder; by default one named after the time."""
    folder = Path(out) if out else Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is not writable")
    except OSError as error:
        raise CommandError(f"--out: cannot make the folder {folder}: {error}") from error
    return folder


def draw(history, folder):
    """The curves, where Matplotlib is there to draw them."""
    if not len(history):
        return
    try:
        plot_curves(history, folder / CURVES)
    except ImportError:
        print(f"no {CURVES}: it needs matplotlib: pip install 'minidl[train]'")
