"""Peak memory of training in minidl, PyTorch and JAX, each in a process of its own.

How to run::

    python benchmarks/peers/memory.py --python-torch venv/bin/python --python-jax venv-jax/bin/python

The same workers as in `race` train `STEPS` steps. Resident memory, the least of `RUNS` processes, in MB:

- growth: how far it rose above what it was before the model was made. The framework and the data are there by then, so
  it counts weights, optimizer state, activations and workspaces, but also code that is loaded or compiled when it is
  first needed (minidl loads Numba then).
- network: the same where a small MLP was trained before, so that less of it is such code.
- peak: all of the process, with the framework, without that MLP.
"""

import argparse
import sys
from itertools import product

import workloads
from race import FRAMEWORKS, Worker, WorkerError, suits

STEPS, RUNS = 20, 2
CONFIGS = [
    ("minidl 1t", "minidl", {"threads": 1}),
    ("minidl 2t", "minidl", {"threads": 2}),
    ("torch 1t", "torch", {"threads": 1, "adam": "fused", "compile": "none"}),
    ("torch 2t", "torch", {"threads": 2, "adam": "fused", "compile": "none"}),
    ("torch 2t last", "torch", {"threads": 2, "adam": "fused", "compile": "none", "last": True}),
    ("jax", "jax", {}),
]


def measure(config, python, rows):
    """(growth, peak) in bytes of the last of `rows`, all of them trained in one fresh process."""
    name, framework, options = config
    worker = Worker(name, framework, options, python)
    try:
        worker.hello()
        if worker.missing:
            raise WorkerError(f"{framework} is missing: {worker.missing}")
        for row in rows:
            worker.ask("load", row=row)
            worker.ask("run", steps=STEPS)
        memory = worker.ask("memory")
    finally:
        worker.close()
    return memory["peak"] - memory["before"], memory["peak"]


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rows", default="lenet5,resnet8,lstm_h128", help="comma-separated")
    parser.add_argument("--frameworks", default="minidl,torch", help="comma-separated")
    for framework in FRAMEWORKS:
        parser.add_argument(f"--python-{framework}", default=sys.executable, metavar="PATH")
    args = parser.parse_args()
    rows, frameworks = args.rows.split(","), args.frameworks.split(",")
    if unknown := set(rows) - set(workloads.ROWS):
        parser.error(f"--rows: unknown {', '.join(sorted(unknown))}; there are {', '.join(workloads.ROWS)}")
    if unknown := set(frameworks) - set(FRAMEWORKS):
        parser.error(f"--frameworks: unknown {', '.join(sorted(unknown))}; there are {', '.join(FRAMEWORKS)}")

    print(f"{'row':14}{'':16}{'growth':>10}{'network':>10}{'peak':>10}  MB")
    for row, config in product(rows, CONFIGS):
        name, framework, options = config
        if framework not in frameworks or not suits(options, workloads.ROWS[row]):
            continue
        python = getattr(args, f"python_{framework}")
        try:
            measure(config, python, [row])  # fills the caches of compilers
            alone = [measure(config, python, [row]) for _ in range(RUNS)]
            behind = [measure(config, python, ["tiny_mlp", row]) for _ in range(RUNS)]
        except WorkerError as error:
            print(error)
            continue
        growth, peak = map(min, zip(*alone, strict=True))
        network = min(growth for growth, _ in behind)
        print(f"{row:14}{name:16}{growth / 1e6:10.1f}{network / 1e6:10.1f}{peak / 1e6:10.1f}", flush=True)


if __name__ == "__main__":
    main()
