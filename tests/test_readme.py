"""The README's Python code runs."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks(tmp_path, monkeypatch, capsys):
    """One after the other, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(block, names)
    out = capsys.readouterr().out
    assert "1 spike rolled back" in out and "update/weight" in out
    assert float(re.findall(r"^0\.\d+$", out, re.MULTILINE)[-1]) > 0.9  # the accuracy with averaged weights
