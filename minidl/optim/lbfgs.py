"""L-BFGS."""

from math import inf, isfinite, nan

import numpy as np

from minidl.engine import NonFiniteError, Tensor, enable_grad, memory, state
from minidl.engine.checks import at_least, whole
from minidl.optim import curvature
from minidl.optim.line_search import Point, strong_wolfe
from minidl.optim.optimizer import Optimizer


class LBFGS(Optimizer):
    """x += t * d,  d = -H g, H the inverse Hessian as the last changes of x and g show it (Liu & Nocedal 1989).

    For small problems whose loss does not change from call to call. Vectors over all parameters are kept in float64,
    two for each change that is remembered.

    Parameters
    ----------
    params : iterable of Parameter
        One group only.
    lr : float
        t, or where the line search begins.
    max_iter : int
        Iterations of one step.
    max_eval : int, optional
        Calls of the closure after which a step ends; by default max_iter * 5 // 4.
    tolerance_grad : float
        A step ends where no element of the gradient is larger.
    tolerance_change : float
        A step ends where no parameter, or the loss, changes by more.
    history_size : int
        Changes that are remembered.
    line_search_fn : {None, "strong_wolfe"}

    Attributes
    ----------
    state : dict
        What it remembers, by PyTorch's names; one dict, for all parameters together.
    """

    name = "lbfgs"

    def __init__(
        self,
        params,
        lr=1.0,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        defaults = dict(
            lr=lr,
            max_iter=max_iter,
            max_eval=whole("LBFGS", "max_iter", max_iter) * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )
        super().__init__(params, defaults)

    def layout(self, group):
        """The settings that are numbers; ValueError if one is out of range."""
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn: got {search!r}, expected None or 'strong_wolfe'")
        return (
            at_least("LBFGS", "lr", group["lr"]),
            whole("LBFGS", "max_iter", group["max_iter"]),
            whole("LBFGS", "max_eval", group["max_eval"]),
            at_least("LBFGS", "tolerance_grad", group["tolerance_grad"]),
            at_least("LBFGS", "tolerance_change", group["tolerance_change"]),
            whole("LBFGS", "history_size", group["history_size"]),
        )

    def add_param_group(self, group):
        """ValueError if there is a group already."""
        if self.param_groups:
            raise ValueError("LBFGS: params: got several groups, expected one: H is that of all parameters together")
        super().add_param_group(group)

    def step(self, closure=None):
        """Take up to `max_iter` iterations.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss and its gradients, and returns the loss. May be a recorded step.

        Returns
        -------
        Tensor, or what else the closure returned
            The loss at the beginning.

        Raises
        ------
        RuntimeError
            While recording.
        TypeError
            If there is no closure, or it returns nothing.
        NonFiniteError
            If the loss or a gradient is not finite, and the line search, if any, finds no place where they are.

        Whatever is raised, also by the closure: parameters and state are then as they were before.
        """
        if state.recording is not None:
            raise RuntimeError(
                "LBFGS.step: called while recording, but how often it calls the closure depends on the numbers, which "
                "a replay cannot follow; record the closure instead, and call step outside"
            )
        if closure is None:
            raise TypeError("LBFGS.step: closure: got None, expected a function that computes the loss again")
        begin = self.values()
        try:
            return self.iterate(closure, self.param_groups[0])
        except BaseException:
            self.place(begin)
            raise

    def iterate(self, closure, group):
        """The iterations of one step."""
        result, loss, gradient = self.measure(closure)
        self.expect_finite(loss, gradient)
        kept, evaluations = {**curvature.FRESH, **self.state}, 1
        for left in reversed(range(group["max_iter"])):
            if largest(gradient) <= group["tolerance_grad"]:
                break
            kept["n_iter"] += 1
            d = curvature.direction(kept, gradient, group["history_size"])
            t = group["lr"] * (min(1.0, 1 / np.abs(gradient).sum()) if kept["n_iter"] == 1 else 1)
            kept.update(d=d, t=t, prev_flat_grad=gradient, prev_loss=loss)
            start = Point(0.0, loss, gradient, curvature.dot(gradient, d))
            if start.slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:
                point, used = self.search(closure, start, d, t, group["max_eval"] - evaluations)
                t, loss, gradient = point.t, point.loss, point.gradient
            else:
                used = 0
                self.place(self.values() + t * d)
                if left:  # nobody needs it behind the last iteration
                    _, loss, gradient = self.measure(closure)
                    self.expect_finite(loss, gradient)
                    used = 1
            kept["t"] = t
            evaluations += used
            still = largest(t * d) <= group["tolerance_change"] or abs(loss - start.loss) < group["tolerance_change"]
            if still or evaluations >= group["max_eval"]:
                break
        kept["func_evals"] += evaluations
        self.state = kept
        return result

    def search(self, closure, start, d, t, rounds):
        """Go to the point that the line search finds; that point, and the number of evaluations it took."""
        x, evaluations = self.values(), 0
        failures: list[FloatingPointError] = []

        def evaluate(t):
            nonlocal evaluations
            evaluations += 1
            self.place(x + t * d)
            try:
                _, loss, gradient = self.measure(closure)
                self.expect_finite(loss, gradient)
            except FloatingPointError as error:
                failures.append(error)
                return Point(t, inf, np.full_like(d, nan), nan)
            return Point(t, loss, gradient, curvature.dot(gradient, d))

        tolerance = self.param_groups[0]["tolerance_change"]
        point = strong_wolfe(evaluate, start, t, largest(d), tolerance, rounds)
        if len(failures) == evaluations:
            raise NonFiniteError(
                f"lbfgs: NaN or Inf at all {evaluations} points of the line search, which began at t = {t:g}; let it "
                f"begin at a smaller lr. At the last one: {failures[-1]}"
            )
        self.place(x + point.t * d)
        return point, evaluations

    def measure(self, closure):
        """What the closure returns, that as a number, and all gradients as one vector."""
        with enable_grad():
            result = closure()
        if result is None:
            raise TypeError("LBFGS.step: closure: returned None, expected the loss")
        loss = float(result)
        if isinstance(result, Tensor):  # a recorded closure writes its own again
            result = Tensor.public(memory.copy(result.array))
        parts = [p.gradient_buffer().ravel() if p.has_grad() else np.zeros(p.array.size) for p in self.parameters]
        return result, loss, np.concatenate(parts, dtype=np.float64)

    def expect_finite(self, loss, gradient):
        """NonFiniteError if one of them is not."""
        if not np.isfinite(gradient).all():
            what, finding = self.explain_nonfinite(None, None)
            raise NonFiniteError(f"{self.name}: {what}", finding)
        if not isfinite(loss):
            raise NonFiniteError(f"{self.name}: the loss is {loss}")

    def values(self):
        """All parameters as one vector."""
        return np.concatenate([p.array.ravel() for p in self.parameters], dtype=np.float64)

    def place(self, values):
        """Write a vector into the parameters, in place."""
        ends = np.cumsum([p.array.size for p in self.parameters])
        for p, part in zip(self.parameters, np.split(values, ends[:-1]), strict=True):
            p.array[...] = part.reshape(p.shape)

    def packed(self, numbers):
        """The state as PyTorch saves it: under the first parameter."""
        return {0: curvature.copied(self.state)} if self.state else {}

    def unpacked(self, function, entries, groups):
        """The state from what PyTorch would have saved; ValueError if it does not fit."""
        if set(entries) - {0}:
            raise ValueError(f"{function}: got state of parameter {max(entries)}, expected that of parameter 0 alone")
        curvature.check(function, entries.get(0, {}), self.values().size)
        return curvature.copied(entries.get(0, {}))


def largest(values):
    """The largest magnitude."""
    return np.abs(values).max(initial=0)
