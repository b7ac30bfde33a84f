"""Data sets, loaders and transforms."""

from minidl.data import transforms
from minidl.data.cifar import cifar10
from minidl.data.dataset import Dataset, Subset, TensorDataset, random_split
from minidl.data.folder import image_folder
from minidl.data.idx import read_idx
from minidl.data.images import ImageDataset
from minidl.data.indoor import indoor_movement
from minidl.data.loader import DataLoader
from minidl.data.mnist import fashion_mnist, mnist
from minidl.data.sequences import SequenceDataset, pad, sequential_images
from minidl.data.series import Standardizer, split_series, windows
from minidl.data.synthetic import adding_problem, copy_memory, temporal_order
from minidl.data.table import read_series
from minidl.data.text import TextSequences, TextWindows, read_text
from minidl.data.uci import digits
from minidl.data.vocabulary import Vocabulary

__all__ = [
    "DataLoader",
    "Dataset",
    "ImageDataset",
    "SequenceDataset",
    "Standardizer",
    "Subset",
    "TensorDataset",
    "TextSequences",
    "TextWindows",
    "Vocabulary",
    "adding_problem",
    "cifar10",
    "copy_memory",
    "digits",
    "fashion_mnist",
    "image_folder",
    "indoor_movement",
    "mnist",
    "pad",
    "random_split",
    "read_idx",
    "read_series",
    "read_text",
    "sequential_images",
    "split_series",
    "temporal_order",
    "transforms",
    "windows",
]
