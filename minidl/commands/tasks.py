"""``minidl train``: for which task."""

from minidl.cli import CommandError
from minidl.commands import characters, training

TASKS = {"images": training, "chars": characters}
OWN_OPTIONS = {"images": ("size", "depth", "augment", "label_smoothing"), "chars": ("layers", "dropout", "length")}


def train(args):
    """Train a model for a task, with the options that this task has."""
    models = list(TASKS[args.task].RECIPES)
    args.model = args.model or models[0]
    if args.model not in models:
        raise CommandError(f"--model: got {args.model}, expected {', '.join(models)} for --task {args.task}")
    for task, names in OWN_OPTIONS.items():
        for name in names:
            if task != args.task and getattr(args, name) is not None:
                raise CommandError(f"--{name.replace('_', '-')}: only for --task {task}")
    return TASKS[args.task].train(args)
