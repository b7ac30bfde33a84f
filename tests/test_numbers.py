"""The published numbers of examples/numbers: those rows that take seconds, some of them with fewer seeds."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "numbers"))

import depth
import signals

import minidl as dl


@pytest.fixture(autouse=True)
def one_thread(seeded):
    """Networks this small want no second thread."""
    dl.set_num_threads(1)


def check(rows):
    try:
        rows = list(rows)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert rows and [row for row in rows if not row.ok] == []


@pytest.mark.parametrize("name", signals.ROWS)
def test_signals(name):
    check(signals.ROWS[name]())


def test_he_and_xavier():
    """P7"""
    check(depth.he_and_xavier(seeds=2))


def test_batch_norm():
    """P8"""
    check(depth.batch_norm(seeds=1, steps=200))


def test_shortcuts():
    """P9, P10"""
    check(depth.residual_depth(depths=[50], seeds=1))
    check(depth.highway_depth(depths=[50], seeds=1))


def test_fixup():
    """P11"""
    check(depth.fixup(depths=[100], seeds=1))
