"""The idx format of MNIST's files: a type, the sizes, then the numbers, all big-endian."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path):
    """The array in an idx file.

    Parameters
    ----------
    path : str or Path
        May be compressed with gzip, whatever its name.

    Returns
    -------
    ndarray of uint8, int8, int16, int32, float32 or float64

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no idx file, or not a whole one.
    """
    content = read_bytes("read_idx", path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES or not 1 <= content[3] <= 32:
        types = ", ".join(f"{code:02x}" for code in DTYPES)
        raise ValueError(
            f"read_idx: {path}: starts with bytes [{content[:4].hex(' ')}], expected an idx file: 00 00, "
            f"a type ({types}), and the number of dimensions"
        )
    dtype, start = np.dtype(DTYPES[content[2]]), 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"read_idx: {path}: got {len(content)} bytes, expected a header of {start}")
    shape = tuple(np.frombuffer(content, ">u4", content[3], 4).tolist())
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        raise ValueError(
            f"read_idx: {path}: got {len(content) - start} bytes after the header, "
            f"expected {expected} for {dtype.name} of shape {shape}"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def read_bytes(function, path):
    """What is in a file, unpacked if it is compressed with gzip.

    Parameters
    ----------
    function : str
        For errors.
    path : str or Path
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, expected a file" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{function}: {path}: {what}")
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{function}: {path} is not a whole gzip file: {error}") from error
