"""A failed step as one file: what went in, and what the step found."""

import json
import os

import numpy as np

from minidl.engine.pool import Chunk
from minidl.engine.random import generator

FORMAT = 1


def write(path, recording, call):
    """Write the step whose `call` has failed to a `.npz` file: arguments, what it read, the random counter.

    Parameters
    ----------
    path : str or Path
    recording : Recording
        What its step changed before it failed, has been put back.
    call : Call
    """
    calls = recording.calls_before(call)
    names = {id(x.array): x.name for x in recording.leaves()}
    found = found_by(calls, {id(feed.array) for feed in recording.feeds})
    draws = sum(any(array is generator.counter for array in before.outputs) for before in calls)
    arrays = {f"found.{i}": array for i, array in enumerate(found.values())}
    arrays |= {f"argument.{i}": a.array for i, a in enumerate(recording.arguments) if hasattr(a, "array")}
    plain = [None if hasattr(a, "array") else a for a in recording.arguments]
    about = {"format": FORMAT, "plain": plain, "names": [names.get(key) for key in found]}
    try:
        arrays["about"] = np.array(json.dumps(about))
    except TypeError:
        raise TypeError(f"dump: the step's arguments are {plain}, of which not all fit into a file") from None
    arrays["counter"] = generator.counter - np.array([0, draws], np.uint64)
    with open(f"{path}.tmp", "wb") as file:
        np.savez(file, **arrays)
    os.replace(f"{path}.tmp", path)


def read(path):
    """The arguments, what the step found (names and arrays), and the random counter in a file that `write` made."""
    with np.load(path, allow_pickle=False) as file:
        if "about" not in file:
            raise ValueError(f"reproduce: {path} is no step that an error's dump() has written")
        about = json.loads(str(file["about"]))
        arguments = [file.get(f"argument.{i}", plain) for i, plain in enumerate(about["plain"])]
        found = [(name, file[f"found.{i}"]) for i, name in enumerate(about["names"])]
        return arguments, found, file["counter"]


def found_by(calls, known):
    """By `id`, the arrays that forward calls read or change, and the step has not made, in order of appearance."""
    arrays: dict[int, np.ndarray] = {}
    for call in calls:
        if call.phase == "forward":
            for array in call.inputs + call.outputs:
                if lasting(array) and id(array) not in known:
                    arrays.setdefault(id(array), array)
    return arrays


def lasting(array):
    """Whether an array is one that outlives a step, and holds numbers."""
    return (
        array is not None
        and array is not generator.counter
        and array.dtype != np.uint8  # flags
        and array.flags.writeable
        and not isinstance(array.base, Chunk)
    )


class Refill:
    """Puts the values of a file in place, each when a call of the step first meets it.

    Parameters
    ----------
    found : list of (str or None, ndarray)
    """

    def __init__(self, found):
        self.left, self.met = list(reversed(found)), {}

    def before(self, call, known):
        """Fill what `call` is about to read or change; ValueError if it is not what the file has."""
        for key, array in found_by([call], known).items():
            if key in self.met or not self.left:
                continue
            self.met[key] = array  # the reference keeps the id
            name, values = self.left.pop()
            if array.shape != values.shape or array.dtype != values.dtype:
                raise ValueError(
                    f"reproduce: {call.node.title} reads {array.dtype} {array.shape}, where the step in the file read "
                    f"{values.dtype} {values.shape}{f', {name}' if name else ''}; is the script another one?"
                )
            array[...] = values
