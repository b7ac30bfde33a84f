"""``minidl diagnose``: what keeps a model of the user's own file from learning."""

import importlib
import importlib.util
import itertools
import os
import sys
import traceback
from pathlib import Path

import minidl
from minidl import diagnose as doctor
from minidl.cli import CommandError
from minidl.commands import fitting
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.train.run import REPORT
from minidl.train.trainer import many_times

BATCHES = 20  # at most so many are examined
STEPS = 50  # of the trials, where there is an optimizer
NOT_THE_USERS = (str(Path(minidl.__file__).parent), "<frozen")
EXPECTED = "(model, loss_fn, batches) or (model, loss_fn, batches, optimizer)"


class DiagnosisError(CommandError):
    """No diagnosis could be made; 1 is for one that found something."""

    status = 2


def diagnose(args):
    """Examine what a function returns; exit status 0 if it is healthy, 1 if not."""
    try:
        model, loss_fn, batches, optimizer = patient(args.target)
        if optimizer is None and (args.cure or args.steps):
            raise CommandError(f"{'--cure' if args.cure else '--steps'}: {args.target} returned no optimizer to try")
        steps = args.steps if args.steps is not None else STEPS if optimizer is not None else 0
        first = list(itertools.islice(batches, BATCHES))
        report = carefully(args.target, doctor.examine, model, loss_fn, first, optimizer, steps=steps)
        report.show()
        if args.out:
            path = fitting.make_folder(args.out) / REPORT
            report.save_html(path)
            print(f"\nreport: {path}")
        if args.cure:
            many = batches if many_times(batches) else first
            cured = carefully(args.target, doctor.cure, model, loss_fn, many, optimizer, report=report)
            print(f"\n{cured.outcome()}")
    except (CommandError, OSError, ImportError) as error:
        raise DiagnosisError(error) from error
    return 0 if report.healthy else 1


def patient(target):
    """Model, loss, batches and optimizer (or None), as a user's function returns them; CommandError if it does not."""
    returned = carefully(target, function_of(target))
    if not isinstance(returned, tuple) or len(returned) not in (3, 4):
        what = f"{len(returned)} values" if isinstance(returned, tuple) else type(returned).__name__
        raise CommandError(f"{target} returned {what}, expected {EXPECTED}")
    model, loss_fn, batches, optimizer = (*returned, None)[:4]
    for name, value, fits, wanted in (
        ("model", model, isinstance(model, Module), "a Module"),
        ("loss_fn", loss_fn, callable(loss_fn), "a function"),
        ("batches", batches, hasattr(batches, "__iter__"), "a tuple (*inputs, target), or a list or loader of them"),
        ("optimizer", optimizer, isinstance(optimizer, (Optimizer, type(None))), "an Optimizer"),
    ):
        if not fits:
            raise CommandError(f"{target} returned {EXPECTED}, but {name} is a {type(value).__name__}, not {wanted}")
    return model, loss_fn, [batches] if isinstance(batches, tuple) else batches, optimizer


def function_of(target):
    """The function that ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION`` names."""
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise CommandError(f"got {target!r}, expected MODULE:FUNCTION or path/to/file.py:FUNCTION")
    module = carefully(target, from_file if place.endswith(".py") else from_path, place)
    function = getattr(module, name, None)
    if not callable(function):
        raise CommandError(f"{place} has no function {name}")
    return function


def from_file(place):
    """The module in a file, which may import its neighbours."""
    path = Path(place)
    if not path.is_file():
        raise CommandError(f"no such file: {place}")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # as its name ends with .py
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def from_path(place):
    """The module of a name, also from the folder that the command runs in."""
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and f"{place}.".startswith(f"{error.name}."):
            raise CommandError(f"no module named {place} here ({os.getcwd()}) or among the installed ones") from error
        raise


def carefully(target, function, *args, **kwargs):
    """Call what runs a user's code: whatever that raises becomes a sentence that says where."""
    try:
        return function(*args, **kwargs)
    except CommandError:
        raise
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(NOT_THE_USERS)]
        place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        raise CommandError(f"{target}: {type(error).__name__}: {error}{place}") from error
