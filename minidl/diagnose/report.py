"""What a diagnosis gives: verdicts, their evidence, and pictures of it."""

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidl.diagnose.evidence import Evidence
from minidl.diagnose.html import page
from minidl.diagnose.picture import NARROWEST, picture
from minidl.diagnose.plot import plot_flow
from minidl.diagnose.prescribe import prescribe
from minidl.diagnose.verdict import Verdict
from minidl.serialize import write_atomically


@dataclass
class Report:
    """Verdicts, the surest first, and the evidence for them.

    Attributes
    ----------
    verdicts : list of Verdict
    evidence : Evidence
    model : Module or None
        Whose they are.
    optimizer : Optimizer or None
    """

    verdicts: list[Verdict]
    evidence: Evidence = field(repr=False)
    model: Any = field(default=None, repr=False)
    optimizer: Any = field(default=None, repr=False)

    def __post_init__(self):
        for verdict in self.verdicts:
            verdict.prescriptions = prescribe(verdict, self.evidence)

    healthy = property(lambda self: not self.verdicts, doc="Whether nothing was found.")

    def __iter__(self):
        return iter(self.verdicts)

    @property
    def summary(self):
        """What is said where there is no verdict."""
        measured = self.evidence.layers or self.evidence.batches
        return "healthy: nothing found" if measured else "nothing was measured yet"

    def __str__(self):
        return "\n".join(map(str, self.verdicts)) or self.summary

    def picture(self, width=None):
        """The gradient flow as text: per layer, over the measured steps, and over time in recurrent layers.

        Parameters
        ----------
        width : int, optional
            Characters in a line, at least 40; by default those of the terminal.

        Returns
        -------
        str
        """
        if width is None:
            width = max(shutil.get_terminal_size((100, 24)).columns, NARROWEST)
        return picture(self, width)

    def show(self):
        """Print the verdicts and the picture."""
        text, encoding = f"{self}\n\n{self.picture()}", getattr(sys.stdout, "encoding", None) or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding))  # not every terminal has blocks

    def plot(self, path):
        """Write the gradient flow as an image, in the format of `path`'s ending. ImportError without Matplotlib."""
        plot_flow(self, path)

    def save_html(self, path, history=None, step=None):
        """Write a page with all there is: verdicts, figures, and tables. It needs nothing from elsewhere.

        Parameters
        ----------
        path : str or Path
        history : History, optional
            Of the training, for its curves.
        step : recorded step, optional
            For the table of its nodes; it runs some times more to be timed, and leaves everything as it was.
        """
        write_atomically(Path(path), page(self, history, step).encode())
