"""Parameters that are computed from others, anew whenever a layer asks for them."""

from minidl.engine import as_tensor, no_grad, outside_recordings
from minidl.nn.containers import ModuleDict, ModuleList
from minidl.nn.module import Module
from minidl.tensor import Parameter


class ParametrizationList(ModuleList):
    """The modules that compute a parameter, each from what the one before gives, and what the first computes it from.

    Attributes
    ----------
    original : Parameter
        What the first module gets; original0, original1, ... where its `right_inverse` gives several tensors.
    """

    def __init__(self, modules, original):
        super().__init__(modules)
        value = self._inverse(original)
        self.is_tensor = not isinstance(value, tuple)
        if not self.is_tensor:
            self.ntensors = len(value)
            for i, part in enumerate(value):
                setattr(self, f"original{i}", Parameter(part, original.requires_grad))
        elif value.shape == original.shape:  # the same parameter, so that optimizers keep what they hold
            self.original = original
            original.array[...] = value.array
        else:
            self.original = Parameter(value, original.requires_grad)

    def originals(self):
        """What the first module gets."""
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def forward(self):
        first, *others = self
        value = first(*self.originals())
        for module in others:
            value = module(value)
        return value

    def right_inverse(self, value):
        """Change the originals such that `value` is computed from them; a module without an inverse is skipped."""
        outside_recordings("right_inverse")
        originals = self.originals()
        value = self._inverse(as_tensor(value, originals[0].dtype))
        values = [value] if self.is_tensor else value
        for original, part in zip(originals, values, strict=True):
            if part.shape != original.shape:
                raise ValueError(
                    f"right_inverse: got shape {part.shape} for {original.name}, expected {original.shape}"
                )
        for original, part in zip(originals, values, strict=True):
            original.array[...] = part.array

    def _inverse(self, value):
        with no_grad():
            for module in reversed(list(self)):
                inverse = getattr(module, "right_inverse", None)
                value = value if inverse is None else inverse(value)
        return tuple(map(as_tensor, value)) if isinstance(value, (tuple, list)) else as_tensor(value)


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Let `module` compute a parameter: it becomes ``parametrization(original)``, in each forward pass anew.

    The parameter itself is ``module.parametrizations.NAME.original`` from now on, and still the one that optimizers
    know. Where `parametrization` has a method ``right_inverse(value)`` that gives a tuple, there are new parameters
    ``original0``, ``original1``, ..., and an optimizer must be made afterwards. A parameter may have several
    parametrizations, the last one registered comes last. Assigning to the parameter changes the originals.

    Parameters
    ----------
    module : Module
    tensor_name : str
    parametrization : Module
        From the originals to a tensor of the parameter's shape and dtype.
    unsafe : bool
        Whether shape and dtype may be others.

    Returns
    -------
    `module`

    Raises
    ------
    ValueError
        If there is no such parameter, or shape or dtype change.
    """
    function = "register_parametrization"
    outside_recordings(function)
    if not isinstance(parametrization, Module):
        raise TypeError(f"{function}: parametrization: got {type(parametrization).__name__}, expected Module")
    before = parameter_of(function, module, tensor_name)
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            check_kept(tensor_name, before, lambda: parametrization(before))
        module.parametrizations[tensor_name].append(parametrization)
        return module
    values = before.array.copy()
    try:
        computing = ParametrizationList([parametrization], before)
        if not unsafe:
            check_kept(tensor_name, before, computing)
    except Exception:
        before.array[...] = values
        raise
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = computing
    module._computed = {**module._computed, tensor_name: computing}
    return module


def is_parametrized(module, tensor_name=None):
    """Whether `module` computes the parameter `tensor_name`, or any parameter."""
    return bool(module._computed) if tensor_name is None else tensor_name in module._computed


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Make a parameter of `module` an ordinary one again.

    Parameters
    ----------
    module : Module
    tensor_name : str
    leave_parametrized : bool
        Whether it keeps the values that were computed; else it gets back those of the original.

    Returns
    -------
    `module`

    Raises
    ------
    ValueError
        If the parameter is not parametrized; or has several originals, and should become one of them.
    """
    function = "remove_parametrizations"
    outside_recordings(function)
    kind = type(module).__name__
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{function}: tensor_name: {kind} has no parametrization of {tensor_name!r}")
    computing = module.parametrizations[tensor_name]
    if not leave_parametrized and not computing.is_tensor:
        raise ValueError(
            f"{function}: leave_parametrized: got False, but {tensor_name!r} of {kind} has no one original"
        )
    parameter, trained = computing.originals()[0], any(original.requires_grad for original in computing.originals())
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name)
        if computing.is_tensor and value.shape == parameter.shape:
            parameter.array[...] = value.array
        else:
            parameter = Parameter(value, trained)
    module._computed = {name: other for name, other in module._computed.items() if name != tensor_name}
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        del module.parametrizations
    setattr(module, tensor_name, parameter)
    return module


def parameter_of(function, module, name):
    """The parameter `name` of `module`, or what is computed for it; ValueError if there is none."""
    if not isinstance(module, Module):
        raise TypeError(f"{function}: module: got {type(module).__name__}, expected Module")
    if is_parametrized(module, name):
        with no_grad():
            return getattr(module, name)
    value = vars(module).get(name)
    if not isinstance(value, Parameter):
        known = ", ".join(path for path, _ in module.named_parameters(recurse=False)) or "none"
        raise ValueError(f"{function}: {type(module).__name__} has no parameter {name!r}; its parameters: {known}")
    return value


def check_kept(name, before, compute):
    """ValueError if what is computed has another shape or dtype than the parameter had before."""
    with no_grad():
        after = compute()
    if after.shape != before.shape or after.dtype != before.dtype:
        raise ValueError(
            f"register_parametrization: {name!r} became {after.dtype} {after.shape}, expected {before.dtype} "
            f"{before.shape}; unsafe=True allows it"
        )
