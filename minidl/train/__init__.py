"""The training loop, its callbacks and its reports."""

from minidl.train.callbacks import Callback, CSVLogger, EarlyStopping, LRScheduler, ModelCheckpoint, ProgressBar
from minidl.train.history import History
from minidl.train.language import LanguageTrainer, generate
from minidl.train.metrics import accuracy
from minidl.train.range_test import RangeTest, lr_range_test
from minidl.train.trainer import Trainer

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LRScheduler",
    "LanguageTrainer",
    "ModelCheckpoint",
    "ProgressBar",
    "RangeTest",
    "Trainer",
    "accuracy",
    "generate",
    "lr_range_test",
]
