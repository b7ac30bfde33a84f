"""Recording a step and replaying it."""

import functools

import numpy as np

from minidl.engine import dump
from minidl.engine.listing import listing
from minidl.engine.random import generator
from minidl.engine.recording import Recording, named, restore, results
from minidl.engine.state import state, version
from minidl.engine.tensor import Tensor, as_tensor


class Step:
    """A function that is recorded once per kind of arguments and replayed ever after; made by `record`."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function
        self.attribute = None
        self.recordings = {}  # key of the arguments -> list of Recording
        self.last = None

    def __set_name__(self, owner, name):
        self.attribute = name

    def __get__(self, instance, owner=None):
        """The step of one object, where the function is a method."""
        if instance is None:
            return self
        step = vars(instance)[self.attribute] = Step(self.function.__get__(instance))
        return step

    def __call__(self, *args, **kwargs):
        if kwargs:
            args = self.positional(args, kwargs)
        last = self.last
        if (  # nothing has changed since the last call: the path of nearly every step
            last is not None
            and last.version == version.count
            and last.grad_enabled == state.grad_enabled
            and state.recording is None
            and last.replay(args)
        ):
            return last.result
        return self.find(args)

    def positional(self, args, kwargs):
        """All arguments in the order of the function's signature."""
        import inspect

        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(
                f"record: {self.function.__name__}() takes keyword-only arguments, which a step cannot feed"
            )
        return bound.args

    def find(self, args):
        """Replay the recording that fits `args`, or make one."""
        if state.recording is not None:  # a recorded step inside another is simply part of it
            return self.function(*args)
        arguments = as_arguments(args)
        if state.detect_anomaly:  # looks at the results of every call, which a replay makes unseen
            return self.function(*named(arguments))
        recording = self.known(arguments)
        if recording is None:
            for key, recordings in self.recordings.items():
                self.recordings[key] = [recording for recording in recordings if not recording.lost()]
            recording = Recording(self.function, arguments)
            self.recordings[key_of(arguments)].append(recording)
        else:
            recording.replay(arrays_of(arguments))
        self.last = recording
        return recording.result

    def known(self, arguments):
        """The recording for arguments of this kind and the present modes and flags, if there is one."""
        for recording in self.recordings.setdefault(key_of(arguments), []):
            if recording.holds() and recording.flags_hold():
                return recording
        return None

    def listing(self, repeats=11):
        """The nodes of the last recording in order: layers, shapes, what they clipped and what they cost.

        The step runs `repeats` times more on its last arguments, to be timed; everything is then as it was before.
        A row stands for the calls that a node makes in a row, with the median time on a machine that should be idle;
        nodes in a block that is mostly closed, as under `GradientAccumulation`, seem to cost nothing.

        Returns
        -------
        Listing
            A list of `Row`, printed as a table; ``print(step)`` prints it, too.

        Raises
        ------
        RuntimeError
            If nothing has been recorded yet.
        """
        if self.last is None:
            raise RuntimeError(f"{self.function.__name__}: nothing recorded yet; call the step first")
        return listing(self.last.tape.calls, self.last.timed(repeats))

    def __str__(self):
        name = f"recorded step {self.function.__name__}"
        return f"{name}, not called yet" if self.last is None else f"{name}\n{self.listing()}"

    def reproduce(self, path):
        """Run the step that an error's `dump` has written to a file: the same error, if the script is the same.

        Parameters, buffers and the random counter are then as they were when the step failed.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        object
            What the function returns, if it no longer fails.

        Raises
        ------
        NonFiniteError
            That of the step.
        ValueError
            If the file is none, or the step reads other arrays than the one in it.
        """
        arguments, found, generator.counter[:] = dump.read(path)
        return Recording(self.function, as_arguments(arguments), refill=dump.Refill(found)).result

    def verify(self, *args, **kwargs):
        """Check that replaying does what the function does now.

        Runs the step both ways from the same state and compares the list of calls and every number they leave
        behind, bit for bit; the state is then as it was before. If the arguments are of a kind not yet recorded, they
        are recorded first, which is one step.

        Raises
        ------
        RuntimeError
            That names the first call that differs, or the first whose numbers do.
        """
        arguments = as_arguments(self.positional(args, kwargs) if kwargs else args)
        if self.known(arguments) is None:
            self(*arguments)
        recorded = self.known(arguments)
        buffers = recorded.buffers()
        before = [array.copy() for array in buffers]
        replayed: list[list] = []
        eager: list[list] = []
        try:
            recorded.tape.feed(arrays_of(arguments))
            for chunk in recorded.pool.chunks:  # as in the other run: pieces of a result are written one by one
                chunk[...] = 0
            for call in recorded.calls:
                call.run()
                replayed.append(results(call))
            restore(buffers, before)
            compare(recorded.calls, replayed, Recording(self.function, arguments, eager).calls, eager)
        finally:
            restore(buffers, before)


