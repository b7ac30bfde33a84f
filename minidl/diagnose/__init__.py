"""The gradient doctor: what keeps a model from learning, where, and what may help."""

from minidl.diagnose import inserts, prescriptions
from minidl.diagnose.course import Course
from minidl.diagnose.cure import CureReport, cure
from minidl.diagnose.examine import examine
from minidl.diagnose.monitor import Monitor
from minidl.diagnose.prescribe import prescribe
from minidl.diagnose.report import Report
from minidl.diagnose.verdict import DISEASES, Verdict

__all__ = [
    "DISEASES",
    "Course",
    "CureReport",
    "Monitor",
    "Report",
    "Verdict",
    "cure",
    "examine",
    "inserts",
    "prescribe",
    "prescriptions",
]
