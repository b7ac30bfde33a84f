"""Module: parameters, buffers and children under one name, and the call that runs them."""

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from minidl.engine import Caller, Tensor, outside_recordings, state, version
from minidl.engine.autograd import zero_gradients
from minidl.nn.values import convert, float_dtype, load
from minidl.tensor import Parameter

SETTINGS = (int, float, str, tuple, type(None))


class Module:
    """Base class of layers and models.

    A subclass assigns its parameters, buffers and children as attributes and defines ``forward``. There is no other
    registry than the attributes themselves: a `Parameter` or a `Module` among them counts, a buffer is a name given
    to `register_buffer`.

    Attributes
    ----------
    training : bool
        Whether layers such as dropout behave as in training; set by `train` and `eval`.
    """

    training = True
    _path: tuple[
        str, ...
    ] = ()  # names that lead here from the root; a module that is shared keeps the one it was given last
    _buffers: Mapping[str, bool] = MappingProxyType({})  # name -> whether it belongs to the state_dict
    _computed: Mapping[str, Any] = MappingProxyType(
        {}
    )  # name of a parameter -> module that computes it: nn.utils.parametrize
    _revision = 0  # counts what makes recorded steps stale: other parameters, buffers, children or memory

    def __init__(self):
        self.training = True

    def forward(self, *args, **kwargs):
        """What the module computes; for subclasses."""
        raise NotImplementedError(f"{type(self).__name__}: forward() is not defined")

    def __call__(self, *args, **kwargs):
        outer = state.scope
        state.scope = self._path or (type(self).__name__,)  # the path of the nodes made inside
        if state.recording is not None:
            state.recording.rely_on(self, "training")
            state.recording.rely_on(self, "_revision")
        try:
            return self.forward(*args, **kwargs)
        except (ValueError, TypeError, IndexError) as error:
            self._explain(error)
            raise
        finally:
            state.scope = outer

    def _explain(self, error):
        """Put the path and the repr of the innermost module in front of what went wrong."""
        if hasattr(error, "layer") or len(error.args) != 1 or not isinstance(error.args[0], str):
            return
        error.layer = ".".join(self._path)
        name = type(self).__name__
        what = name if next(self.children(), None) else repr(self)
        text = error.args[0].removeprefix(f"{'.'.join(state.scope)}: ").removeprefix(f"{name.lower()}: ")
        error.args = (": ".join(filter(None, (error.layer, what, text))),)

    # attributes

    def _kind(self, name):
        """What an attribute is registered as: Parameter, Module, Tensor (a buffer) or None."""
        if name in self._buffers:
            return Tensor
        value = vars(self).get(name)
        return next((kind for kind in (Parameter, Module) if isinstance(value, kind)), None)

    def __getattr__(self, name):
        """A parameter that is computed; for all other names that are not there, AttributeError."""
        if name in self._computed:
            return self._computed[name]()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        if name in self._computed:
            self._computed[name].right_inverse(value)
            return
        kind = self._kind(name)
        if kind is not None and value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{type(self).__name__}.{name}: got {type(value).__name__}, expected {kind.__name__} or None, "
                "because it is registered as one"
            )
        if kind is not None or isinstance(value, (Parameter, Module)):
            self._revise(name)
        elif name == "training" and value != self.training:
            if state.recording is not None:  # the step starts in the mode it has now
                state.recording.rely_on(self, "training")
            version.count += 1
        elif state.recording is None and self._changes(name, value):
            self._revise(name)
        super().__setattr__(name, value)
        if isinstance(value, Parameter) or (name in self._buffers and value is not None):
            value.name = ".".join((*self._path, name))
        elif isinstance(value, Module):
            value._place((*self._path, name))

    def _changes(self, name, value):
        """Whether a setting such as `p` of a dropout, which recorded steps have read, gets another value."""
        own = vars(self)
        known = name in own and not name.startswith("_") and isinstance(own[name], SETTINGS)
        return known and isinstance(value, SETTINGS) and value != own[name]

    def __delattr__(self, name):
        if self._kind(name) is not None:
            self._revise(name)
        super().__delattr__(name)
        self._buffers = {key: persistent for key, persistent in self._buffers.items() if key != name}

    def __dir__(self):
        return [name for name in super().__dir__() if not name[0].isdigit()]

    def _revise(self, name):
        """Let recorded steps know that they hold what is no longer there."""
        if state.recording is not None and self._kind(name) is not None:
            raise RuntimeError(
                f"{type(self).__name__}.{name}: replaced while recording; a replay would not do it again. "
                "Change the values in place, or replace it outside the step"
            )
        self._revision += 1
        version.count += 1

    def _place(self, path):
        """Note where the module is in the model, for errors and listings."""
        super().__setattr__("_path", path)
        for name, tensor in self._own(Tensor):
            if isinstance(tensor, Parameter) or name in self._buffers:
                tensor.name = ".".join((*path, name))
        for name, child in self._own(Module):
            child._place((*path, name))

    def _own(self, kind):
        return [(name, value) for name, value in vars(self).items() if isinstance(value, kind)]

    def _check_name(self, method, name):
        if not isinstance(name, str):
            raise TypeError(f"{method}: name: got {type(name).__name__}, expected str")
        if not name or "." in name:
            raise ValueError(f"{method}: name: got {name!r}, expected a non-empty name without a dot")
        if hasattr(self, name) and self._kind(name) is None and vars(self).get(name, self) is not None:
            raise ValueError(f"{method}: name: {type(self).__name__} already has an attribute {name!r}")

    def register_parameter(self, name, param):
        """Add a parameter under `name`; None reserves the name."""
        self._check_name("register_parameter", name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter: {name}: got {type(param).__name__}, expected Parameter or None")
        setattr(self, name, param)

    def register_buffer(self, name, tensor, persistent=True):
        """Add a tensor that belongs to the module but does not train, such as a running mean.

        Parameters
        ----------
        name : str
        tensor : Tensor or None
        persistent : bool
            Whether it belongs to the `state_dict`.
        """
        self._check_name("register_buffer", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer: {name}: got {type(tensor).__name__}, expected Tensor or None")
        self._buffers = {**self._buffers, name: persistent}
        setattr(self, name, tensor)

    def add_module(self, name, module):
        """Add a child under `name`."""
        self._check_name("add_module", name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module: {name}: got {type(module).__name__}, expected Module or None")
        setattr(self, name, module)

    register_module = add_module

    def get_submodule(self, target):
        """The module at a path such as ``"encoder.fc1"``; the module itself for ``""``."""
        module = self
        for name in filter(None, target.split(".")):
            children = dict(module._own(Module))
            if name not in children:
                raise AttributeError(f"get_submodule: {target!r}: {type(module).__name__} has no module {name!r}")
            module = children[name]
        return module

    # what is inside

    def named_children(self):
        """(name, module) for every direct child, once."""
        seen = set()
        for name, child in self._own(Module):
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self):
        """Direct children."""
        return (child for _, child in self.named_children())

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """(path, module) for the module itself and everything below it, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._own(Module):
            yield from child.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self):
        """The module itself and everything below it."""
        return (module for _, module in self.named_modules())

    def _named(self, own, prefix, recurse, remove_duplicate):
        seen = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in own(module):
                if not remove_duplicate or tensor not in seen:
                    seen.add(tensor)
                    yield _join(path, name), tensor

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(path, parameter) for every parameter; one that is shared comes once.

        Parameters
        ----------
        prefix : str
            Put in front of the paths.
        recurse : bool
            Whether those of the modules below count.
        """
        return self._named(lambda module: module._own(Parameter), prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """Every parameter, once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def _own_buffers(self):
        return [(name, vars(self)[name]) for name in self._buffers if vars(self).get(name) is not None]

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """(path, tensor) for every buffer."""
        return self._named(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """Every buffer, once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # what is done to all of it

    def reset_parameters_torch(self):
        """Draw PyTorch's initial values for the module's own parameters; for layers whose values here are others."""

    def apply(self, fn):
        """Call `fn` on every module below, then on this one; returns the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode=True):
        """Set `training` here and below; a recorded step keeps one recording per mode. Returns the module."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: mode: got {mode!r}, expected True or False")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad` of every parameter; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none=True):
        """Remove the gradients of all parameters, or fill those that are there with zeros."""
        zero_gradients(Caller(), self.parameters(), set_to_none)

    def to(self, dtype):
        """Convert float parameters, buffers and gradients to another float type; returns the module.

        This gives them other memory: recorded steps are recorded again, and an optimizer must be made afterwards.

        Parameters
        ----------
        dtype : dtype or str
            float32 or float64.
        """
        dtype = float_dtype("to", dtype)
        outside_recordings("to")
        for module in self.modules():
            for _, tensor in module._own(Parameter) + module._own_buffers():
                if tensor.dtype.kind == "f" and tensor.dtype != dtype:
                    convert(tensor, dtype)
            module._revision += 1
        version.count += 1
        return self

    def float(self):
        """``to("float32")``."""
        return self.to(np.float32)

    def double(self):
        """``to("float64")``."""
        return self.to(np.float64)

    # saving

    def _entries(self, prefix=""):
        """(path, tensor) of all that the `state_dict` holds; what is shared comes under each of its names."""
        persistent = [(name, tensor) for name, tensor in self._own_buffers() if self._buffers[name]]
        for name, tensor in self._own(Parameter) + persistent:
            yield prefix + name, tensor
        for name, child in self._own(Module):
            yield from child._entries(f"{prefix}{name}.")

    def state_dict(self, prefix=""):
        """Parameters and persistent buffers by path.

        Returns
        -------
        OrderedDict of str to Tensor
            Detached; they share memory with the model.
        """
        return OrderedDict((path, tensor.detach()) for path, tensor in self._entries(prefix))

    def load_state_dict(self, state_dict, strict=True):
        """Copy values into parameters and buffers, in place: optimizers and recorded steps keep what they hold.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
        strict : bool
            Whether every path must be on both sides.

        Returns
        -------
        named tuple ``(missing_keys, unexpected_keys)``

        Raises
        ------
        ValueError
            That lists what is missing, unexpected, or of another shape or kind; nothing has been copied then.
        """
        return load(type(self).__name__, dict(self._entries()), state_dict, strict)

    # showing

    def extra_repr(self):
        """What stands in the parentheses of the repr; for subclasses."""
        return ""

    def _child_lines(self):
        return [f"({name}): {child!r}" for name, child in self._own(Module)]

    def __repr__(self):
        extra, children = self.extra_repr(), self._child_lines()
        if not children and "\n" not in extra:
            return f"{type(self).__name__}({extra})"
        lines = [*extra.splitlines(), *"\n".join(children).splitlines()]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


def _join(path, name):
    return f"{path}.{name}" if path else name