def record(function):
    """Make a step function that is recorded once and replayed at every later call.

    The arguments that are tensors, arrays or lists are copied into buffers of the step; any other argument must be
    hashable and is part of the recording. There is one recording for each combination of shapes, dtypes, other
    arguments, train/eval modes and `requires_grad` flags. A step works in buffers of its own: only one thread at a time
    may call it. Under `detect_anomaly` the function itself runs, with the same results. A step that meets a NaN raises
    `NonFiniteError` and has then changed no parameter and no running statistic; the error's `dump` writes it to a file.

    Parameters
    ----------
    function : callable
        Plain eager code: forward, backward, update, in any order.

    Returns
    -------
    Step
        Called like `function`. The tensors that it returns are the step's own: the next call overwrites them.

    Examples
    --------
    >>> step = record(train_step)
    >>> for x, y in loader:
    ...     loss = step(x, y)
    """
    return Step(function)


def as_arguments(args):
    """`args` with everything that can be fed to a tape as a tensor."""
    for i, a in enumerate(args):
        if isinstance(a, Tensor) and a.requires_grad:
            raise TypeError(
                f"record: argument {i}: got a tensor that requires a gradient, but a step works on a copy, which "
                "passes none on; let the function find the tensor itself, or pass detach()"
            )
        if isinstance(a, (list, tuple)) and any(isinstance(element, Tensor) for element in a):
            raise TypeError(f"record: argument {i}: got a {type(a).__name__} of tensors, expected each by itself")
    return tuple(as_tensor(a) if isinstance(a, (Tensor, np.ndarray, list)) else a for a in args)


def arrays_of(arguments):
    """What is fed to a tape."""
    return tuple(a.array for a in arguments if isinstance(a, Tensor))


def key_of(arguments):
    """What makes two calls of a step the same kind."""
    # with the type: 2, 2.0 and True are equal
    described = tuple((type(a), (a.shape, a.dtype.str) if isinstance(a, Tensor) else a) for a in arguments)
    try:
        hash(described)
    except TypeError:
        kinds = ", ".join(type(a).__name__ for a in arguments)
        raise TypeError(
            f"record: got arguments of types {kinds}, expected arrays, tensors, lists or hashables"
        ) from None
    return (state.grad_enabled, described)


def compare(recorded, replayed, fresh, eager):
    """RuntimeError at the first difference between two lists of calls and their results."""
    hint = "the function does not do the same at every call; a value read at recording time may have changed"
    for i, (old, new, one, other) in enumerate(zip(recorded, fresh, replayed, eager, strict=False)):
        if repr(old) != repr(new) or old.sizes != new.sizes:
            raise RuntimeError(f"verify: call {i} was recorded as [{old}], but is now [{new}]; {hint}")
        if any(then.tobytes() != now.tobytes() for then, now in zip(one, other, strict=True)):
            raise RuntimeError(f"verify: call {i} [{old}] left other numbers in replay than in eager; {hint}")
    if len(recorded) != len(fresh):
        raise RuntimeError(f"verify: {len(recorded)} calls were recorded, but now there are {len(fresh)}; {hint}")
