"""The sick zoo: small networks with a known disease, and for each a healthy twin. See README.md beside this file."""

from zoo.diseases import PATIENTS, patient
from zoo.patient import DISEASES, Patient

__all__ = ["DISEASES", "PATIENTS", "Patient", "patient"]
