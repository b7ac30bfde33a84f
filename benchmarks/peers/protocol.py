"""The worker's side of the race: JSON lines on stdin and stdout, one framework per process.

The driver starts ``worker_X.py OPTIONS`` (OPTIONS: one JSON object) and sends one request a line:
``load`` (a row), ``check`` (n steps; losses and parameters come back), ``run`` (n timed steps), ``peak`` (how fast a
large matrix product is), ``memory`` (how much there was before the model, and at most). The worker answers each with
one line, ``{"error": text}`` when it failed.
"""

import json
import math
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np
import workloads


def options():
    """The options of this worker's configuration, as a dict."""
    return json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def serve(start):
    """Answer the driver until stdin closes.

    Parameters
    ----------
    start : callable
        ``start(options)`` imports the framework and returns ``(version, load, product)``; ``load(row, state)`` builds
        the model from the NumPy weights `state` and returns ``(step, reset, parameters)``: ``step(x, y)`` trains on one
        NumPy batch and returns the loss (anything that ``float`` accepts), ``reset(state)`` puts weights back in place,
        ``parameters()`` returns the weights and running statistics as a dict of arrays. ``product(a)`` returns a
        function that multiplies the square matrix `a` with itself.
    """
    # Frameworks print to stdout: keep the real one for the protocol and give them stderr.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(message):
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        version, load, product = start(options())
    except ImportError as error:
        reply({"missing": str(error)})
        return
    reply({"version": version})
    worker = _Worker(load, product)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply(getattr(worker, request.pop("do"))(**request))
        except Exception as error:  # whatever it was, the driver wants to know
            traceback.print_exc()
            reply({"error": f"{type(error).__name__}: {error}"})


def memory(field):
    """Bytes of this process that /proc calls VmRSS (now) or VmHWM (at most)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def forget_peak():
    """VmHWM counts from here on."""
    with suppress(OSError):  # then it counts from the start
        Path("/proc/self/clear_refs").write_text("5")


class _Worker:
    def __init__(self, build, product):
        self.build, self.product = build, product

    def load(self, row):
        row = workloads.ROWS[row]
        self.state, self.batches = workloads.parameters(row), workloads.batches(row)
        self.before = memory("VmRSS")
        forget_peak()
        self.step, self.reset, self.parameters = self.build(row, self.state)
        return {}

    def check(self, steps):
        losses = [float(self.step(*self.batches[i % len(self.batches)])) for i in range(steps)]
        # Adam hardly feels the size of a gradient, so losses alone do not show a wrong clip: sums over weights do.
        now = self.parameters()
        sums = {name: float(abs(now[name] - p).sum()) for name, p in self.state.items()}
        return {"losses": losses, "moved": sums}

    def run(self, steps):
        # Every block starts from the same weights: otherwise the fast frameworks would train for thousands of steps
        # to a loss of zero, where denormals and not the framework decide.
        self.reset(self.state)
        self._steps(1 + steps // 10)  # caches and threads wake up untimed
        wall, cpu = time.perf_counter(), time.process_time()
        loss = self._steps(steps)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if not math.isfinite(loss):
            raise FloatingPointError(f"loss {loss} after {steps} steps")
        return {"seconds": wall, "cpu": cpu, "loss": loss}

    def peak(self, size=1024, repeats=12):
        a = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
        multiply, seconds = self.product(a), []
        for _ in range(repeats):
            start = time.perf_counter()
            multiply()
            seconds.append(time.perf_counter() - start)
        return {"gflops": 2e-9 * size**3 / min(seconds)}

    def memory(self):
        return {"before": self.before, "peak": memory("VmHWM")}

    def _steps(self, n):
        step, batches = self.step, self.batches
        for i in range(n):
            loss = step(*batches[i % workloads.N_BATCHES])
        return float(loss)  # waits for asynchronous work
