"""Whether settings are in range."""

import math
import numbers

from minidl.kernels.update import POLICIES


def positive(function, argument, value):
    """`value` as a float; ValueError unless it is > 0 and finite."""
    if not 0 < float(value) < math.inf:
        raise ValueError(f"{function}: {argument}: got {value}, expected a finite number > 0")
    return float(value)


def above_zero(function, argument, value):
    """`value` as a float; ValueError unless it is > 0; it may be infinite."""
    if not float(value) > 0:
        raise ValueError(f"{function}: {argument}: got {value}, expected a number > 0")
    return float(value)


def at_least(function, argument, value, low=0.0):
    """`value` as a float; ValueError unless it is a finite number >= `low`."""
    if not low <= float(value) < math.inf:
        raise ValueError(f"{function}: {argument}: got {value}, expected a finite number >= {low:g}")
    return float(value)


def finite(function, argument, value):
    """`value` as a float; ValueError unless it is finite."""
    if not math.isfinite(value):
        raise ValueError(f"{function}: {argument}: got {value}, expected a finite number")
    return float(value)


def policy(function, name):
    """The kernels' number for an `on_nonfinite` policy."""
    if name not in POLICIES:
        raise ValueError(f"{function}: on_nonfinite: got {name!r}, expected 'raise', 'skip' or 'zero'")
    return POLICIES[name]


def above_one(function, argument, value):
    """`value` as a float; ValueError unless it is > 1 and finite."""
    if not 1 < float(value) < math.inf:
        raise ValueError(f"{function}: {argument}: got {value}, expected a finite number > 1")
    return float(value)


def between(function, argument, value):
    """`value` as a float; ValueError unless 0 < value < 1."""
    if not 0 < float(value) < 1:
        raise ValueError(f"{function}: {argument}: got {value}, expected 0 < {argument} < 1")
    return float(value)


def fraction(function, argument, value):
    """`value` as a float; ValueError unless 0 <= value < 1."""
    number = float(value)
    if not 0 <= number < 1:
        raise ValueError(f"{function}: {argument}: got {value}, expected 0 <= {argument} < 1")
    return number


def percentage(function, argument, value):
    """`value` as a float; ValueError unless 0 <= value <= 100."""
    number = float(value)
    if not 0 <= number <= 100:
        raise ValueError(f"{function}: {argument}: got {value}, expected 0 <= {argument} <= 100")
    return number


def whole(function, argument, value, low=1):
    """`value` itself; ValueError unless it is a whole number >= `low`."""
    if not isinstance(value, numbers.Integral) or value < low:
        raise ValueError(f"{function}: {argument}: got {value}, expected a whole number >= {low}")
    return value
