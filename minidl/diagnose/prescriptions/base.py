"""What a prescription is."""

import copy
from dataclasses import dataclass

from minidl.diagnose.course import Course
from minidl.nn import Module, Sequential


class Prescription:
    """Base of all prescriptions: `str` says what it does, `apply` does it to a copy.

    Attributes
    ----------
    corrects_loss : bool
        Whether losses before and after cannot be compared.
    """

    corrects_loss = False

    def apply(self, course):
        """The treatment.

        Parameters
        ----------
        course : Course or Module
            Stays as it is.

        Returns
        -------
        Course or Module
            A new one of the same kind.

        Raises
        ------
        TypeError
            If it is a model, but the prescription changes how it is trained; or it is neither.
        ValueError
            If the model has nothing to which this could be done.
        """
        if isinstance(course, Course):
            return self.treat_course(course)
        if not isinstance(course, Module):
            raise TypeError(f"{self.name}: got {type(course).__name__}, expected a Course or a Module")
        return self.treat_model(course)

    name = property(lambda self: type(self).__name__)

    def treat_course(self, course):
        """A new course."""
        raise NotImplementedError

    def treat_model(self, model):
        """A new model."""
        raise TypeError(f"{self.name}: got a {type(model).__name__}, but it changes the training: it needs a Course")


class ModelPrescription(Prescription):
    """One that changes the model; a subclass defines `change`."""

    def change(self, model):
        """What becomes of a model, which may be changed in place."""
        raise NotImplementedError

    def treat_course(self, course):
        return course.changed(self.change)

    def treat_model(self, model):
        return self.change(copy.deepcopy(model))


@dataclass(eq=False)
class Together(Prescription):
    """Several prescriptions, one after the other."""

    parts: tuple

    def __init__(self, *parts):
        self.parts = parts

    corrects_loss = property(lambda self: any(part.corrects_loss for part in self.parts))  # type: ignore[assignment]

    def apply(self, course):
        for part in self.parts:
            course = part.apply(course)
        return course

    def __str__(self):
        return ", and ".join(map(str, self.parts))


@dataclass(eq=False)
class Advice(Prescription):
    """What somebody has to do by hand."""

    text: str

    def apply(self, course):
        """Nothing that could be done: RuntimeError."""
        raise RuntimeError(f"Advice: nobody can do this automatically: {self.text}")

    def __str__(self):
        return f"by hand: {self.text}"


# Changes of structure


def parent_of(model, path):
    """The module that holds the one at `path`, and the name under which it does."""
    parent, _, name = path.rpartition(".")
    return model.get_submodule(parent), name


def sequentials(model):
    """(path, Sequential) for all in a model."""
    return [(path, module) for path, module in model.named_modules() if isinstance(module, Sequential)]


def rearrange(sequential, modules):
    """Let a Sequential hold the modules of a dict, by these names and in this order."""
    for name, _ in sequential._own(Module):
        delattr(sequential, name)
    for name, module in modules.items():
        sequential.add_module(name, module)


def held(module):
    """The modules that one holds, by name."""
    return dict(module._own(Module))


def join(path, name):
    """A path from that of a module and a name in it."""
    return f"{path}.{name}" if path else name


def listed(layers):
    """Paths as text."""
    if "" in layers:  # parameters of its own
        return ", ".join(layer or "the model itself" for layer in layers)
    return f"layer{'s' if len(layers) > 1 else ''} {', '.join(layers)}" if layers else "all layers"
