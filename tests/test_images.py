import gzip

import numpy as np
import pytest
from files import TYPES, idx, naming, pixels, real, write

import minidl as dl
from minidl import data
from minidl.data import DataLoader, ImageDataset, Subset

# The data set -----------------------------------------------------------------------------------------------------


def test_images_are_bytes_and_come_as_floats():
    images, labels = pixels(5, 3, 4, 6), np.array([0, 1, 2, 1, 0], np.uint8)
    dataset = ImageDataset(images, labels, "abc")
    assert np.shares_memory(dataset.images, images) and dataset.classes == ("a", "b", "c") and len(dataset) == 5
    x, y = dataset[:]
    np.testing.assert_array_equal(x, images.astype(np.float32) / np.float32(255))
    assert x.dtype == np.float32 and y.dtype == np.int64
    one, label = dataset[2]
    np.testing.assert_array_equal(one, x[2])
    assert label == 2
    batches = list(DataLoader(Subset(dataset, [4, 2, 0]), 2))
    assert [part.shape for part in batches[0]] == [(2, 3, 4, 6), (2,)]
    assert batches[0][0].dtype == np.float32 and batches[0][1].dtype == np.int64
    np.testing.assert_array_equal(np.concatenate([b.numpy() for b, _ in batches]), x[[4, 2, 0]])


def test_ends_of_the_range_are_exact():
    x, _ = ImageDataset(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), [0, 0])[:]
    assert x.ravel().tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "error, message, images, labels",
    [
        (TypeError, "float32 images", np.zeros((1, 1, 2, 2), np.float32), [0]),
        (TypeError, "float64 labels", pixels(1, 1, 2, 2), [0.0]),
        (ValueError, r"\(1, 2, 2\).*expected \(N, C, H, W\)", pixels(1, 2, 2), [0]),
        (ValueError, r"\(2,\)", pixels(1, 1, 2, 2), [0, 0]),
        (ValueError, "label 1 is 3, expected 0 <= label < 3", pixels(2, 1, 2, 2), [0, 3]),
        (ValueError, "label 0 is -1", pixels(2, 1, 2, 2), [-1, 0]),
    ],
)
def test_bad_image_dataset(error, message, images, labels):
    with pytest.raises(error, match=message):
        ImageDataset(images, labels, "abc")


# idx --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numbers", "numbers.gz"])
@pytest.mark.parametrize("code", TYPES)
def test_idx_of_every_type(tmp_path, code, name):
    array = np.random.default_rng(0).integers(-100, 100, (3, 2, 5)).astype(TYPES[code])
    read = data.read_idx(write(tmp_path / name, idx(array, code)))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=") and read.flags.writeable


def test_idx_of_nothing(tmp_path):
    assert data.read_idx(write(tmp_path / "none", idx(np.zeros((0, 4, 4))))).shape == (0, 4, 4)


@pytest.mark.parametrize("name", ["whole.gz", "whole"])
def test_idx_that_is_cut_anywhere_is_an_error(tmp_path, name):
    whole = write(tmp_path / name, idx(pixels(3, 4))).read_bytes()
    path = tmp_path / "cut"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=naming(path)):
            data.read_idx(path)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", ["starts with bytes []", "expected an idx file"]),
        (b"\x89PNG\r\n", ["starts with bytes [89 50 4e 47]", "expected an idx file"]),
        (b"\0\0\x0a\x01\0\0\0\0", ["[00 00 0a 01]"]),
        (b"\0\0\x08\xff", ["[00 00 08 ff]"]),
        (idx(pixels(3, 4)) + b"\0", ["got 13 bytes", "expected 12 for uint8 of shape (3, 4)"]),
        (b"\0\0\x08\x02" + b"\xff" * 8, ["got 0 bytes", str((2**32 - 1) ** 2)]),
        (gzip.compress(idx(pixels(30, 4)))[:-9] + b"\x07" * 9, ["not a whole gzip file"]),
    ],
)
def test_bad_idx(tmp_path, content, words):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=naming(path, *words)):
        data.read_idx(path)


def test_missing_idx(tmp_path):
    with pytest.raises(FileNotFoundError, match=naming(tmp_path / "none")):
        data.read_idx(tmp_path / "none")


# MNIST ------------------------------------------------------------------------------------------------------------


