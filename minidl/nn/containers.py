"""Modules that hold modules or parameters."""

import itertools

from minidl.nn.activation import ReLU
from minidl.nn.module import Module
from minidl.tensor import Parameter


class Identity(Module):
    """Its input; takes any constructor arguments, so that it can stand in for any layer."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        return input


class _List(Module):
    """Items of one kind under the names "0", "1", ..., used like a list."""

    kind: type = Module

    def __init__(self, items=()):
        super().__init__()
        self.extend(items)

    def __len__(self):
        return len(self._own(self.kind))

    def __iter__(self):
        return (item for _, item in self._own(self.kind))

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._entry(index)[1]

    def __setitem__(self, index, item):
        setattr(self, self._entry(index)[0], item)

    def __delitem__(self, index):
        items = list(self)
        del items[index]
        self._renumber(items)

    def _entry(self, index):
        """(name, item) at a position."""
        entries = self._own(self.kind)
        if not -len(entries) <= index < len(entries):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(entries)} items")
        return entries[index]

    def _renumber(self, items):
        """Hold these items, and no others, in this order."""
        for name, _ in self._own(self.kind):
            delattr(self, name)
        self.extend(items)

    def append(self, item):
        """Add an item at the end; returns the container."""
        return self.extend([item])

    def extend(self, items):
        """Add items at the end; returns the container."""
        for item in list(items):
            if not isinstance(item, self.kind):
                raise TypeError(f"{type(self).__name__}: got {type(item).__name__}, expected {self.kind.__name__}")
            numbers = map(str, itertools.count(len(self)))  # a slice of a Sequential has kept its numbers
            setattr(self, next(number for number in numbers if number not in vars(self)), item)
        return self

    def insert(self, index, item):
        """Add an item before position `index`; returns the container."""
        if not isinstance(item, self.kind):
            raise TypeError(f"{type(self).__name__}: got {type(item).__name__}, expected {self.kind.__name__}")
        items = list(self)
        items.insert(index, item)
        self._renumber(items)
        return self


class Sequential(_List):
    """Modules that are called in turn, each on the result of the one before.

    A layer that can apply ReLU itself, while its results are still in registers, does so for a ReLU behind it: such a
    class says ``fuses_relu = True``. It is asked for by the class's own word, as a subclass may have another `forward`.

    Parameters
    ----------
    *modules : Module, or one mapping of names to modules

    Examples
    --------
    >>> model = Sequential(Linear(64, 32), ReLU(), Linear(32, 10))
    """

    def __init__(self, *modules):
        if len(modules) == 1 and hasattr(modules[0], "items"):
            super().__init__()
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            super().__init__(modules)

    def forward(self, input):
        modules = iter(self)
        module = next(modules, None)
        while module is not None:
            following = next(modules, None)
            if type(following) is ReLU and vars(type(module)).get("fuses_relu"):
                input = module(input, activation="relu")
                following = next(modules, None)
            else:
                input = module(input)
            module = following
        return input

    def __getitem__(self, index):
        if isinstance(index, slice):  # the part keeps the names, as in PyTorch
            return type(self)(dict(self._own(Module)[index]))
        return super().__getitem__(index)


class ModuleList(_List):
    """A list whose modules belong to the model."""

    def _child_lines(self):
        """As PyTorch: equal neighbours in one line."""
        runs: list[list] = []
        for i, child in enumerate(map(repr, self)):
            if runs and runs[-1][2] == child:
                runs[-1][1] = i
            else:
                runs.append([i, i, child])
        return [f"({i}): {c}" if i == j else f"({i}-{j}): {j - i + 1} x {c}" for i, j, c in runs]


class ParameterList(_List):
    """A list whose parameters belong to the model."""

    kind = Parameter

    def extra_repr(self):
        return "\n".join(
            f"({name}): Parameter of shape {item.shape}, {item.dtype}" for name, item in self._own(Parameter)
        )


class ModuleDict(Module):
    """A mapping whose modules belong to the model."""

    def __init__(self, modules=()):
        super().__init__()
        self.update(modules)

    def update(self, modules):
        """Add the modules of a mapping, or of (name, module) pairs."""
        for name, module in dict(modules).items():
            self[name] = module

    def __setitem__(self, name, module):
        self.add_module(name, module)

    def __getitem__(self, name):
        return dict(self._own(Module))[name]

    def __delitem__(self, name):
        self.pop(name)

    def __contains__(self, name):
        return name in self.keys()

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def keys(self):
        """Names, in order of insertion."""
        return dict(self._own(Module)).keys()

    def values(self):
        """Modules."""
        return dict(self._own(Module)).values()

    def items(self):
        """(name, module) pairs."""
        return dict(self._own(Module)).items()

    def pop(self, name):
        """Remove a module and return it."""
        module = self[name]
        delattr(self, name)
        return module

    def clear(self):
        """Remove all modules."""
        for name in list(self):
            delattr(self, name)
