"""Data sets, loaders and transforms."""

from minidl.data import transforms
from minidl.data.cifar import cifar10
from minidl.data.dataset import Dataset, Subset, TensorDataset, random_split
from minidl.data.folder import image_folder
from minidl.data.idx import read_idx
from minidl.data.images import ImageDataset
from minidl.data.loader import DataLoader
from minidl.data.mnist import fashion_mnist, mnist
from minidl.data.uci import digits

__all__ = [
    "DataLoader",
    "Dataset",
    "ImageDataset",
    "Subset",
    "TensorDataset",
    "cifar10",
    "digits",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "random_split",
    "read_idx",
    "transforms",
]