def write_mnist(folder, images=None, labels=None, part="train", dot="-", packed=""):
    images = pixels(6, 5, 4) if images is None else images
    labels = np.arange(6) if labels is None else labels
    return (
        write(folder / f"{part}-images{dot}idx3-ubyte{packed}", idx(images)),
        write(folder / f"{part}-labels{dot}idx1-ubyte{packed}", idx(labels)),
    )


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("train", [True, False])
def test_mnist_under_all_its_names(tmp_path, train, dot, packed):
    write_mnist(tmp_path, part="train" if train else "t10k", dot=dot, packed=packed)
    dataset = data.mnist(tmp_path, train=train)
    np.testing.assert_array_equal(dataset.images, pixels(6, 5, 4)[:, None])
    assert dataset.labels.tolist() == list(range(6)) and dataset.classes == tuple("0123456789")
    with pytest.raises(FileNotFoundError, match=naming(tmp_path, "t10k" if train else "train", "images")):
        data.mnist(tmp_path, train=not train)


@pytest.mark.parametrize(
    "at, words, files",
    [
        (1, ["got 5 labels, expected 6"], {"labels": np.arange(5)}),
        (1, ["label 2 is 10", "label < 10"], {"labels": np.array([0, 1, 10, 3, 4, 5])}),
        (1, ["got uint8 of shape (6, 1)", "expected uint8 (N,)"], {"labels": np.zeros((6, 1))}),
        (0, ["got uint8 of shape (6, 20)", "expected uint8 (N, H, W)"], {"images": pixels(6, 20)}),
    ],
)
def test_bad_mnist(tmp_path, at, words, files):
    paths = write_mnist(tmp_path, **files)
    with pytest.raises(ValueError, match="mnist: " + naming(paths[at], *words)):
        data.mnist(tmp_path)


def test_missing_mnist_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=naming(tmp_path / "none")):
        data.fashion_mnist(tmp_path / "none")


@pytest.mark.parametrize(
    "read, folder, train, count, first, mean",
    [
        (data.mnist, "mnist", True, 60000, [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], 33.318),
        (data.mnist, "mnist", False, 10000, [7, 2, 1, 0, 4, 1, 4, 9, 5, 9], 33.791),
        (data.fashion_mnist, "fashion_mnist", True, 60000, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], 72.940),
        (data.fashion_mnist, "fashion_mnist", False, 10000, [9, 2, 1, 1, 6, 1, 4, 6, 5, 7], 73.147),
    ],
)
def test_real_mnist(read, folder, train, count, first, mean):
    dataset = read(real(folder), train=train)
    assert dataset.images.shape == (count, 1, 28, 28)
    assert dataset.labels[:10].tolist() == first
    assert abs(dataset.images.mean() - mean) < 1e-3
    counts = np.bincount(dataset.labels)
    if read is data.fashion_mnist:
        assert counts.tolist() == [count // 10] * 10 and dataset.classes[9] == "Ankle boot"
    elif train:
        assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


# CIFAR-10 ---------------------------------------------------------------------------------------------------------


def cifar_records(labels):
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels(len(labels), 3072)], axis=1)


def test_cifar10_folder_and_files(tmp_path):
    for i in range(1, 6):
        records = cifar_records([i, 9 - i])
        write(tmp_path / f"data_batch_{i}.bin{'.gz' if i % 2 else ''}", records.tobytes())
    test = write(tmp_path / "test_batch.bin", cifar_records([7]).tobytes())
    train = data.cifar10(tmp_path)
    assert train.labels.tolist() == [1, 8, 2, 7, 3, 6, 4, 5, 5, 4] and train.classes[7] == "horse"
    assert train.images.shape == (10, 3, 32, 32) and train.images.flags.c_contiguous
    np.testing.assert_array_equal(train.images[1, 2, 3], pixels(2, 3, 32, 32)[1, 2, 3])
    assert data.cifar10(str(tmp_path), train=False).labels.tolist() == [7] == data.cifar10(test).labels.tolist()
    assert data.cifar10([test, tmp_path / "data_batch_2.bin"]).labels.tolist() == [7, 2, 7]
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=naming(tmp_path, "data_batch_4.bin")):
        data.cifar10(tmp_path)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", ["got 0 bytes", "multiple of 3073"]),
        (bytes(3072), ["got 3072 bytes", "multiple of 3073"]),
        (bytes(3073) + bytes([10]) + bytes(3072), ["label 1 is 10", "label < 10"]),
        (gzip.compress(bytes(3073))[:-4], ["not a whole gzip file"]),
    ],
    ids=["empty", "short", "label", "gzip"],
)
def test_bad_cifar10(tmp_path, content, words):
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    good = write(tmp_path / "good.bin", bytes(3073))
    with pytest.raises(ValueError, match="cifar10: " + naming(path, *words)):
        data.cifar10([good, path])


