"""Diagnose the sick and their twins, with minidl's doctor and with AUTOTRAINER's rules, and count what they find.

python -m zoo.diagnosis [--half report] [--seeds 3] [--rules both] [patients or diseases ...]
"""

import argparse
import warnings
from itertools import islice

import minidl as dl
from minidl import diagnose
from zoo import DISEASES, autotrainer, minidl_zoo
from zoo.datasets import available
from zoo.diseases import select
from zoo.marks import Finding, marks, share

BATCHES, STEPS = 20, 100  # that minidl's doctor sees, and the length of its trials


def minidl(patient, seed):
    """What `diagnose.examine` says of a patient before its training."""
    dl.manual_seed(seed)
    case = minidl_zoo.build(patient, seed)
    batches = list(islice(case.batches, BATCHES))
    report = diagnose.examine(case.model, case.loss_fn, batches, case.optimizer, steps=STEPS, clip_norm=patient.clip)
    return [Finding(v.disease, frozenset([v.disease]), tuple(v.layers), v.time) for v in report.verdicts]


def watched(patient, seed):
    """What AUTOTRAINER says of a patient during its training."""
    dl.manual_seed(seed)
    problem = autotrainer.watch(patient, seed)
    return [] if problem is None else [Finding(problem, frozenset(autotrainer.MEANS[problem]))]


DOCTORS = {"minidl": minidl, "autotrainer": watched}
COLUMNS = {
    "minidl": ("found", "first", "two", "layer", "exact", "step", "any", "alarm"),
    "autotrainer": ("found", "any", "alarm"),
}
MISTAKES = {"found": "missed", "layer": "wrong layer", "step": "wrong step"}


def diagnoses(doctor, patient, seeds):
    """The marks of a doctor for a patient and its twin; what is wrong is printed."""
    given = []
    for seed in range(seeds):
        for p in (patient, patient.healthy()):
            findings = DOCTORS[doctor](p, seed)
            given.append(marks(p, findings))
            wrong = mistake({column: given[-1].get(column) for column in COLUMNS[doctor]})
            if wrong:
                said = "; ".join(map(str, findings)) or "nothing"
                print(f"{doctor:12s} {wrong:12s} {p.name}, seed {seed}: {said}", flush=True)
    return given


def mistake(mark):
    """In words; None if there is none."""
    if mark["alarm"]:
        return "false alarm"
    return next((text for column, text in MISTAKES.items() if mark.get(column) is False), None)


def table(results):
    """Lines of a table: `results` are the marks by doctor and disease."""
    heads = [(doctor, column) for doctor in results for column in COLUMNS[doctor]]
    rows = [["", *(doctor if column == "found" else "" for doctor, column in heads)]]
    rows.append(["disease", *(column for _, column in heads)])
    diseases = [d for d in DISEASES if any(d in by for by in results.values())]
    rows += [[d, *(share(results[doctor][d], column) for doctor, column in heads)] for d in diseases]
    everything = {doctor: [m for given in by.values() for m in given] for doctor, by in results.items()}
    rows.append(["all", *(share(everything[doctor], column) for doctor, column in heads)])
    rows.append(["%", *(percent(cell) for cell in rows[-1][1:])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def percent(cell):
    """The percentage for "3/4"."""
    return f"{100 * int(cell.split('/')[0]) / int(cell.split('/')[1]):.1f}" if cell else ""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="patients or diseases (default: all)")
    parser.add_argument("--half", choices=("choose", "report"), help="only this half of the zoo (default: both)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rules", choices=(*DOCTORS, "both"), default="both")
    args = parser.parse_args(argv)
    try:
        patients = select(args.names, args.half)
    except ValueError as error:
        parser.error(str(error))
    dl.set_num_threads(1)  # two would only wait for each other
    warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, about numbers that are meant to be NaN
    results = {doctor: {} for doctor in DOCTORS if args.rules in (doctor, "both")}
    for patient in patients:
        if not available(patient):
            print(f"{patient.name} needs MNIST; MINIDL_DATA names the folder with the real data sets")
            continue
        for doctor, by_disease in results.items():
            by_disease.setdefault(patient.disease, []).extend(diagnoses(doctor, patient, args.seeds))
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
