"""A step length along a direction of descent."""

from math import isnan, sqrt
from typing import NamedTuple

import numpy as np

DECREASE, CURVATURE = 1e-4, 0.9  # of the Wolfe conditions


class Point(NamedTuple):
    """Where the search has looked: x + t d.

    Attributes
    ----------
    t : float
    loss : float
        Infinite where the loss or the gradient is not finite: a point like any other that is too high.
    gradient : ndarray
    slope : float
        Derivative of the loss with respect to t.
    """

    t: float
    loss: float
    gradient: np.ndarray
    slope: float


def strong_wolfe(evaluate, start, t, width, tolerance, rounds):
    """A point that is lower than `start`, and flatter: the strong Wolfe conditions.

    Steps out until a minimum must lie between two points, then narrows them down: Nocedal and Wright, "Numerical
    Optimization" (2006), algorithms 3.5 and 3.6, with the safeguards of PyTorch.

    Parameters
    ----------
    evaluate : callable
        The `Point` of a t.
    start : Point
        At t = 0, where the slope is negative.
    t : float
        Where to look first.
    width : float
        Largest element of the direction.
    tolerance : float
        The search ends where no element would change by as much.
    rounds : int
        Evaluations after the first one, at most.

    Returns
    -------
    Point
        The lowest where none met the conditions; `start` if none was lower.
    """

    def high(point):
        return point.loss > start.loss + DECREASE * point.t * start.slope

    def flat(point):
        return abs(point.slope) <= -CURVATURE * start.slope

    previous, point = start, evaluate(t)
    for used in range(rounds):
        if high(point) or (used > 1 and point.loss >= previous.loss):
            break
        if flat(point):
            return point
        if point.slope >= 0:
            break
        t = cubic_minimum(previous, point, point.t + 0.01 * (point.t - previous.t), 10 * point.t)
        previous, point = point, evaluate(t)
    else:
        return start if start.loss <= point.loss else point

    bracket, stuck = [previous, point], False
    low = lower(bracket)
    while used < rounds and not abs(bracket[1].t - bracket[0].t) * width < tolerance:
        left, right = sorted(end.t for end in bracket)
        t, margin = cubic_minimum(bracket[0], bracket[1], left, right), 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or not left < t < right):  # too close to an end for the second time
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            stuck = False
        else:
            stuck = near
        point = evaluate(t)
        used += 1
        if high(point) or point.loss >= bracket[low].loss:
            bracket[1 - low] = point
            low = lower(bracket)
        elif flat(point):
            return point
        else:
            if point.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
                bracket[1 - low] = bracket[low]
            bracket[low] = point
    return bracket[low]


def lower(bracket):
    """Index of the lower of two points."""
    return 0 if bracket[0].loss <= bracket[1].loss else 1


@np.errstate(all="ignore")  # a NaN leads to the middle, and an Inf to an end
def cubic_minimum(a, b, left, right):
    """Where between `left` and `right` the cubic through two points is lowest; the middle if it has no minimum."""
    if a.t > b.t:
        a, b = b, a
    d = a.slope + b.slope - np.divide(3 * (a.loss - b.loss), a.t - b.t)
    square = d * d - a.slope * b.slope
    if square >= 0:
        root = sqrt(square)
        t = b.t - (b.t - a.t) * np.divide(b.slope + root - d, b.slope - a.slope + 2 * root)
        if not isnan(t):
            return float(min(max(t, left), right))
    return (left + right) / 2
