"""Race one training step of minidl against PyTorch and JAX: forward, loss, backward, clip of the global norm, Adam.

How to run (each framework may live in its own environment; a missing one is reported and the race goes on)::

    python -m venv venv-jax && venv-jax/bin/pip install jax          # never two frameworks in one process
    python benchmarks/peers/race.py --python-torch venv/bin/python --python-jax venv-jax/bin/python
    python benchmarks/peers/race.py --rows tiny_mlp,mnist_mlp --rounds 31 --json race.json

What it does, per row of `workloads.ROWS`:

1. Every configuration (`configs`; one long-lived process each) loads the row: same weights, same batches.
2. Check: the losses of the first steps (`Workload.check`), and how far every parameter and running statistic has
   moved, must agree with a float64 NumPy reference. Who does something else is out of the row.
3. Qualifying: a few short interleaved blocks; the best configurations of each framework go on.
4. The race: interleaved blocks A B C, B C A, ... each of a fixed number of steps. Only ratios within one round count:
   the machine's speed drifts by a factor of two, but not within half a second. Rounds during which other programs used
   more than a tenth of the machine are repeated, because two threads that wait for each other suffer far more than one.
   Where too few quiet rounds were found, all count and the last table says "disturbed": do not quote such a row.
5. The peak: the fastest float32 product of 1024 x 1024 matrices that any of the frameworks makes before and behind the
   race of the row, on all cores. "% peak" is the matrix-product FLOPs of the row's step (see `Workload.flops`) over it.

Every step takes its own batch as NumPy arrays; the loss is fetched at the end of each block. PYTHONPATH finds
a minidl that is not installed. "torch compile-graph" is not what people write: torch.func gradients and a hand-written
Adam, compiled as one graph, the nearest PyTorch comes to JAX's jit. "torch fused" is the usual loop at its best.
Some rows have configurations of their own: "last" keeps the channels of images last, "unroll" takes four time steps of
a recurrent layer in one turn of JAX's loop. PyTorch does not compile such a layer: "compile-forward" and "compile-step"
run it as it is, "compile-graph" stays at home.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import product
from math import isnan, prod
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, sleep

import reference
import workloads

HERE = Path(__file__).parent
FRAMEWORKS = ("minidl", "torch", "jax")
BLOCK = 0.075  # seconds
QUALIFYING_ROUNDS = 5
NEAR = 1.15  # a configuration this near to its framework's best also goes on...
FINALISTS = 2  # ...if there is room
FOREIGN = 0.10  # share of all cores that other programs may use during a round
PATIENCE = 3  # at most this many times the wanted rounds


def configs(threads):
    """All configurations, as (name, framework, options); `threads` lists the thread counts. See `suits`."""
    found = [(f"minidl {n}t", "minidl", {"threads": n}) for n in threads]
    styles = [
        ("loop", "none"),  # PyTorch's default Adam on a CPU is the loop
        ("foreach", "none"),
        ("fused", "none"),
        ("fused", "forward"),
        ("foreach", "step"),
        ("hand", "graph"),
    ]
    for n, (adam, compiled), last in product(threads, styles, (False, True)):
        if last and adam in ("loop", "foreach"):
            continue  # slower than fused in any order
        name = f"torch {n}t {adam}" + (f" compile-{compiled}" if compiled != "none" else "") + " last" * last
        found.append((name, "torch", {"threads": n, "adam": adam, "compile": compiled, "last": last}))
    found += [
        ("jax", "jax", {}),
        ("jax sync", "jax", {"sync": True}),
        ("jax 1 core", "jax", {"pin": True}),
        ("jax 1 core sync", "jax", {"pin": True, "sync": True}),
        ("jax 1 core sync flat", "jax", {"pin": True, "sync": True, "flat": True}),
    ]
    found += [
        (f"{name} {extra}", "jax", {**options, extra: value})
        for extra, value in (("last", True), ("unroll", 4))
        for name, options in (
            ("jax", {}),
            ("jax sync", {"sync": True}),
            ("jax 1 core sync", {"pin": True, "sync": True}),
        )
    ]
    return found


def suits(options, row):
    """Whether a configuration is meant for `row`; see above."""
    only_images, only_text = options.get("last"), options.get("unroll")
    no_text = options.get("compile") == "graph"
    return not (only_images and not row.images or only_text and not row.text or no_text and row.text)


class WorkerError(RuntimeError):
    """A worker failed or died; the text says which and shows the end of its stderr."""


class Worker:
    """One configuration in a process of its own; see `protocol` for the other side."""

    def __init__(self, name, framework, options, python):
        self.name, self.framework, self.options, self.missing = name, framework, options, None
        self.stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        command = [python, str(HERE / f"worker_{framework}.py"), json.dumps(options)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr, text=True
        )

    def hello(self):
        """Wait until the framework is imported; sets `version` or `missing`."""
        answer = self._answer()
        self.version, self.missing = answer.get("version"), answer.get("missing")

    @property
    def cores(self):
        """How many cores it may use."""
        return 1 if self.options.get("pin") else self.options.get("threads", os.cpu_count())

    def ask(self, do, **request):
        """Send one request and return the answer, a dict."""
        with suppress(BrokenPipeError):  # it died; _answer tells how
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"exited with status {self.process.wait()}"}
        if "error" in answer:
            self.stderr.seek(0)
            tail = "".join(f"\n    | {text}" for text in self.stderr.read().splitlines()[-12:])
            raise WorkerError(f"{self.name}: {answer['error']}{tail}")
        return answer

    def load(self, row):
        """Load a row and train its first steps; returns what `deviation` compares."""
        self.ask("load", row=row.name)
        return self.ask("check", steps=row.check)

    def choose_steps(self):
        """Find how many steps fill a block."""
        self.steps = 1
        while (seconds := self.ask("run", steps=self.steps)["seconds"]) < BLOCK / 4:
            self.steps *= 2
        self.steps = max(1, round(self.steps * BLOCK / seconds))

    def block(self, share=1.0):
        """Run a block; returns seconds per step and the cores that were kept busy."""
        steps = max(1, round(self.steps * share))
        answer = self.ask("run", steps=steps)
        return answer["seconds"] / steps, answer["cpu"] / answer["seconds"]

    def close(self):
        """End the process."""
        with suppress(BrokenPipeError):  # it is dead already
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start(args):
    """Start all workers; returns those that are ready. Prints one line for each framework that is not there."""
    workers, ready, said = [], [], set()
    rows = [workloads.ROWS[name] for name in args.rows.split(",")]
    for name, framework, options in configs(args.threads):
        if framework in args.frameworks and any(suits(options, row) for row in rows):
            workers.append(Worker(name, framework, options, getattr(args, f"python_{framework}")))
    for worker in workers:
        try:
            worker.hello()
            problem = worker.missing and f"{worker.framework} is missing: {worker.missing}"
        except WorkerError as error:
            problem = str(error)
        if not problem:
            ready.append(worker)
            continue
        if problem not in said:
            print(problem)
        said.add(problem)
        worker.close()
    return ready


def deviation(answer, want, free):
    """Largest relative difference between two checks: each dict has `losses` (a list) and `moved` (name: float).

    What a parameter named in `free` did does not count.
    """
    got = answer["losses"] + [answer["moved"][name] for name in want["moved"] if name not in free]
    wanted = want["losses"] + [moved for name, moved in want["moved"].items() if name not in free]
    return max(float("inf") if isnan(a) else abs(a - b) / abs(b) for a, b in zip(got, wanted, strict=True))


def admit(workers, row):
    """Load `row` everywhere; returns the workers that do the right thing."""
    first, (losses, state) = workloads.parameters(row), reference.train(row, row.check)
    want = {"losses": losses, "moved": {name: float(abs(p - first[name]).sum()) for name, p in state.items()}}
    admitted, worst = [], 0.0
    for worker in workers:
        if not suits(worker.options, row):
            continue
        try:
            off = deviation(worker.load(row), want, row.free)
            if off > row.rtol:
                raise WorkerError(f"{worker.name}: differs from the reference by {off:.1e}; it is out")
            worker.choose_steps()
        except WorkerError as error:
            print(error)
            continue
        worst = max(worst, off)
        admitted.append(worker)
    print(f"  check: {len(admitted)} configurations agree within {worst:.0e} over {row.check} steps", flush=True)
    return admitted


def peak(workers):
    """GF/s of the fastest large product, and who made it: each framework's worker with the most threads tries."""
    strongest = {w.framework: w for w in sorted(workers, key=lambda w: w.cores)}
    return max((w.ask("peak")["gflops"], w.name) for w in strongest.values())


