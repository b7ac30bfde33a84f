"""Examine the sick, apply what is prescribed, and train: how many come within 5 points of their healthy twins?

python -m zoo.curing [--seeds 1] [--half choose] [--healthy FILE] [patients or diseases ...]

For each patient: an examination of 8 batches with trials of 100 steps, then the first prescription of the surest
verdicts; where that does not help, the second one instead of it. Each is trained for as many steps as the patient.
"""

import argparse
import time
from collections import Counter

import numpy as np

import minidl as dl
from minidl import diagnose
from minidl.diagnose.prescriptions import Advice
from zoo import DISEASES, PATIENTS, minidl_zoo
from zoo.datasets import available

BATCHES, TRIAL, NEAR = 8, 100, 0.05
BY_HAND = "by hand"  # nothing that could be applied


def report_on(patient, case):
    """The examination."""
    batches = [batch for batch, _ in zip(case.batches, range(BATCHES), strict=False)]
    return diagnose.examine(case.model, case.loss_fn, batches, case.optimizer, steps=TRIAL, clip_norm=patient.clip)


def ranked(report):
    """What is prescribed: the first prescription of every verdict, surest first, then the second of each, and so on."""
    depth = max((len(verdict.prescriptions) for verdict in report), default=0)
    found, seen = [], set()
    for i in range(depth):
        for verdict in report:
            for prescription in verdict.prescriptions[i : i + 1]:
                if str(prescription) not in seen:
                    seen.add(str(prescription))
                    found.append(prescription)
    return found


def train(patient, case, prescription):
    """Score on the test set after a whole training with a prescription."""
    course = diagnose.Course(case.model, case.loss_fn, case.optimizer, patient.clip)
    course = prescription.apply(course)
    losses = course.train(list(case.batches), patient.steps)
    loss, score = minidl_zoo.examine(case._replace(model=course.model, loss_fn=course.loss_fn))
    return score if np.isfinite(losses[-1]) else 0.0


def cure(patient, seed, healthy):
    """(what was tried, score) of the first and, if need be, the second prescription; they stop where one is enough."""
    case = minidl_zoo.build(patient, seed)
    dl.manual_seed(seed)
    tried = []
    for prescription in ranked(report_on(patient, case))[:2]:
        if isinstance(prescription, Advice):
            tried.append((prescription, None))
            continue
        try:
            tried.append((prescription, train(patient, case, prescription)))
        except (ValueError, TypeError, RuntimeError) as error:
            tried.append((f"{prescription}: {type(error).__name__}: {error}", 0.0))
        if tried[-1][1] >= healthy - NEAR:
            break
    return tried


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="patients or diseases (default: all)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--half", choices=("choose", "report"), help="only this half of the zoo (default: both)")
    args = parser.parse_args(argv)
    unknown = set(args.names) - set(DISEASES) - {p.name for p in PATIENTS}
    if unknown:
        parser.error(f"no such patient or disease: {', '.join(sorted(unknown))}")
    dl.set_num_threads(1)  # two would only wait for each other
    first, either, by_hand, all_of = Counter(), Counter(), Counter(), Counter()
    twins = {}
    for patient in PATIENTS:
        meant = not args.names or {patient.name, patient.disease} & set(args.names)
        if not meant or args.half not in (None, patient.half) or not available(patient):
            continue
        for seed in range(args.seeds):
            began, twin = time.perf_counter(), patient.healthy()
            key = str([value for name, value in vars(twin).items() if name not in ("name", "half")]) + str(seed)
            if key not in twins:
                twins[key] = minidl_zoo.train(twin, seed).score
            healthy = twins[key]
            tried = cure(patient, seed, healthy)
            scores = [score for _, score in tried if score is not None]
            helped = [score >= healthy - NEAR for score in scores]
            all_of[patient.disease] += 1
            first[patient.disease] += bool(tried and tried[0][1] is not None and helped[0])
            either[patient.disease] += any(helped)
            by_hand[patient.disease] += not any(helped) and any(score is None for _, score in tried)
            mark = " " if any(helped) else "H" if any(score is None for _, score in tried) else "X"
            what = "; ".join(f"{p} -> {BY_HAND if score is None else f'{score:.1%}'}" for p, score in tried)
            seconds = time.perf_counter() - began
            print(
                f"{mark} {patient.name:28s} {seed} healthy {healthy:6.1%}: {what or 'no verdict'} ({seconds:.0f} s)",
                flush=True,
            )
    print(f"\n{'disease':26s} {'first':>7s} {'first or second':>16s} {'by hand':>8s} {'all':>4s}")
    for disease in (*DISEASES, None):
        count = [sum(c.values()) if disease is None else c[disease] for c in (first, either, by_hand, all_of)]
        if count[3]:
            print(f"{disease or 'all':26s} {count[0]:7d} {count[1]:16d} {count[2]:8d} {count[3]:4d}")
    total, hand = sum(all_of.values()), sum(by_hand.values())
    if total:
        print(
            f"within 5 points after the first or second: {sum(either.values()) / total:.0%} of all, "
            f"{sum(either.values()) / max(total - hand, 1):.0%} of those that need no hand"
        )


if __name__ == "__main__":
    main()