def test_no_cifar10(tmp_path):
    with pytest.raises(FileNotFoundError, match=naming(tmp_path / "none.bin")):
        data.cifar10(tmp_path / "none.bin")
    with pytest.raises(ValueError, match="got no files"):
        data.cifar10([])


def test_real_cifar10():
    dataset = data.cifar10(real("cifar10_small/lossless_first4000_train.bin.gz"))
    assert dataset.images.shape == (4000, 3, 32, 32)
    assert dataset.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert np.bincount(dataset.labels).tolist() == [396, 366, 420, 384, 422, 393, 414, 385, 407, 413]
    np.testing.assert_allclose(dataset.images.mean(axis=(0, 2, 3)), [125.4, 122.9, 113.4], atol=0.1)


# Folders of files -------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    """Three PNG files of two classes, with their pixels; one of them in a folder further down."""
    Image = pytest.importorskip("PIL.Image")
    folder, arrays = tmp_path / "photos", [pixels(5, 4, 3), pixels(5, 4, 3)[::-1], pixels(5, 4, 3)[:, ::-1]]
    for name, array in zip(["cat/a.png", "cat/b/c.png", "dog/a.png"], arrays, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(array)).save(folder / name)
    (folder / "cat" / ".hidden").touch()
    (folder / "README").touch()
    return folder, arrays


def save(path, array, mode=None):
    from PIL import Image

    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def test_image_folder(photos):
    folder, arrays = photos
    dataset = data.image_folder(folder)
    assert dataset.classes == ("cat", "dog") and dataset.labels.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(dataset.images, np.stack(arrays).transpose(0, 3, 1, 2))
    assert dataset.images.flags.c_contiguous
    (x, y), *_ = DataLoader(dataset, 3)
    assert isinstance(x, dl.Tensor) and x.shape == (3, 3, 5, 4)


def test_image_folder_converts(photos):
    folder, _ = photos
    save(folder / "dog" / "b.png", pixels(9, 9))
    assert data.image_folder(folder, size=6, mode="L").images.shape == (4, 1, 6, 6)
    assert data.image_folder(folder, (7, 3), "RGBA").images.shape == (4, 4, 7, 3)


def test_resizing_keeps_height_and_width_apart(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "one").mkdir()
    rows = np.repeat(np.array([0, 100, 200], np.uint8)[:, None], 8, axis=1)
    save(tmp_path / "one" / "a.png", rows)
    image = data.image_folder(tmp_path, size=(3, 2)).images[0, 0]
    np.testing.assert_array_equal(image, rows[:, :2])


@pytest.mark.parametrize(
    "words, make",
    [
        (["got 4 x 5 pixels of mode RGB", "expected 5 x 4", "a.png"], lambda path: save(path, pixels(4, 5, 3))),
        (["5 x 4 pixels of mode L", "expected 5 x 4 pixels of mode RGB"], lambda path: save(path, pixels(5, 4))),
        (["mode P", "L or RGB"], lambda path: save(path, pixels(5, 4, 3), "P")),
        (["mode I;16"], lambda path: save(path, pixels(5, 4).astype(np.uint16))),
        (["no whole image"], lambda path: path.write_bytes(b"hello")),
        (["no whole image"], lambda path: path.touch()),
        (["no whole image"], lambda path: path.write_bytes(save(path, pixels(5, 4, 3)).read_bytes()[:90])),
    ],
)
def test_bad_image(photos, words, make):
    path = photos[0] / "cat" / "x.png"
    make(path)
    with pytest.raises(ValueError, match="image_folder: " + naming(path, *words)):
        data.image_folder(photos[0])


def test_sixteen_bits_are_not_clipped_to_eight(photos):
    path = save(photos[0] / "cat" / "x.png", pixels(5, 4).astype(np.uint16) * 256)
    with pytest.raises(ValueError, match=naming(path, "8 bits")):
        data.image_folder(photos[0], mode="L")


def test_bad_image_folder(photos, tmp_path):
    folder, _ = photos
    with pytest.raises(FileNotFoundError, match=naming(tmp_path / "none")):
        data.image_folder(tmp_path / "none")
    with pytest.raises(ValueError, match=naming(folder / "cat" / "b", "no sub-folders")):
        data.image_folder(folder / "cat" / "b")
    for size in (0, (1, 2, 3), "big", 1.5):
        with pytest.raises(ValueError, match="size: got"):
            data.image_folder(folder, size=size)
    with pytest.raises(ValueError, match="mode: got 'rgb'"):
        data.image_folder(folder, mode="rgb")
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=naming(folder / "empty", "no files")):
        data.image_folder(folder)


def test_without_pillow(photos, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'minidl\[images\]'"):
        data.image_folder(photos[0])
