"""The worker's side of the race: JSON lines on stdin and stdout, one framework per process.

The driver starts ``worker_X.py OPTIONS`` (OPTIONS: one JSON object) and sends one request a line:
``load`` (a row), ``check`` (n steps; losses and parameters come back), ``run`` (n timed steps). The worker answers each
with one line, ``{"error": text}`` when it failed.
"""

import json
import math
import os
import sys
import time
import traceback

import workloads


def options():
    """The options of this worker's configuration, as a dict."""
    return json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def serve(start):
    """Answer the driver until stdin closes.

    Parameters
    ----------
    start : callable
        ``start(options)`` imports the framework and returns ``(version, load)``; ``load(row, state)`` builds the model
        from the NumPy weights `state` and returns ``(step, reset, parameters)``: ``step(x, y)`` trains on one NumPy
        batch and returns the loss (anything that ``float`` accepts), ``reset(state)`` puts weights back in place,
        ``parameters()`` returns all weights as a dict of arrays.
    """
    # Frameworks print to stdout: keep the real one for the protocol and give them stderr.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(message):
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        version, load = start(options())
    except ImportError as error:
        reply({"missing": str(error)})
        return
    reply({"version": version})
    worker = _Worker(load)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply(getattr(worker, request.pop("do"))(**request))
        except Exception as error:  # whatever it was, the driver wants to know
            traceback.print_exc()
            reply({"error": f"{type(error).__name__}: {error}"})


class _Worker:
    def __init__(self, build):
        self.build = build

    def load(self, row):
        row = workloads.ROWS[row]
        self.state, self.batches = workloads.parameters(row), workloads.batches(row)
        self.step, self.reset, self.parameters = self.build(row, self.state)
        return {}

    def check(self, steps):
        losses = [float(self.step(*self.batches[i % len(self.batches)])) for i in range(steps)]
        # Adam hardly feels the size of a gradient, so losses alone do not show a wrong clip: sums over weights do.
        sums = {name: float(abs(p - self.state[name]).sum()) for name, p in self.parameters().items()}
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

    def _steps(self, n):
        step, batches = self.step, self.batches
        for i in range(n):
            loss = step(*batches[i % workloads.N_BATCHES])
        return float(loss)  # waits for asynchronous work
