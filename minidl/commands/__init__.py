"""The commands of the command line, one function each."""

from minidl.commands.characters import generate
from minidl.commands.diagnosis import diagnose
from minidl.commands.machine import info, warmup
from minidl.commands.prediction import predict
from minidl.commands.tasks import train

__all__ = ["diagnose", "generate", "info", "predict", "train", "warmup"]
