"""The README's Python code runs."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks(tmp_path, monkeypatch, capsys):
    """One after the other, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    printed = []
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(block, names)
        printed.append(capsys.readouterr().out)
    (guarded,) = [out for out in printed if "1 spike rolled back" in out]
    assert "update/weight" in guarded and float(guarded.split()[-1]) > 0.9
    assert (tmp_path / "report.html").exists()
