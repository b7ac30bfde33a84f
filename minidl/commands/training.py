"""``minidl train`` on images."""

import functools
from dataclasses import asdict
from pathlib import Path

import numpy as np

import minidl
from minidl import functional as F
from minidl.cli import CommandError
from minidl.commands import fitting
from minidl.commands.fitting import Recipe
from minidl.data import DataLoader, random_split
from minidl.data.source import find_images, pixel_statistics
from minidl.data.transforms import Compose, Cutout, RandomAffine, RandomCrop, RandomHorizontalFlip
from minidl.diagnose import Monitor
from minidl.train import Trainer
from minidl.train.run import MODELS, Inputs, save_run
from minidl.train.trainer import EVALUATION_BATCH

VALIDATION, MOST = 0.1, 2000  # of the training data, to draw curves from: the test data are looked at once, at the end

RECIPES = {
    "mlp": Recipe(30, 32, "exponential", 0.002, 0.05),
    "small_cnn": Recipe(15, 64, "onecycle", 0.01, 0.1),
    "lenet5": Recipe(15, 64, "onecycle", 0.004, 0.05),
    "resnet": Recipe(30, 128, "onecycle", 0.01, 0.1),
    "densenet": Recipe(30, 64, "onecycle", 0.01, 0.1),
}


def train(args):
    """Train a model that classifies images; leaves the run's folder."""
    args.data, args.augment = args.data or "digits", args.augment or "none"
    fitting.follow(RECIPES[args.model], args)
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
    folder = fitting.make_folder(args.out)
    augmentation = make_augmentation(args.augment, source.kind, inputs.shape[1:])
    loader = DataLoader(
        training, args.batch, shuffle=True, seed=args.seed, transform=Compose([*augmentation, inputs.normalize()])
    )
    loss = functools.partial(F.cross_entropy, label_smoothing=args.label_smoothing or 0.0)
    optimizer = fitting.make_optimizer(args, model)
    trainer = Trainer(model, optimizer, loss, monitor=Monitor(model, optimizer))
    if not args.quiet:
        describe(args, source, model, arguments, len(training), len(validation))
    history = fitting.fit(trainer, loader, as_trained(validation, inputs) if len(validation) else None, args, folder)
    if Path(args.data).is_dir():
        args.data = str(Path(args.data).resolve())  # `predict` may run elsewhere
    save_run(folder, model, args.model, arguments, asdict(inputs), fitting.options(args))
    score = trainer.evaluate(as_trained(source.test, inputs))["accuracy"]
    print(f"test accuracy {100 * score:.2f} % ({round(score * len(source.test))} of {len(source.test)})")
    return fitting.finish(trainer, history, args, folder, "predict")


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
    fitting.describe_model(args.model, model, arguments)
    print(
        f"{args.optimizer}, learning rate {args.lr:g} ({args.schedule}), {args.epochs} epochs, "
        f"batches of {args.batch}, augmentation: {args.augment}"
    )
