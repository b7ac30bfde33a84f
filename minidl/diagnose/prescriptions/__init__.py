"""What may help: objects that are applied to a model, or to a course of training."""

from minidl.diagnose.prescriptions.base import Advice, Prescription, Together
from minidl.diagnose.prescriptions.inputs import IgnoreLengths, InferLengths, NormaliseInputs, ReplaceNonFinite
from minidl.diagnose.prescriptions.layers import (
    AddResidual,
    ChangeActivation,
    ClampInput,
    InsertNorm,
    Reattach,
    RemoveLayer,
    ScaleResidual,
)
from minidl.diagnose.prescriptions.training import (
    AppendLogSoftmax,
    ChangeLoss,
    Clip,
    ClipThroughTime,
    LearningRate,
    NegateLoss,
    ScaleTargets,
    Unfreeze,
    WarmUp,
)
from minidl.diagnose.prescriptions.values import ForgetBias, LongMemory, Reinitialise, ResetBiases, ResetRecurrent

__all__ = [
    "AddResidual",
    "Advice",
    "AppendLogSoftmax",
    "ChangeActivation",
    "ChangeLoss",
    "ClampInput",
    "Clip",
    "ClipThroughTime",
    "ForgetBias",
    "IgnoreLengths",
    "InferLengths",
    "InsertNorm",
    "LearningRate",
    "LongMemory",
    "NegateLoss",
    "NormaliseInputs",
    "Prescription",
    "Reattach",
    "Reinitialise",
    "RemoveLayer",
    "ReplaceNonFinite",
    "ResetBiases",
    "ResetRecurrent",
    "ScaleResidual",
    "ScaleTargets",
    "Together",
    "Unfreeze",
    "WarmUp",
]
