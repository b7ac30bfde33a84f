"""Examine the sick, apply what is prescribed, and train: how many come within 5 points of their healthy twins?

python -m zoo.curing [--seeds 1] [--half choose] [patients or diseases ...]

For each patient: an examination of 20 batches with trials of 100 steps, then the first prescription of the surest
verdicts; where that does not help, the second one instead of it. Each is trained for as many steps as the patient.
Those whose data says nothing (shuffled labels, constant inputs, masked targets) count as not cured, and apart: nothing
that is done to a model brings them back, and all that can be asked for is the advice to look at the data.
"""

import argparse
import time
from collections import Counter
from dataclasses import replace

import numpy as np

import minidl as dl
from minidl import diagnose
from minidl.diagnose.cure import ranked
from minidl.diagnose.prescriptions import Advice
from zoo import DISEASES, minidl_zoo
from zoo.datasets import available
from zoo.diseases import select

BATCHES, TRIAL, NEAR = 20, 100, 0.05
LOST = {"constant", "shuffle_labels", "ignore"}  # what was done to data from which nothing can be learned


def report_on(patient, case):
    """The examination."""
    batches = [batch for batch, _ in zip(case.batches, range(BATCHES), strict=False)]
    return diagnose.examine(case.model, case.loss_fn, batches, case.optimizer, steps=TRIAL, clip_norm=patient.clip)


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
    try:
        patients = select(args.names, args.half)
    except ValueError as error:
        parser.error(str(error))
    dl.set_num_threads(1)  # two would only wait for each other
    first, either, lost, advised, all_of = (Counter() for _ in range(5))
    twins: dict[tuple, float] = {}
    for patient in filter(available, patients):
        for seed in range(args.seeds):
            began, twin, disease = time.perf_counter(), patient.healthy(), patient.disease
            key = (str(replace(twin, name="", half="")), seed)
            if key not in twins:
                twins[key] = minidl_zoo.train(twin, seed).score
            healthy, hopeless = twins[key], any(operation in LOST for operation, *_ in patient.done)
            tried = cure(patient, seed, healthy)
            helped = [score is not None and score >= healthy - NEAR for _, score in tried]
            all_of[disease] += 1
            first[disease] += helped[:1] == [True]
            either[disease] += any(helped)
            lost[disease] += hopeless
            advised[disease] += hopeless and bool(tried) and isinstance(tried[0][0], Advice)
            mark = " " if any(helped) else "-" if hopeless else "X"
            what = "; ".join(f"{p}" if score is None else f"{p} -> {score:.1%}" for p, score in tried) or "no verdict"
            seconds = time.perf_counter() - began
            print(f"{mark} {patient.name:28s} {seed} healthy {healthy:6.1%}: {what} ({seconds:.0f} s)", flush=True)
    columns = (first, either, lost, advised, all_of)
    print(f"\n{'disease':26s} {'first':>6s} {'or second':>10s} {'lost data':>10s} {'so advised':>11s} {'all':>5s}")
    for disease in (*DISEASES, None):
        counts = [sum(c.values()) if disease is None else c[disease] for c in columns]
        if counts[-1]:
            print("{:26s} {:6d} {:10d} {:10d} {:11d} {:5d}".format(disease or "all", *counts))
    done, hopeless, total = (sum(c.values()) for c in (either, lost, all_of))
    if total:
        apart = done / max(total - hopeless, 1)
        print(f"within 5 points after the first or second: {done / total:.1%} of all, {apart:.1%} without lost data")


if __name__ == "__main__":
    main()
