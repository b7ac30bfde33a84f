"""Published numbers about gradients that vanish and explode: what is expected beside what was measured.

    python examples/numbers [T1 P7 ...]

Signals before training are in signals.py, training at great depth in depth.py, clipping in clipping.py; T4, P1, P3
and P4, which need a memory, in ../long_memory.py. Seeds are fixed. Rows with real data (T5, P8, P17) read the folder
that MINIDL_DATA names, and are skipped where it is not there.
"""

import argparse
import time

import clipping
import depth
import signals

ROWS = {**signals.ROWS, **depth.ROWS, **clipping.ROWS}


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python examples/numbers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="row", help=f"which of {' '.join(ROWS)} (default: all)")
    names = parser.parse_args(argv).rows or list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"no such row: {' '.join(unknown)}; expected some of {' '.join(ROWS)}")
    print(f"{'row':4s} {'setting':62s} {'expected':>28s}   {'measured':38s}  ok  seconds")
    failed = 0
    for name in names:
        began = time.perf_counter()
        try:
            for row in ROWS[name]():
                seconds, began = time.perf_counter() - began, time.perf_counter()
                figures = f"{row.setting:62s} {row.expected:>28s}   {row.measured:38s}"
                print(f"{name:4s} {figures} {'yes' if row.ok else 'NO':>3s} {seconds:8.1f}", flush=True)
                failed += not row.ok
        except FileNotFoundError as error:
            print(f"{name:4s} skipped: {error}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main() > 0)
