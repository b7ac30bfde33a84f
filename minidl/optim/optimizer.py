"""What all optimizers share: parameter groups, state, the finite guard."""

import numpy as np

from minidl.engine import enable_grad, memory, version
from minidl.engine.autograd import mark
from minidl.kernels import update as kernels
from minidl.kernels.elementwise import fill
from minidl.stabilize.update import Update, parameter_list, policy, segments, sizes, with_gradient

CLOCK = 3  # per parameter: step, and the two bias corrections that belong to it


class ParameterGroup(dict):
    """A dict of settings whose numbers also live in `cells`, where recorded steps read them.

    Assigning ``group["lr"] = 0.01`` changes the next step, recorded or not.
    """

    def __init__(self, settings, layout):
        self.layout = layout
        self.cells = np.array(layout(settings), np.float64)
        super().__init__(settings)

    def __setitem__(self, key, value):
        self.update({key: value})

    def update(self, *args, **kwargs):
        """Change settings; ValueError, and nothing changed, if one is out of range."""
        settings = {**self, **dict(*args, **kwargs)}
        self.cells[:] = self.layout(settings)
        super().update(settings)


class Optimizer(Update):
    """Base of all optimizers.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        Parameters, or groups of them with settings of their own: ``[{"params": ..., "lr": 0.01}, ...]``.
    defaults : dict
        Settings of the groups that do not say otherwise.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when a gradient holds a NaN or an Inf: raise before anything is changed, skip the step,
        or set the spoiled elements to 0.

    Attributes
    ----------
    param_groups : list of dict
        Settings may be changed between steps, also of a recorded step.
    state : dict
        Buffers per parameter.
    """

    buffers = ()  # names of the state arrays that a parameter gets

    def __init__(self, params, defaults, on_nonfinite="raise"):
        super().__init__()
        self.policy = policy(self.name, on_nonfinite)
        self.on_nonfinite = on_nonfinite
        self.defaults = defaults
        self.param_groups = []
        self.state = {}
        self.go = np.ones(1)
        params = parameter_list(self.name, params)
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    @property
    def parameters(self):
        """All parameters of all groups."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def add_param_group(self, group):
        """Optimise more parameters.

        Parameters
        ----------
        group : dict
            ``"params"`` and the settings that differ from the defaults.
        """
        group = {**self.defaults, **group, "params": parameter_list(self.name, group["params"])}
        known = set(self.parameters)
        for parameter in group["params"]:
            if not parameter.is_leaf:
                raise ValueError(f"{self.name}: can only optimise leaves, got the output of {parameter.node}")
            if parameter in known:
                raise ValueError(f"{self.name}: parameter {parameter.name or parameter.shape} is in two groups")
            known.add(parameter)
        self.param_groups.append(ParameterGroup(group, self.layout))
        version.count += 1

    def zero_grad(self, set_to_none=True):
        """Forget the gradients.

        Parameters
        ----------
        set_to_none : bool
            If False, they become 0 instead of None.
        """
        mark(self, self.parameters, not set_to_none)
        if not set_to_none:
            for parameter in self.parameters:
                buffer = parameter.gradient_buffer()
                self.call(fill, [buffer], [], [buffer.size], [0.0])

    def step(self, closure=None):
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients first.

        Returns
        -------
        Tensor or None
            What the closure returned.

        Raises
        ------
        FloatingPointError
            If a gradient is not finite and the policy is "raise"; no parameter is changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        groups = [(group, with_gradient(group["params"])) for group in self.param_groups]
        self.guard([parameter for _, members in groups for group in members.values() for parameter in group])
        for group, parameters in groups:
            for members in parameters.values():
                self.update(group, members)
        return loss

    def guard(self, parameters):
        """Look for NaN and Inf before anything is changed, unless a clip has just done so."""
        if self.on_nonfinite == "skip":
            self.call(fill, [self.go], [], [1], [1.0])
        else:
            parameters = [parameter for parameter in parameters if not parameter.finite]
        for dtype, members in with_gradient(parameters).items():
            pieces = segments(parameter.buffer for parameter in members)
            spoiled = memory.empty(len(pieces), np.float64)
            self.call(kernels.guard, [self.go, spoiled, *pieces], [], sizes(pieces), [self.policy], dtype=dtype)

    def state_of(self, parameter, group):
        """State of one parameter, zeros on first use."""
        state = self.state.setdefault(parameter, {"clock": np.zeros(CLOCK)})
        for name in self.buffers_of(group):
            if name not in state:
                state[name] = memory.zeros(parameter.shape, parameter.dtype)
        return state

    def buffers_of(self, group):
        """Names of the state arrays that the settings of a group call for."""
        return self.buffers

    def update(self, group, parameters):
        """Make the calls that update `parameters`, all of one dtype and group."""
        states = [self.state_of(parameter, group) for parameter in parameters]
        clocks = [state["clock"] for state in states]
        self.call(kernels.advance, clocks, [self.go], [len(clocks)], group.cells)
        weights = segments(parameter.array for parameter in parameters)
        moments = [
            segments(state[name] for state in states) if name in states[0] else [None] * len(weights)
            for name in self.buffers
        ]
        gradients = segments(parameter.buffer for parameter in parameters)
        ticking = [
            clock
            for clock, parameter in zip(clocks, parameters, strict=True)
            for _ in segments([parameter.array])
        ]
        outputs = [*weights, *(piece for pieces in moments for piece in pieces)]
        self.call(self.kernel, outputs, [*gradients, *ticking, self.go], sizes(weights), group.cells)

    # saving

    def state_dict(self):
        """Settings and state, with parameters numbered in order as in PyTorch."""
        numbers = {parameter: i for i, parameter in enumerate(self.parameters)}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        state = {
            numbers[parameter]: {
                "step": values["clock"][0],
                **{name: values[name].copy() for name in values if name != "clock"},
            }
            for parameter, values in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Take over what `state_dict` returned; copies in place, so that recorded steps go on with it."""
        saved = state_dict["param_groups"]
        if [len(group["params"]) for group in saved] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError(f"{self.name}: load_state_dict: groups of other sizes than this optimizer's")
        for group, settings in zip(self.param_groups, saved, strict=True):
            group.update({name: value for name, value in settings.items() if name != "params"})
        owners = [(parameter, group) for group in self.param_groups for parameter in group["params"]]
        for number, values in state_dict["state"].items():
            state = self.state_of(*owners[int(number)])
            for name, value in values.items():
                if name == "step":
                    state["clock"][0] = value
                elif name not in state or np.shape(value) != state[name].shape:
                    raise ValueError(f"{self.name}: load_state_dict: {name} of parameter {number} does not fit")
                else:
                    state[name][...] = value

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}"]
            lines += [f"    {name}: {value}" for name, value in sorted(group.items()) if name != "params"]
        return "\n".join([*lines, ")"])


def at_least(optimizer, setting, value, low=0.0):
    """`value` as a float; ValueError unless it is a finite number >= `low`."""
    number = float(value)
    if not low <= number < float("inf"):
        raise ValueError(f"{optimizer}: {setting}: got {value}, expected a finite number >= {low:g}")
    return number


def fraction(optimizer, setting, value):
    """`value` as a float; ValueError unless 0 <= value < 1."""
    number = float(value)
    if not 0 <= number < 1:
        raise ValueError(f"{optimizer}: {setting}: got {value}, expected 0 <= {setting} < 1")
    return number
