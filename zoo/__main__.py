"""Train the sick and their twins.

python -m zoo [--framework minidl] [--seeds 3] [--half choose] [patients or diseases ...]
"""

import argparse
import importlib
import time

import numpy as np

from zoo.datasets import available
from zoo.diseases import select

HEALTHY, APART = 85.0, 5.0  # percent: every healthy twin's score, and how far below the sick one's is


def outcome(histories):
    """The training loss at the end, the score, and how many diverged, as text; the scores in percent."""
    diverged = sum(h.diverged is not None for h in histories)
    end = np.mean([np.mean(h.losses[-50:] or [np.nan]) for h in histories])
    scores = np.array([100 * h.score for h in histories])
    return f"{end:9.3g} {scores.mean():5.1f} %" + (
        f", {diverged} of {len(histories)} diverged" if diverged else ""
    ), scores


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="patients or diseases (default: all)")
    parser.add_argument("--framework", choices=("minidl", "torch"), default="minidl")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--half", choices=("choose", "report"), help="only this half of the zoo (default: both)")
    args = parser.parse_args(argv)
    try:
        patients = select(args.names, args.half)
    except ValueError as error:
        parser.error(str(error))
    framework = importlib.import_module(args.framework)
    framework.set_num_threads(1)  # two would only wait for each other
    train = importlib.import_module(f"zoo.{args.framework}_zoo").train
    print(f"{'patient':32s} {'healthy: loss, score':22s} sick: loss, score")
    apart = []
    for patient in patients:
        if not available(patient):
            print(f"{patient.name:32s} needs MNIST; MINIDL_DATA names the folder with the real data sets")
            continue
        began = time.perf_counter()
        rows = [[train(p, seed) for seed in range(args.seeds)] for p in (patient.healthy(), patient)]
        (well, healthy), (ill, sick) = map(outcome, rows)
        apart.append(healthy.min() >= HEALTHY and (healthy - sick).min() >= APART)
        mark = "" if apart[-1] else "  too close"
        print(f"{patient.name:32s} {well:22s} {ill:38s} {time.perf_counter() - began:5.1f} s{mark}", flush=True)
    print(f"{sum(apart)} of {len(apart)}: the healthy reach {HEALTHY:.0f} %, the sick stay {APART:.0f} points below")


if __name__ == "__main__":
    main()
