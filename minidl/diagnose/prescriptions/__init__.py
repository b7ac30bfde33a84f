"""What may help: objects that are applied to a model, or to a course of training."""

from minidl.diagnose.prescriptions.base import Advice, Prescription, Together
from minidl.diagnose.prescriptions.inputs import IgnoreLengths, InferLengths, NormaliseInputs, ReplaceNonFinite
from minidl.diagnose.prescriptions.layers import ChangeActivation, ClampInput, Reattach, RemoveLayer
from minidl.diagnose.prescriptions.loss import AppendLogSoftmax, ChangeLoss, NegateLoss, ScaleTargets, TakeLog
from minidl.diagnose.prescriptions.structure import AddResidual, InsertNorm, ScaleResidual
from minidl.diagnose.prescriptions.training import Clip, ClipThroughTime, LearningRate, Unfreeze, WarmUp
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
    "TakeLog",
    "Together",
    "Unfreeze",
    "WarmUp",
]
