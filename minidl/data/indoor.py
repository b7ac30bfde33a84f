"""Movements of people between rooms, as radio signals show them: sequences of different lengths."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from minidl.data.sequences import SequenceDataset
from minidl.data.table import number, rows
from minidl.data.text import decode

GROUPS = (1, 2, 3)


def indoor_movement(source, groups=GROUPS):
    """Indoor user movement: does a person go to another room? (Bacciu, Barsocchi, Chessa, Gallicchio, Micheli, 2014)

    314 walks, each seen by four anchors that measure the strength of a radio signal 8 times a second, scaled to
    [-1, 1]; 19 to 129 steps. 158 of them lead to another room: who always says so is right in 50.3 %.

    Parameters
    ----------
    source : str or Path
        The zip file of the UCI repository, or the folder that it unpacks to, with ``dataset`` and ``groups`` in it.
    groups : sequence of int
        Which of the three pairs of rooms the walks are from. To train in two and to test in the third is harder than
        to split at random.

    Returns
    -------
    SequenceDataset
        Sequences float32, shape (T, 4); labels int64: 1 for another room, 0 for the same.

    Raises
    ------
    FileNotFoundError, ValueError
        That name the file which is missing or not whole.
    """
    if not (wanted := set(groups)) or not wanted <= set(GROUPS):
        raise ValueError(f"indoor_movement: groups: got {groups!r}, expected some of {GROUPS}")
    root = _root(Path(source))
    group_of = dict(_numbers(root / "groups/MovementAAL_DatasetGroup.csv", 2, int))
    sequences, labels = [], []
    for walk, label in _numbers(root / "dataset/MovementAAL_target.csv", 2, int):
        if label not in (-1, 1) or group_of.get(walk) not in GROUPS:
            raise ValueError(
                f"indoor_movement: {source}: got label {label} and group {group_of.get(walk)} for sequence {walk}, "
                f"expected -1 or 1 and one of {GROUPS}"
            )
        if group_of[walk] in wanted:
            sequences.append(np.float32(_numbers(root / f"dataset/MovementAAL_RSS_{walk}.csv", 4, float)))
            labels.append(int(label == 1))
    return SequenceDataset(sequences, labels)


def _root(source):
    """What the paths of the files begin with, in a folder or in a zip file."""
    if source.is_dir():
        return source
    if not source.is_file():
        raise FileNotFoundError(f"indoor_movement: no such file or folder: {source}")
    try:
        return zipfile.Path(source)
    except zipfile.BadZipFile as error:
        raise ValueError(f"indoor_movement: {source}: got a file that is no whole zip file: {error}") from None


def _numbers(path, columns, kind):
    """The rows of a table in a file."""
    where = f"indoor_movement: {path}"
    if not path.is_file():
        raise FileNotFoundError(f"{where}: no such file")
    try:
        content = path.read_bytes()
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{where}: got a file that is not whole: {error}") from None
    header, table = rows(where, decode(where, content))
    if len(header) != columns:
        raise ValueError(f"{where}: got {len(header)} columns, expected {columns}")
    return [[number(f"{where}: line {line}", field, kind) for field in fields] for line, fields in table]
