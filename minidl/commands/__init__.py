"""The commands of the command line, one function each."""

from minidl.commands.machine import info, warmup
from minidl.commands.prediction import predict
from minidl.commands.training import train

__all__ = ["info", "predict", "train", "warmup"]
