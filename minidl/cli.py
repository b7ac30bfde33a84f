"""The command line: what can be asked for, and how what goes wrong is told."""

import argparse
import math
import os
import sys

import minidl


class CommandError(Exception):
    """Something the user can mend; shown in one line, without a traceback."""

    status = 1


def integer(low, high=None):
    """Argument type: an integer from `low` to `high`."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < low or high is not None and value > high:
            limits = f"at least {low}" if high is None else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer {limits}")
        return value

    return parse


def number(text):
    """The number in a text; NaN if there is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def positive(text):
    """Argument type: a finite number above 0."""
    value = number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number above 0")
    return value


def not_negative(text):
    """Argument type: a finite number, 0 or above."""
    value = number(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of at least 0")
    return value


def layer_sizes(text):
    """Argument type: hidden layers, ``64,32``."""
    try:
        return [integer(1, 65536)(part) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected sizes such as 64 or 128,64") from None


def fraction(text):
    """Argument type: a number from 0 to 1, without 1."""
    value = number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 0 to 1, without 1")
    return value


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells the defaults, where there are some to tell."""

    def _get_help_string(self, action):
        return super()._get_help_string(action) if action.default else action.help


def make_parser():
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="minidl", description=minidl.__doc__)
    parser.add_argument("--version", action="version", version=f"minidl {minidl.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)

    def command(name, text, **kwargs):
        sub = commands.add_parser(name, help=text, description=text, formatter_class=Formatter)
        sub.add_argument("--threads", type=integer(1, 1024), default=minidl.get_num_threads(), help="threads to use")
        return sub

    train = command("train", "train a network: on images, by default handwritten digits, or on the text in a file")
    train.add_argument("--task", choices=["images", "chars"], default="images", help="what the network reads")
    image_models, text_models = ["mlp", "small_cnn", "lenet5", "resnet", "densenet"], ["lstm", "gru", "rnn"]
    train.add_argument(
        "--model", choices=image_models + text_models, help="kind of network; by default mlp, for characters lstm"
    )
    train.add_argument(
        "--data",
        metavar="PATH",
        help="a folder: MNIST's idx files, CIFAR's .bin files, or a sub-folder of images per class; by default digits, "
        "which come with minidl; for characters a text file",
    )
    train.add_argument(
        "--hidden",
        type=layer_sizes,
        metavar="N,N",
        help="hidden layers of mlp, by default 128,64; for characters the size of the state, by default 256",
    )
    train.add_argument(
        "--epochs",
        type=integer(1),
        help="passes through the training data; by default 30 (mlp) or so, for characters what makes 2,000 steps",
    )
    train.add_argument(
        "--batch", type=integer(1), help="images or streams of text per step; by default 32 (mlp) to 128 (resnet)"
    )
    train.add_argument("--lr", type=positive, help="learning rate, at its largest; by default one that suits the model")
    schedules = ["constant", "exponential", "cosine", "onecycle"]
    train.add_argument(
        "--schedule", choices=schedules, help="of the learning rate; by default onecycle, for mlp exponential"
    )
    train.add_argument("--optimizer", choices=["sgd", "adam", "adamw"], default="adam", help="update rule")
    train.add_argument("--weight-decay", type=fraction, metavar="X", help="by default 0, for adamw 0.01")
    train.add_argument("--seed", type=integer(0, 2**63 - 1), default=0, help="decides weights and order of the images")
    train.add_argument("--out", metavar="FOLDER", help="where to leave the results; by default runs/ and the time")
    train.add_argument("--quiet", action="store_true", help="no progress, only the result")

    images = train.add_argument_group("only for --task images")
    images.add_argument("--size", type=integer(1, 4096), metavar="N", help="resize images in sub-folders to N x N")
    images.add_argument("--depth", type=integer(1), help="of resnet (8, 14, 20, ...) or densenet (10, 16, 22, ...)")
    augmentations = ["none", "light", "strong"]
    images.add_argument("--augment", choices=augmentations, help="random changes to training images; by default none")
    images.add_argument("--label-smoothing", type=fraction, metavar="X", help="share of other classes; by default 0")

    chars = train.add_argument_group("only for --task chars")
    chars.add_argument("--layers", type=integer(1), metavar="N", help="on top of each other; by default 1")
    chars.add_argument("--dropout", type=fraction, metavar="X", help="share of outputs left out; by default 0.2")
    chars.add_argument("--length", type=integer(1), metavar="N", help="steps that gradients go back; by default 64")

    predict = command("predict", "let a trained network classify images: those it was tested with, or your own")
    predict.add_argument("run", metavar="RUN_FOLDER", help="what `minidl train` left")
    predict.add_argument(
        "--input",
        metavar="PATH",
        help="a .csv or .npy file with the pixels of an image per row, in the range of the training data (0 to 255; "
        "digits: 0 to 16), an idx file, a picture, or a folder of pictures",
    )

    generate = command("generate", "let a network that was trained on characters write a text")
    generate.add_argument("run", metavar="RUN_FOLDER", help="what `minidl train --task chars` left")
    generate.add_argument("--length", type=integer(1), default=500, metavar="N", help="how many characters to write")
    generate.add_argument(
        "--temperature",
        type=not_negative,
        default=0.8,
        metavar="X",
        help="0: always the likeliest character; 1: as often as the network expects it; above: bolder",
    )
    generate.add_argument("--prompt", default="", metavar="TEXT", help="what the text begins with")
    generate.add_argument("--seed", type=integer(0, 2**63 - 1), default=0, help="decides what is written")

    diagnose = command("diagnose", "find out what keeps a model of your own from learning, where, and what may help")
    diagnose.add_argument(
        "target",
        metavar="MODULE:FUNCTION",
        help="a function in a module, or in a file (path/to/file.py:FUNCTION), that takes nothing and returns "
        "(model, loss_fn, batches) or (model, loss_fn, batches, optimizer); the first 20 batches are looked at; "
        "the exit status is 0 if the model is healthy, 1 if something was found, 2 if it could not be examined",
    )
    diagnose.add_argument(
        "--steps",
        type=integer(0),
        metavar="N",
        help="length of the trials of learning rates; 0 for none, by default 50",
    )
    diagnose.add_argument("--out", metavar="FOLDER", help="where to leave the report as an HTML file")
    diagnose.add_argument("--cure", action="store_true", help="try what is prescribed, and tell what helped")

    command("info", "what minidl runs on")

    warmup = command("warmup", "compile all backward kernels now rather than when they are first needed")
    warmup.add_argument("--float64", action="store_true", help="those for float64 too")
    return parser


def main(argv=None):
    """Run one command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, 1 where something was wrong with files or data, 130 after Ctrl-C. Wrong options exit with 2.
        Those of `diagnose` are told by its help.
    """
    args = make_parser().parse_args(argv)
    try:
        from minidl import commands

        minidl.set_num_threads(args.threads)
        return getattr(commands, args.command)(args) or 0
    except KeyboardInterrupt:
        print("minidl: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CommandError, ImportError, OSError) as error:  # a package or a file that is missing, a full disk
        print(f"minidl {args.command}: error: {error}", file=sys.stderr)
        return getattr(error, "status", 1)
