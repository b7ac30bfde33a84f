"""Clips that need no threshold, or one for all networks.

P12  A residual network of 20 layers without normalisation, at eight times the learning rate it trains with: adaptive
     clipping per unit (Brock et al. 2021) survives it, without a clip it diverges.
P17  A network for characters, with batches of noise among the others: clips that set their threshold themselves,
     ZClip (Kumar et al. 2025) and AutoClip (Seetharaman et al. 2020), come to the loss of the best threshold.
"""

import functools
import itertools

import numpy as np
from rows import Row, real, train

import minidl as dl
from minidl import functional as F
from minidl import models, nn, optim, stabilize
from minidl.data import DataLoader, Vocabulary, digits
from minidl.data.text import read_text

LAST = 40  # steps that a reported loss is the mean of
THRESHOLDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # among which one would search by hand


def convolutions(width=8):
    """A stem, nine blocks of two convolutions, and a head."""

    def block():
        layers = nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        return nn.Residual(*layers, activation=F.relu, scale=1 / 3)

    stem = nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU()
    return nn.Sequential(*stem, *(block() for _ in range(9)), nn.Flatten(), nn.Linear(16 * width, 10))


def adaptive_clip(seeds=5, steps=150, rate=0.08):
    """P12: the digits, SGD with momentum; who is no better than chance at the end has diverged."""
    for times, clipped, expected in ((1, False, "trains"), (8, False, "diverges"), (8, True, "trains")):
        losses = []
        for seed in range(seeds):
            dl.manual_seed(seed)
            model = convolutions()
            optimizer = optim.SGD(model.parameters(), lr=times * rate, momentum=0.9)
            clip = stabilize.AdaptiveClip(model.parameters()) if clipped else None
            batches = DataLoader(digits(), 32, shuffle=True, drop_last=True, seed=seed)
            losses.append(train(model, optimizer, batches, steps, clip)[-LAST:].mean())
        good = [loss > 2.25 if expected == "diverges" else loss < 2.2 for loss in losses]
        setting = f"20 convolutions, rate x {times}, {'AdaptiveClip' if clipped else 'no clip'}: loss"
        measured = f"{min(losses):.2f} to {max(losses):.2f}, {sum(good)} of {seeds} seeds"
        yield Row(setting, f"{expected}, 4 of 5 seeds", measured, sum(good) >= 0.8 * seeds)


def characters(tokens, size, seed, noise=0.025):
    """Batches of text (T, B), what comes next, and a weight: in some, that is drawn at random and weighs 30 times.

    The first 50 are text: ZClip takes the norms of its first 25 steps for normal ones.
    """
    rng = np.random.default_rng(seed)
    for step in itertools.count():
        pieces = tokens[rng.integers(0, len(tokens) - 32, 16) + np.arange(33)[:, None]]
        outlier = step >= 50 and rng.random() < noise
        following = rng.integers(0, size, (32, 16)) if outlier else pieces[1:].copy()
        yield pieces[:-1].copy(), following, np.float32(30 if outlier else 1)


def learn_to_read(tokens, size, seed, clip_of, steps=500):
    """Mean loss of the last batches of text, behind 500 steps of Adam."""
    dl.manual_seed(seed)
    model = models.char_lm(size, hidden=64, embedding=16, cell="rnn")
    optimizer = optim.Adam(model.parameters(), lr=0.005)

    def loss_of(scores, following, weight):
        return F.cross_entropy(scores.flatten(0, 1), following.flatten()) * weight

    batches, clip = characters(tokens, size, seed), clip_of(list(model.parameters()))
    losses = train(lambda x: model(x)[0], optimizer, batches, steps, clip, loss_of)
    text = [weight == 1 for _, (_, _, weight) in zip(range(steps), characters(tokens, size, seed), strict=False)]
    return losses[text][-LAST:].mean()


def clips_that_tune_themselves(seeds=3):
    """P17: tanh, 64 units, Tiny Shakespeare; in one of 40 batches, noise with 30 times the weight."""
    text = read_text(real("tinyshakespeare/input.txt"))[:200_000]
    vocabulary = Vocabulary.characters(text)
    tokens = vocabulary.encode(text)

    def mean_loss(clip_of):
        return np.mean([learn_to_read(tokens, len(vocabulary), seed, clip_of) for seed in range(seeds)])

    def threshold(bound):
        return lambda parameters: functools.partial(nn.utils.clip_grad_norm_, parameters, bound)

    losses = {bound: mean_loss(threshold(bound)) for bound in THRESHOLDS}
    best = min(losses, key=losses.get)
    limit = 1.02 * losses[best]
    none = mean_loss(lambda parameters: None)
    yield Row(
        "RNN with outliers, no clip: loss", "above the best clip + 2 %", f"{none:.3f}", none > 1.02 * losses[best]
    )
    for name, clip_of in (("ZClip", stabilize.ZClip), ("AutoClip", stabilize.AutoClip)):
        loss = mean_loss(clip_of)
        expected = f"at most {limit:.3f} (clip {best:g}: {losses[best]:.3f})"
        yield Row(f"RNN with outliers, {name}: loss", expected, f"{loss:.3f}, mean of {seeds} seeds", loss <= limit)


ROWS = {"P12": adaptive_clip, "P17": clips_that_tune_themselves}
