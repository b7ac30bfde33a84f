"""A run's folder: the model with its weights, in a form that it can be rebuilt from."""

import json
from dataclasses import dataclass
from pathlib import Path

from minidl import models
from minidl.data import Vocabulary
from minidl.data.transforms import Normalize
from minidl.serialize import load, save, write_atomically

MODEL, WEIGHTS, METRICS = "model.json", "weights.safetensors", "metrics.csv"
CURVES, REPORT = "curves.png", "report.html"
MODELS = {
    function.__name__: function
    for function in (models.mlp, models.small_cnn, models.lenet5, models.resnet, models.densenet, models.char_lm)
}


@dataclass(frozen=True)
class Inputs:
    """What a model of images was trained to read.

    Attributes
    ----------
    shape : sequence of int
        (C, H, W).
    highest : int
        The largest value that a pixel can have.
    mean, std : list of float
        Of the training pixels as floats from 0 to 1 (bytes divided by 255), per channel.
    classes : sequence of str
    """

    shape: tuple[int, ...]
    highest: int
    mean: list[float]
    std: list[float]
    classes: tuple[str, ...]

    def __post_init__(self):
        if not (len(self.shape) == 3 and len(self.mean) == len(self.std) == self.shape[0] and self.classes):
            raise ValueError(f"inputs: got {self}")

    def normalize(self):
        """The transform that every image goes through, in training and ever after."""
        return Normalize(self.mean, self.std)


READS = {name: Vocabulary if name == "char_lm" else Inputs for name in MODELS}


def save_run(folder, model, name, arguments, inputs, options):
    """Write the weights, and what `load_run` needs to rebuild the model around them.

    Parameters
    ----------
    folder : Path
    model : Module
    name : str
        One of `MODELS`.
    arguments : dict
        What it was made with.
    inputs : dict
        What it reads: arguments of `Inputs`, or of the `Vocabulary`.
    options : dict
        How it was trained, ``"data"`` among them: where the images or the text came from.
    """
    save(model, folder / WEIGHTS)
    description = {"model": name, "arguments": arguments, "inputs": inputs, "options": options}
    write_atomically(folder / MODEL, (json.dumps(description, indent=2) + "\n").encode())


def load_run(folder):
    """What `save_run` left in a folder.

    Returns
    -------
    model : Module
        In eval mode.
    inputs : Inputs or Vocabulary
    options : dict

    Raises
    ------
    FileNotFoundError, ValueError
        That name the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    if not (folder / MODEL).is_file():
        raise FileNotFoundError(
            f"{folder} has no {MODEL}: not a folder that `minidl train` wrote, or one that it did not finish"
        )
    try:
        description = json.loads((folder / MODEL).read_text())
        name, options = description["model"], dict(description["options"])
        model, inputs = MODELS[name](**description["arguments"]), READS[name](**description["inputs"])
    except (ValueError, KeyError, TypeError, MemoryError) as error:
        raise ValueError(f"{folder / MODEL} does not describe a model: {error!r}") from error
    weights = load(folder / WEIGHTS)
    expected = {path: tuple(value.shape) for path, value in model.state_dict().items()}
    if expected != {path: value.shape for path, value in weights.items()}:
        raise ValueError(f"{folder / WEIGHTS} does not fit the {name} in {MODEL}")
    model.load_state_dict(weights)
    return model.eval(), inputs, options
