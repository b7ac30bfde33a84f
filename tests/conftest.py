"""Shared fixtures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))  # zoo; behind an installed minidl, which is compiled


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, with two threads."""
    import minidl

    minidl.manual_seed(0)
    minidl.set_num_threads(2)
