"""What `minidl train` does for every task: recipes, optimizers, schedules, the run's folder."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import minidl
from minidl import optim, serialize
from minidl.cli import CommandError
from minidl.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR
from minidl.train import CSVLogger, LRScheduler
from minidl.train.plot import plot_curves
from minidl.train.run import CURVES, METRICS, REPORT

DECAY = 0.95  # of the learning rate, per epoch, in the exponential schedule


@dataclass(frozen=True)
class Recipe:
    """What is done where the options do not say otherwise."""

    epochs: int | None  # None: as many as the task takes for enough
    batch: int
    schedule: str
    adam: float
    sgd: float


def follow(recipe, args):
    """Begin: the seed, and the options that were not given."""
    serialize.require_package("train")  # rather than after the training
    minidl.manual_seed(args.seed)
    args.epochs, args.batch = args.epochs or recipe.epochs, args.batch or recipe.batch
    args.schedule = args.schedule or recipe.schedule
    args.lr = args.lr or (recipe.sgd if args.optimizer == "sgd" else recipe.adam)


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


def describe_model(name, model, arguments):
    """Say what a model was made with, and how large it is."""
    parameters = sum(parameter.array.size for parameter in model.parameters())
    made = ", ".join(f"{key}={value}" for key, value in arguments.items())
    print(f"{name}({made}): {parameters:,} parameters")


def fit(trainer, training, validation, args, folder, callbacks=()):
    """Train; CommandError where the loss explodes, and a report that says where."""
    schedule = make_schedule(args, trainer.optimizer, len(training))
    try:
        return trainer.fit(
            training,
            validation,
            epochs=args.epochs,
            callbacks=[*schedule, CSVLogger(folder / METRICS), *callbacks],
            progress=not args.quiet,
        )
    except FloatingPointError as error:
        trainer.monitor.report(error).save_html(folder / REPORT)
        raise CommandError(
            f"training stopped, {error}; a smaller --lr may help; {folder / REPORT} has the figures"
        ) from error


def options(args):
    """The options of a run, to be saved with it."""
    left_out = ("command", "model", "out", "quiet")
    return {key: value for key, value in vars(args).items() if key not in left_out and value is not None}


def finish(trainer, history, args, folder, command):
    """Draw the curves, write the report, say what there is and which command uses it; returns the exit status."""
    draw(history, folder)
    report = trainer.monitor.report()
    report.save_html(folder / REPORT, history, trainer.training_step)
    if not args.quiet:
        print(in_short(report, folder / REPORT))
        print(f"saved in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
        print(f"next: minidl {command} {folder}")
    return 130 if history.interrupted else 0


def in_short(report, path):
    """The first verdict of a report, and where the others are."""
    if report.healthy:
        return str(report)
    more = f"and {len(report.verdicts) - 1} more; " if len(report.verdicts) > 1 else ""
    return f"{str(report.verdicts[0]).splitlines()[0]}\n({more}figures and what may help: {path})"


def draw(history, folder):
    """The curves, where Matplotlib is there to draw them."""
    if not len(history):
        return
    try:
        plot_curves(history, folder / CURVES)
    except ImportError:
        print(f"no {CURVES}: it needs matplotlib: pip install 'minidl[train]'")
