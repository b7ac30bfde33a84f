"""Numbers in files of comma-separated values."""

import csv

import numpy as np

from minidl.data.text import read_utf8

LARGEST = float(np.finfo(np.float32).max)
MISSING = {"", "na", "n/a", "nan", "null", "?"}


def read_series(path, columns, missing="raise"):
    """Columns of numbers in a file of comma-separated values with a header.

    Parameters
    ----------
    path : str or Path
        May be compressed with gzip.
    columns : str or sequence of str
        Their names in the header.
    missing : {"raise", "previous"}
        What an empty field, ``NA``, ``N/A``, ``NaN``, ``null`` or ``?`` means (in capitals or not): an error, or the
        value before it. Nothing later is used, as a forecast could not know it: rows before the first value of a column
        are left out.

    Returns
    -------
    ndarray of float32, shape (T, F)

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no such column, or a value is missing or no finite number; names the line.

    Examples
    --------
    >>> series = read_series("pollution.csv", ["pm2.5", "TEMP", "PRES"], missing="previous")
    """
    if missing not in ("raise", "previous"):
        raise ValueError(f"read_series: missing: got {missing!r}, expected 'raise' or 'previous'")
    columns = [columns] if isinstance(columns, str) else list(columns)
    if not columns:
        raise ValueError("read_series: columns: got none, expected at least one name")
    where = f"read_series: {path}"
    header, table = rows(where, read_utf8("read_series", path))
    for column in columns:
        if header.count(column) != 1:
            raise ValueError(f"{where}: got columns {', '.join(header)}, expected one named {column!r}")
    values = [
        [_value(f"{where}: line {line}, column {column}", fields[header.index(column)], missing) for column in columns]
        for line, fields in table
    ]
    return _filled(where, columns, np.array(values)).astype(np.float32)


def _value(where, text, missing):
    """The number in a field, NaN if there is none and that is no error."""
    if text.strip().lower() not in MISSING:
        return number(where, text)
    if missing == "raise":
        raise ValueError(f"{where}: got {text!r}, expected a number; missing='previous' takes the value before")
    return np.nan


def _filled(where, columns, values):
    """The rows from the first on that has a value in each column or one before it; NaN becomes the value before."""
    known = ~np.isnan(values)
    for column, some in zip(columns, known.any(axis=0), strict=True):
        if not some:
            raise ValueError(f"{where}: column {column}: got no values, expected at least one")
    last = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], 0))
    return np.take_along_axis(values, last, axis=0)[known.argmax(axis=0).max() :]


def rows(where, text):
    """The rows of a table, blank lines left out.

    Parameters
    ----------
    where : str
        For errors: function and file.
    text : str

    Returns
    -------
    header : list of str
        The first row.
    rows : list of (int, list of str)
        Line numbers and fields of the others.
    """
    reader = csv.reader(text.split("\n"), skipinitialspace=True, strict=True)
    try:
        table = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise ValueError(f"{where}: line {reader.line_num}: {error}") from None
    if len(table) < 2:
        raise ValueError(f"{where}: got {len(table)} lines, expected a header and at least one row")
    header = table[0][1]
    for line, fields in table[1:]:
        if len(fields) != len(header):
            raise ValueError(f"{where}: line {line}: got {len(fields)} values, expected {len(header)} as in the header")
    return header, table[1:]


def number(where, text, kind=float):
    """The number that `text` shows, if float32 can hold it.

    Parameters
    ----------
    where : str
        For errors: function, file, line and column.
    text : str
    kind : {float, int}
    """
    try:
        value = kind(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST:
        raise ValueError(f"{where}: got {text!r}, expected {'an integer' if kind is int else 'a number'}")
    return value
