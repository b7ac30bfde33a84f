"""Recognising what a folder of training data holds."""

import numpy as np
import pytest
from files import cifar_file, idx_folder, naming, picture_folder, pixels, real

from minidl.data.source import FIRST_CLOTHES, find_images, pixel_statistics


def test_digits():
    source = find_images("digits")
    assert (source.name, source.kind, source.highest) == ("digits", "digits", 16)
    assert source.train.images.shape == (1437, 1, 8, 8) and len(source.test) == 360
    assert source.train.images.max() == 16


def test_mnist_and_fashion_are_told_apart_by_their_labels(tmp_path):
    source = find_images(idx_folder(tmp_path / "fashion", [5, 0, 4, 1]))
    assert (source.name, source.kind, len(source.train), len(source.test)) == ("MNIST", "digits", 40, 10)
    source = find_images(idx_folder(tmp_path / "mnist", FIRST_CLOTHES))
    assert (source.name, source.kind, source.test.classes[0]) == ("Fashion-MNIST", "objects", "T-shirt/top")


@pytest.mark.parametrize("name, found", [("mnist", "MNIST"), ("fashion_mnist", "Fashion-MNIST")])
def test_the_real_files(name, found):
    source = find_images(real(name))
    assert (source.name, len(source.train), len(source.test)) == (found, 60000, 10000)
    (mean,), (std,) = pixel_statistics(source.train.images)
    known = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}[name]
    assert (round(mean, 4), round(std, 4)) == known


def test_cifar(tmp_path):
    for i in range(1, 6):
        cifar_file(tmp_path / f"data_batch_{i}.bin", 10)
    cifar_file(tmp_path / "test_batch.bin", 20)
    source = find_images(tmp_path)
    assert (source.name, source.kind, len(source.train), len(source.test)) == ("CIFAR-10", "objects", 50, 20)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=naming(tmp_path, "data_batch_3.bin")):
        find_images(tmp_path)


def test_other_files_in_cifars_format(tmp_path):
    cifar_file(tmp_path / "more.bin.gz", 30)
    cifar_file(tmp_path / "some.bin", 20)
    source = find_images(tmp_path, seed=1)
    assert (len(source.train), len(source.test)) == (40, 10)
    again, other = find_images(tmp_path, seed=1), find_images(tmp_path, seed=2)
    np.testing.assert_array_equal(again.test.images, source.test.images)
    assert np.any(other.test.images != source.test.images)
    cifar_file(tmp_path / "my_test.bin", 7)
    source = find_images(tmp_path)
    assert (len(source.train), len(source.test), source.train.classes[0]) == (50, 7, "airplane")


def test_only_test_files(tmp_path):
    cifar_file(tmp_path / "test.bin", 7)
    with pytest.raises(ValueError, match=naming(tmp_path, "got only test.bin")):
        find_images(tmp_path)


def test_folders_of_images(tmp_path):
    source = find_images(picture_folder(tmp_path))
    assert (source.name, source.kind) == ("image folders of 2 classes", "unknown")
    assert (len(source.train), len(source.test), source.train.classes) == (8, 2, ("cat", "dog"))
    dark = [image.max() < 100 for part in (source.train, source.test) for image in part.images]
    assert dark == [label == 1 for part in (source.train, source.test) for label in part.labels]
    assert find_images(tmp_path, size=4).train.images.shape == (8, 3, 4, 4)


def test_folders_of_images_with_a_test_folder(tmp_path):
    picture_folder(tmp_path / "train")
    picture_folder(tmp_path / "test", count=2)
    source = find_images(tmp_path)
    assert (len(source.train), len(source.test)) == (10, 4)
    picture_folder(tmp_path / "test", ("cow",), count=2)
    with pytest.raises(ValueError, match=naming(tmp_path / "test", "classes ('cat', 'cow', 'dog')")):
        find_images(tmp_path)


def test_folders_of_images_that_do_not_fit(tmp_path):
    picture_folder(tmp_path / "train")
    picture_folder(tmp_path / "test", size=(5, 5))
    with pytest.raises(ValueError, match=naming(tmp_path / "test", "(3, 5, 5)", "expected (3, 6, 8)")):
        find_images(tmp_path)


def test_too_few_images(tmp_path):
    with pytest.raises(ValueError, match="got 1 images, expected at least"):
        find_images(picture_folder(tmp_path, ("cat",), count=1))


def test_nothing_known(tmp_path):
    with pytest.raises(FileNotFoundError, match=naming("no such folder: ", tmp_path / "no", "or digits")):
        find_images(tmp_path / "no")
    with pytest.raises(ValueError, match=naming(tmp_path, "got nothing there", "idx files")):
        find_images(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=naming(tmp_path, "got notes.txt there")):
        find_images(tmp_path)


def test_pixel_statistics():
    images = pixels(1500, 3, 4, 4)
    images[:, 1] = 255
    mean, std = pixel_statistics(images)
    expected = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, expected.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, [expected[:, 0].std(), 1.0, expected[:, 2].std()], rtol=1e-12)
