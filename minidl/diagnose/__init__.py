"""The gradient doctor: what keeps a model from learning, where, and what may help."""

from minidl.diagnose.examine import examine
from minidl.diagnose.monitor import Monitor
from minidl.diagnose.report import Report
from minidl.diagnose.verdict import Verdict

__all__ = ["Monitor", "Report", "Verdict", "examine"]
