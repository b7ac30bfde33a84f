"""Folders of image files."""

from pathlib import Path

import numpy as np

from minidl.data.images import ImageDataset, as_size

MODES = ("L", "RGB", "RGBA")


def image_folder(folder, size=None, mode=None):
    """The images in a folder that has one sub-folder per class.

    Every file in the sub-folders, and in theirs, is taken for an image; only names that start with a dot are left out.
    Files beside the sub-folders are not looked at. Labels follow the sorted names of the sub-folders, images the sorted
    names of the files.

    Parameters
    ----------
    folder : str or Path
    size : int or (int, int), optional
        Height and width that all images are resized to, bilinear; by default all must have one size.
    mode : {"L", "RGB", "RGBA"}, optional
        What all images are converted to: grey, colour, colour with transparency; by default all must have one of these.

    Returns
    -------
    ImageDataset
        Images of shape (N, 1, H, W), (N, 3, H, W) or (N, 4, H, W); `classes` are the names of the sub-folders.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If a sub-folder is empty, or a file is no image, or one of another size or mode; names the file.
    ImportError
        If Pillow is missing.
    """
    size = None if size is None else as_size("image_folder", size)
    if mode is not None and mode not in MODES:
        raise ValueError(f"image_folder: mode: got {mode!r}, expected one of {', '.join(MODES)}")
    paths, labels, classes = _listing(Path(folder))
    first = read_image(paths[0], size, mode)
    images = np.empty((len(paths), *first.shape), np.uint8)
    for image, path in zip(images, paths, strict=True):
        pixels = read_image(path, size, mode)
        if pixels.shape != first.shape:
            raise ValueError(
                f"image_folder: {path}: got {_describe(pixels)}, expected {_describe(first)} as in {paths[0]}; "
                "size= and mode= convert"
            )
        image[...] = pixels
    return ImageDataset(images, labels, classes)


def _listing(folder):
    """Paths and labels of all images, names of the classes."""
    if not folder.is_dir():
        raise FileNotFoundError(f"image_folder: no such folder: {folder}")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise ValueError(f"image_folder: {folder}: got no sub-folders, expected one per class")
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(path for path in (folder / name).rglob("*") if path.is_file() and not path.name.startswith("."))
        if not found:
            raise ValueError(f"image_folder: {folder / name}: got no files, expected at least one image")
        paths += found
        labels += [label] * len(found)
    return paths, np.array(labels), classes


def read_image(path, size=None, mode=None):
    """One image.

    Parameters
    ----------
    path : str or Path
    size, mode
        As in `image_folder`, but size is a pair.

    Returns
    -------
    ndarray of uint8, shape (C, H, W)
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("reading images needs Pillow: pip install 'minidl[images]'") from error
    try:
        with Image.open(path) as opened:
            image: Image.Image = opened
            image.load()
    except Exception as error:  # each of Pillow's decoders raises errors of its own
        raise ValueError(f"image_folder: {path}: got a file that is no whole image: {error}") from error
    # more than 8 bits per pixel: Pillow would clip them without a word
    if image.mode[0] in "IF" or mode is None and image.mode not in MODES:
        raise ValueError(
            f"image_folder: {path}: got an image of mode {image.mode}, expected {' or '.join(MODES)}; "
            "mode= converts images of 8 bits or less"
        )
    if mode is not None:
        image = image.convert(mode)
    if size is not None:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _describe(pixels):
    channels, height, width = pixels.shape
    return f"{height} x {width} pixels of mode {dict(zip((1, 3, 4), MODES, strict=True))[channels]}"
