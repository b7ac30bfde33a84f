"""What all optimizers share: parameter groups, state, the finite guard."""

import numpy as np

from minidl.engine import Tensor, enable_grad, memory, outside_recordings, state, version
from minidl.engine.autograd import zero_gradients
from minidl.engine.checks import policy
from minidl.kernels import update as kernels
from minidl.kernels.elementwise import fill
from minidl.kernels.kernel import Kernel
from minidl.optim.settings import ParameterGroup
from minidl.stabilize.update import (
    Update,
    gradient_segments,
    owners,
    parameter_list,
    runs,
    segments,
    sizes,
    with_gradient,
)


class ParameterState:
    """What an optimizer keeps for one parameter.

    Attributes
    ----------
    clock : ndarray of float64
        Number of steps taken, and what else the optimizer's `clock` counts. Parameters that have always been updated
        together share one clock, so that kernels may take them together.
    buffers : dict
        Arrays of the parameter's shape, by PyTorch's names.
    """

    def __init__(self, clock):
        self.clock, self.buffers = clock, {}


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
        `ParameterState` of each parameter that has been updated.
    """

    acts = None
    buffers: tuple[str, ...] = ()  # names of the state arrays that a parameter gets
    clock: dict[str, float] = {"step": 0}  # names of the state's numbers, and where they begin
    revision = 0  # counts what makes recorded steps stale: another group, other state
    kernel: Kernel
    advance = kernels.advance  # the kernel that moves the clocks on
    per_parameter = False  # whether the kernel takes sums over parameters, whose segments are then not joined

    def __init__(self, params, defaults, on_nonfinite="raise"):
        super().__init__()
        self.policy = policy(self.name, on_nonfinite)
        self.on_nonfinite = on_nonfinite
        self.defaults = defaults
        self.param_groups = []
        self.state = {}
        self.arena = memory.Arena()
        self.go = np.ones(1)
        params = parameter_list(self.name, params)
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    def add_param_group(self, group):
        """Optimise more parameters.

        Parameters
        ----------
        group : dict
            ``"params"`` and the settings that differ from the defaults.
        """
        outside_recordings(f"{self.name}.add_param_group")
        group = {**self.defaults, **group, "params": parameter_list(self.name, group["params"])}
        known = set(self.parameters)
        for parameter in group["params"]:
            if not isinstance(parameter, Tensor):
                raise TypeError(f"{self.name}: params: got {type(parameter).__name__}, expected Parameters or dicts")
            if not parameter.is_leaf:
                raise ValueError(f"{self.name}: can only optimise leaves, got the output of {parameter.node}")
            if parameter in known:
                raise ValueError(f"{self.name}: parameter {parameter.name or parameter.shape} is in two groups")
            known.add(parameter)
        self.param_groups.append(ParameterGroup(group, self))
        self.parameters = [*self.parameters, *group["params"]]
        self.revise()

    def revise(self):
        """Let recorded steps know that they do not do what the optimizer would do now."""
        self.revision += 1
        version.count += 1

    def rely(self):
        """Let a recording know on which state of affairs its calls depend."""
        if state.recording is not None:
            state.recording.rely_on(self, "revision")

    def zero_grad(self, set_to_none=True):
        """Forget the gradients.

        Parameters
        ----------
        set_to_none : bool
            If False, those that are there become 0 instead of None.
        """
        self.rely()
        zero_gradients(self, self.parameters, set_to_none)

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
        NonFiniteError
            If a gradient is not finite and the policy is "raise"; no parameter is changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self.rely()
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
        elif state.recording is not None:
            parameters = [parameter for parameter in parameters if parameter not in state.recording.checked]
        for dtype, members in with_gradient(parameters).items():
            pieces = gradient_segments(members)
            spoiled = memory.empty(len(pieces), np.float64)
            self.call(kernels.guard, [self.go, spoiled, *pieces], [], sizes(pieces), [self.policy], dtype=dtype)

    def states(self, parameters, group):
        """State of parameters that are about to be updated together, made on first use."""
        clock = np.array(list(self.clock.values()), np.float64)
        for parameter in parameters:
            self.state.setdefault(parameter, ParameterState(clock))
        for name in self.buffers_of(group):
            for parameter in parameters:
                buffers = self.state[parameter].buffers
                if name not in buffers:
                    buffers[name] = self.arena.zeros(parameter.shape, parameter.dtype)
                    buffers[name][...] = self.beginning(group)
                elif buffers[name].dtype != parameter.dtype or buffers[name].shape != parameter.shape:
                    raise TypeError(
                        f"{self.name}: {parameter.name or 'a parameter'} is now {parameter.dtype} of shape "
                        f"{parameter.shape}, but its {name} {buffers[name].dtype} of shape {buffers[name].shape}; "
                        "make an optimizer after the model is converted"
                    )
        states = [self.state[parameter] for parameter in parameters]
        self.part_clocks(states)
        return states

    def part_clocks(self, states):
        """Give `states` a clock of their own where they have shared one with parameters that stay behind."""
        staying = {id(kept.clock) for kept in set(self.state.values()).difference(states)}
        fresh = {id(kept.clock): kept.clock.copy() for kept in states if id(kept.clock) in staying}
        for kept in states:
            kept.clock = fresh.get(id(kept.clock), kept.clock)
        version.count += bool(fresh)

    def layout(self, group):
        """The settings of a group in the kernel's order; ValueError if one is out of range."""
        raise NotImplementedError

    def buffers_of(self, group):
        """Names of the state arrays that the settings of a group call for."""
        return self.buffers

    def beginning(self, group):
        """What the state arrays of a group begin with."""
        return 0.0

    def update(self, group, parameters):
        """Make the calls that update `parameters`, all of one dtype and group."""
        states = self.states(parameters, group)
        if state.recording is not None:
            for kept in states:
                state.recording.rely_on(kept, "clock")
        clocks = [kept.clock for kept in states]
        distinct = list({id(clock): clock for clock in clocks}.values())
        self.call(self.advance, distinct, [self.go], [len(distinct)], group.cells)

        weights, gradients = [p.array for p in parameters], [p.buffer for p in parameters]
        names = self.buffers_of(group)
        moments = {name: [kept.buffers[name] for kept in states] for name in names}
        stretches = runs([weights, gradients, *moments.values()], parameters if self.per_parameter else clocks)
        pieces = segments(weights, stretches)
        outputs: list[np.ndarray | None] = list(pieces)
        for name in self.buffers:
            outputs += segments(moments[name], stretches) if name in names else [None] * len(pieces)
        counts = [len(segments(weights, [stretch])) for stretch in stretches]
        ticking = [clocks[first] for (first, _), count in zip(stretches, counts, strict=True) for _ in range(count)]
        inputs = [*segments(gradients, stretches), *ticking, self.go]
        extents, sums = sizes(pieces), []
        if self.per_parameter:
            extents += owners(counts)
            sums = [memory.empty((2, len(pieces)), np.float64)]
        self.call(self.kernel, outputs, inputs, extents, group.cells, scratch=sums)

    # saving

    def state_dict(self):
        """Settings and state, with parameters numbered in order as in PyTorch."""
        numbers = {parameter: i for i, parameter in enumerate(self.parameters)}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": self.packed(numbers), "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Take over copies of what `state_dict`, or that of PyTorch's optimizer, returned.

        Recorded steps are recorded again.

        Raises
        ------
        ValueError
            If it does not fit; nothing has been changed then.
        """
        function = f"{self.name}: load_state_dict"
        outside_recordings(function)
        saved = state_dict["param_groups"]
        if [len(group["params"]) for group in saved] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError(f"{function}: groups of other sizes than this optimizer's")
        groups = [
            {**group, **settings, "params": group["params"]}
            for group, settings in zip(self.param_groups, saved, strict=True)
        ]
        for group in groups:
            self.layout(group)
        entries = {int(number): values for number, values in state_dict["state"].items()}
        for number in entries:
            if not 0 <= number < len(self.parameters):
                raise ValueError(
                    f"{function}: got state of parameter {number}, expected 0 to {len(self.parameters) - 1}"
                )
        loaded = self.unpacked(function, entries, groups)
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        self.state = loaded
        self.revise()

    def packed(self, numbers):
        """The state as PyTorch saves it, given the parameters' numbers."""
        return {
            numbers[parameter]: {
                **dict(zip(self.clock, kept.clock.tolist(), strict=True)),
                **{name: buffer.copy() for name, buffer in kept.buffers.items()},
            }
            for parameter, kept in self.state.items()
        }

    def unpacked(self, function, entries, groups):
        """The state from what PyTorch would have saved under each number; ValueError if it does not fit."""
        owners = [(parameter, group) for group in groups for parameter in group["params"]]
        loaded = {}
        clocks: dict[tuple[float, ...], np.ndarray] = {}
        for number, values in entries.items():
            values = {"step": 1, **values}  # PyTorch's SGD counts none
            missing = [name for name in self.clock if name not in values]
            if missing:
                raise ValueError(f"{function}: {missing[0]} of parameter {number}: got none, expected a number")
            reading = tuple(float(values[name]) for name in self.clock)
            loaded[owners[number][0]] = ParameterState(clocks.setdefault(reading, np.array(reading)))
        for name in self.buffers:
            for number, values in sorted(entries.items()):  # neighbours again
                parameter, group = owners[number]
                value = values.get(name)
                if value is None and name not in self.buffers_of(group):
                    continue
                if value is None or np.shape(value) != parameter.shape:
                    got = "none" if value is None else f"shape {np.shape(value)}"
                    raise ValueError(
                        f"{function}: {name} of parameter {number}: got {got}, expected shape {parameter.shape}"
                    )
                buffer = loaded[parameter].buffers[name] = self.arena.zeros(parameter.shape, parameter.dtype)
                buffer[...] = value
        return loaded

    def __deepcopy__(self, memo):
        raise TypeError(
            f"{self.name}: an optimizer cannot be copied: it belongs to its parameters; "
            "make one over the copied model, and load this one's state_dict()"
        )

    def __str__(self):
        return repr(self)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}"]
            lines += [f"    {name}: {value}" for name, value in sorted(group.items()) if name != "params"]
        return "\n".join([*lines, ")"])
