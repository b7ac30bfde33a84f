"""The training loop, its callbacks and its reports."""

from minidl.train.callbacks import Callback, CSVLogger, EarlyStopping, LRScheduler, ModelCheckpoint, ProgressBar
from minidl.train.history import History
from minidl.train.metrics import accuracy
from minidl.train.range_test import RangeTest, lr_range_test
from minidl.train.trainer import Trainer

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LRScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "RangeTest",
    "Trainer",
    "accuracy",
    "lr_range_test",
]
