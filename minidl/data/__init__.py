"""Data sets and loaders."""

from minidl.data.dataset import Dataset, Subset, TensorDataset, random_split
from minidl.data.loader import DataLoader
from minidl.data.uci import digits

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "digits", "random_split"]
