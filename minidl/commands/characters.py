"""``minidl train --task chars`` and ``minidl generate``: characters of a text."""

import math
import sys
from pathlib import Path

from minidl.cli import CommandError
from minidl.commands import fitting
from minidl.commands.fitting import Recipe
from minidl.data import TextSequences, Vocabulary, read_text
from minidl.diagnose import Monitor
from minidl.models import char_lm
from minidl.train import EarlyStopping, LanguageTrainer, language
from minidl.train.run import load_run, save_run

HIDDEN, LAYERS, DROPOUT, LENGTH = 256, 1, 0.2, 64
CLIP = 1.0  # largest norm of the gradients
STEPS = 2000  # about as many are made where --epochs does not say otherwise

RECIPES = {
    "lstm": Recipe(None, 64, "onecycle", 0.004, 2.0),
    "gru": Recipe(None, 64, "onecycle", 0.004, 2.0),
    "rnn": Recipe(None, 64, "onecycle", 0.003, 0.3),
}


def train(args):
    """Train a model on the characters of a text; leaves the run's folder."""
    fitting.follow(RECIPES[args.model], args)
    args.length = args.length or LENGTH
    if args.data is None:
        raise CommandError("--data: expected a text file, for --task chars")
    try:
        text = read_text(args.data)
        vocabulary = Vocabulary.characters(text)
    except ValueError as error:
        raise CommandError(error) from error
    arguments = model_arguments(args, vocabulary)
    training, validation = streams(vocabulary.encode(text), args)
    args.epochs = args.epochs or max(1, round(STEPS / len(training)))
    model = char_lm(**arguments)
    optimizer = fitting.make_optimizer(args, model)
    trainer = LanguageTrainer(model, optimizer, clip_norm=CLIP, monitor=Monitor(model, optimizer))
    folder = fitting.make_folder(args.out)
    if not args.quiet:
        describe(args, text, model, arguments, len(training))
    best = EarlyStopping(patience=args.epochs, restore_best_weights=True)  # a short text is soon known by heart
    history = fitting.fit(trainer, training, validation, args, folder, [best])
    args.data = str(Path(args.data).resolve())
    inputs = {"tokens": "".join(vocabulary.tokens)}
    save_run(folder, model, char_lm.__name__, arguments, inputs, fitting.options(args))
    nats = trainer.evaluate(validation)["loss"]
    print(f"validation loss {nats:.4f} nats per character ({nats / math.log(2):.4f} bits)")
    return fitting.finish(trainer, history, args, folder, "generate")


def streams(ids, args):
    """The text in batches: to train with, and its last tenth to validate."""
    least = max(-(-10 * (args.length * args.batch + 1) // 9), 10 * args.length + 1)
    if len(ids) < least:
        raise CommandError(
            f"--data: {args.data}: got {len(ids):,} characters, expected at least {least:,} to train with "
            f"{args.batch} streams of {args.length}; smaller --batch and --length need fewer"
        )
    end = len(ids) * 9 // 10
    side_by_side = min(args.batch, (len(ids) - end - 1) // args.length)
    return (
        TextSequences(ids[:end], args.length, args.batch),
        TextSequences(ids[end:], args.length, side_by_side),
    )


def model_arguments(args, vocabulary):
    """What the model is made with."""
    if args.hidden is not None and len(args.hidden) > 1:
        raise CommandError(f"--hidden: {args.model} has layers of one size; got {len(args.hidden)}, see --layers")
    return {
        "vocabulary_size": len(vocabulary),
        "hidden": args.hidden[0] if args.hidden else HIDDEN,
        "layers": args.layers or LAYERS,
        "dropout": DROPOUT if args.dropout is None else args.dropout,
        "cell": args.model,
    }


def describe(args, text, model, arguments, steps):
    """Say what is about to happen."""
    training = len(text) * 9 // 10
    print(f"{args.data}: {training:,} characters to train with, {len(text) - training:,} to validate")
    fitting.describe_model(char_lm.__name__, model, arguments)
    print(
        f"{args.optimizer}, learning rate {args.lr:g} ({args.schedule}), {args.epochs} epochs of {steps} steps, "
        f"batches of {args.batch} streams of {args.length} characters"
    )


def generate(args):
    """Write a text with a trained model."""
    try:
        model, vocabulary, _ = load_run(args.run)
        if not isinstance(vocabulary, Vocabulary):
            raise ValueError(f"{args.run} holds a model of images, which cannot write; try minidl predict")
        if len(vocabulary) != model.fc.out_features:
            raise ValueError(
                f"{args.run}: got {len(vocabulary)} characters for a model of {model.fc.out_features}, "
                "expected the model.json that minidl train wrote"
            )
    except ValueError as error:
        raise CommandError(error) from error
    start = "\n" if "\n" in vocabulary.tokens else vocabulary.tokens[0]
    try:
        prompt = vocabulary.encode(args.prompt or start)
    except ValueError as error:
        raise CommandError(f"--prompt: {error}") from error
    sys.stdout.write(args.prompt)
    for token in language.generate(model, prompt, args.length, args.temperature, args.seed):
        sys.stdout.write(vocabulary.tokens[token])
    sys.stdout.write("\n")
