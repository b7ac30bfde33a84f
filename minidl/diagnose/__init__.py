"""The gradient doctor: what keeps a model from learning, where, and what may help."""

from minidl.diagnose.examine import examine
from minidl.diagnose.monitor import Monitor
from minidl.diagnose.verdict import Report, Verdict

__all__ = ["Monitor", "Report", "Verdict", "examine"]
