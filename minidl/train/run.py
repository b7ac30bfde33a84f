"""A run's folder: the model with its weights, in a form that it can be rebuilt from."""

import itertools
import json
from pathlib import Path

from minidl import nn
from minidl.serialize import load, save, write_atomically

MODEL, WEIGHTS, METRICS, CURVES = "model.json", "weights.safetensors", "metrics.csv", "curves.png"


def mlp(sizes):
    """Fully connected layers with ReLU between them.

    Parameters
    ----------
    sizes : sequence of int
        Features of the input, of each hidden layer, of the output.
    """
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def save_run(folder, model, sizes, options):
    """Write the weights, and what `load_run` needs to rebuild the model around them.

    Parameters
    ----------
    folder : Path
    model : Module
        As `mlp` makes it.
    sizes : sequence of int
    options : dict
        How it was trained; for the record only.
    """
    save(model, folder / WEIGHTS)
    description = {"model": "mlp", "sizes": list(sizes), "data": "digits", "options": options}
    write_atomically(folder / MODEL, (json.dumps(description, indent=2) + "\n").encode())


def load_run(folder):
    """The model that `save_run` left in a folder.

    Returns
    -------
    Module, in eval mode

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
        sizes = json.loads((folder / MODEL).read_text())["sizes"]
        if len(sizes) < 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(f"sizes: got {sizes}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / MODEL} does not describe a model: {error!r}") from error
    model, weights = mlp(sizes), load(folder / WEIGHTS)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise ValueError(f"{folder / WEIGHTS} does not fit the sizes {sizes} in {MODEL}")
    model.load_state_dict(weights)
    return model.eval()