def busy_seconds():
    """CPU seconds that the whole machine has spent on work; NaN where /proc does not tell."""
    try:
        user, nice, system, _idle, _io, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return float("nan")
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def run_round(workers, turn, share=1.0):
    """One block of each worker, the order rotated by `turn`.

    Returns
    -------
    blocks : dict of name to (seconds per step, busy cores)
    foreign : float
        Share of all cores that other programs used while the blocks ran.
    """
    turn %= len(workers)
    blocks = {}
    wall, busy = perf_counter(), busy_seconds()
    own = cpu_seconds(workers)
    for worker in workers[turn:] + workers[:turn]:
        blocks[worker.name] = worker.block(share)
        sleep(0.005)  # OpenMP threads of the last worker stop spinning
    own = cpu_seconds(workers) - own
    foreign = (busy_seconds() - busy - own) / ((perf_counter() - wall) * os.cpu_count())
    return blocks, foreign


def cpu_seconds(workers):
    """CPU time of the workers so far, with all their threads."""
    ticks = 0
    for worker in workers:
        try:
            text = Path(f"/proc/{worker.process.pid}/stat").read_text()
        except OSError:
            return float("nan")
        ticks += sum(map(int, text.rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def qualify(workers):
    """Short blocks of every configuration; returns the finalists and {name: median seconds per step}."""
    rounds, _, _ = race(workers, QUALIFYING_ROUNDS, 0.5)
    times = {w.name: median(r[w.name][0] for r in rounds) for w in workers}
    finalists = []
    for framework in FRAMEWORKS:
        ranked = sorted((w for w in workers if w.framework == framework), key=lambda w: times[w.name])
        finalists += [w for w in ranked[:FINALISTS] if times[w.name] <= NEAR * times[ranked[0].name]]
    return finalists, times


def race(workers, rounds, share=1.0):
    """Interleaved rounds of `workers`.

    Returns
    -------
    kept : list
        The rounds that count, see `run_round`.
    disturbed : int
        How many rounds were disturbed by other programs.
    clean : bool
        None of these is among the kept ones.
    """
    quiet, loud = [], []
    while len(quiet) < rounds and len(quiet) + len(loud) < PATIENCE * rounds:
        blocks, foreign = run_round(workers, len(quiet) + len(loud), share)
        (loud if foreign > FOREIGN else quiet).append(blocks)
    # Too few quiet ones: better all rounds and an honest note than five good ones picked by hand.
    clean = len(quiet) >= rounds / 2
    return (quiet if clean else quiet + loud), len(loud), clean


def summary(row, workers, qualifying, outcome, peak):
    """The numbers of one row, ready for JSON. Times in seconds per step; `outcome` of `race`, `peak` (GF/s, who)."""
    rounds, disturbed, clean = outcome
    times = {w.name: [r[w.name][0] for r in rounds] for w in workers}
    best = {}
    for framework in FRAMEWORKS:
        names = [w.name for w in workers if w.framework == framework]
        if names:
            best[framework] = min(names, key=lambda name: median(times[name]))
    peers = [name for framework, name in best.items() if framework != "minidl"]
    peer = min(peers, key=lambda name: median(times[name]), default=None)
    ratio = None
    if peer and "minidl" in best:
        ratio = quartiles([a / b for a, b in zip(times[peer], times[best["minidl"]], strict=True)])
    return {
        "row": row.name,
        "goal": row.goal,
        "gflop": row.flops / 1e9,
        "peak": peak,
        "best": best,
        "best_peer": peer,
        "ratio": ratio,
        "step": {name: quartiles(t) for name, t in times.items()},
        "cores": {w.name: median(r[w.name][1] for r in rounds) for w in workers},
        "qualifying": qualifying,
        "rounds": rounds,
        "disturbed": disturbed,
        "clean": clean,
    }


def quartiles(values):
    """(median, lower quartile, upper quartile)."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return middle, low, high


def show_row(result):
    """Print the finalists of one row, and the rest with their qualifying times."""
    kept, disturbed, (peak, by) = len(result["rounds"]), result["disturbed"], result["peak"]
    print(f"  race: {kept} rounds kept, {disturbed} disturbed by other programs; peak {peak:.0f} GF/s by {by}")
    print(f"    {'':32}{'us/step':>10}{'quartiles':>24}{'GF/s':>8}{'% peak':>8}{'cores':>7}")
    for name, (middle, low, high) in sorted(result["step"].items(), key=lambda item: item[1][0]):
        spread = f"{low * 1e6:.1f} .. {high * 1e6:.1f}"
        speed, cores = result["gflop"] / middle, result["cores"][name]
        print(f"    {name:32}{middle * 1e6:10.1f}{spread:>24}{speed:8.1f}{100 * speed / peak:8.1f}{cores:7.2f}")
    out = sorted((t, name) for name, t in result["qualifying"].items() if name not in result["step"])
    if out:
        print("    did not qualify: " + ", ".join(f"{name} {t * 1e6:.0f}" for t, name in out))


def show_table(results):
    """Print the last table: best of each framework, minidl's % of the peak, the paired ratio best peer / minidl."""
    columns = "".join(f"{f + ' us':>12}" for f in FRAMEWORKS)
    print(f"\n{'row':14}{columns}  {'best peer':32}{'% peak':>7}{'peer/minidl':>12}{'quartiles':>16}{'goal':>7}")
    ratios = []
    for result in results:
        line = f"{result['row']:14}"
        for framework in FRAMEWORKS:
            name = result["best"].get(framework)
            line += f"{result['step'][name][0] * 1e6:12.1f}" if name else f"{'-':>12}"
        line += f"  {result['best_peer'] or '-':32}"
        if mine := result["best"].get("minidl"):
            line += f"{100 * result['gflop'] / result['step'][mine][0] / result['peak'][0]:7.1f}"
        else:
            line += f"{'-':>7}"
        if result["ratio"]:
            middle, low, high = result["ratio"]
            ratios.append(middle)
            verdict = "" if middle >= result["goal"] else "  missed"
            line += f"{middle:11.2f}x{f'{low:.2f} .. {high:.2f}':>16}{result['goal']:6g}x{verdict}"
        else:
            line += f"{'-':>12}{'-':>16}{result['goal']:6g}x"
        print(line + ("" if result["clean"] else "  disturbed"))
    if ratios:
        mean = prod(ratios) ** (1 / len(ratios))
        print(f"geometric mean {mean:.2f}x over {len(ratios)} rows, worst {min(ratios):.2f}x")


def machine(workers, load):
    """What the numbers belong to: processor, load, versions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or "unknown processor"
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": load,
        "system": platform.platform(),
        "versions": {w.framework: w.version for w in workers},
    }


def main():
    """Run the race from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(workloads.ROWS), help="comma-separated")
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS), help="comma-separated")
    parser.add_argument("--threads", default="1,2", help="thread counts of minidl and PyTorch")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write all numbers here")
    for framework in FRAMEWORKS:
        parser.add_argument(f"--python-{framework}", default=sys.executable, metavar="PATH")
    args = parser.parse_args()
    args.frameworks = args.frameworks.split(",")
    args.threads = [int(n) for n in args.threads.split(",")]
    if unknown := set(args.rows.split(",")) - set(workloads.ROWS):
        parser.error(f"--rows: unknown {', '.join(sorted(unknown))}; there are {', '.join(workloads.ROWS)}")
    if unknown := set(args.frameworks) - set(FRAMEWORKS):
        parser.error(f"--frameworks: unknown {', '.join(sorted(unknown))}; there are {', '.join(FRAMEWORKS)}")
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")

    load = os.getloadavg()[0]  # before our own programs start
    workers = start(args)
    if not workers:
        sys.exit("no framework is ready")
    state = machine(workers, load)
    versions = ", ".join(f"{name} {version}" for name, version in state["versions"].items())
    print(f"{state['cpu']}, {state['cores']} cores, load {state['load']:.2f}; {versions}")
    results = []
    for name in args.rows.split(","):
        row = workloads.ROWS[name]
        print(f"\n{name}: batch {row.batch}, {row.flops / 1e9:.3g} GFLOP a step", flush=True)
        admitted = admit(workers, row)
        if not admitted:
            continue
        try:
            finalists, times = qualify(admitted)
            before = peak(admitted)
            outcome = race(finalists, args.rounds)
            highest = max(before, peak(admitted))
        except WorkerError as error:  # the row has no result without it, the other rows have
            print(error)
            continue
        results.append(summary(row, finalists, times, outcome, highest))
        show_row(results[-1])
    show_table(results)
    for worker in workers:
        worker.close()
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": state, "rows": results}, indent=1))


if __name__ == "__main__":
    main()
