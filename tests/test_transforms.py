import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, ImageDataset, TensorDataset
from minidl.data import transforms as T
from minidl.data.transforms.geometry import affine
from minidl.train import Trainer

TRANSFORMS = {
    "Normalize": T.Normalize(0.5, 0.25),
    "RandomHorizontalFlip": T.RandomHorizontalFlip(),
    "RandomVerticalFlip": T.RandomVerticalFlip(),
    "RandomCrop": T.RandomCrop(8, padding=2),
    "RandomCrop, reflected": T.RandomCrop((6, 8), padding=2, padding_mode="reflect"),
    "RandomAffine": T.RandomAffine(20, (0.1, 0.2), (0.8, 1.2)),
    "ColorJitter": T.ColorJitter(0.4, 0.4, 0.4),
    "GaussianNoise": T.GaussianNoise(),
    "RandomErasing": T.RandomErasing(p=1),
    "Cutout": T.Cutout(3),
    "MixUp": T.MixUp(alpha=0.5, num_classes=4),
    "Compose": T.Compose([T.RandomHorizontalFlip(), T.GaussianNoise(), T.MixUp(num_classes=4)]),
}


def images(count=6, channels=3, height=8, width=9):
    return np.random.default_rng(0).random((count, channels, height, width), np.float32)


def labels(count=6):
    return np.arange(count) % 4


def rng(seed=0):
    return np.random.default_rng(seed)


def byte_set(count=20):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 8, 9), np.uint8)
    return ImageDataset(pixels, labels(count))


def arrays(batches):
    return [[part.numpy().copy() for part in batch] for batch in batches]


def assert_same(these, those):
    assert len(these) == len(those)
    for one, other in zip(these, those, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


# All of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSFORMS)
def test_changes_nothing_in_place(name):
    x, y = images(), labels()
    before = x.copy(), y.copy()
    changed, _ = TRANSFORMS[name](rng(), x, y)
    assert_same([(x, y)], [before])
    assert changed.dtype == np.float32 and not np.shares_memory(changed, x)
    assert changed.shape != x.shape or (changed != x).any()


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_small_batches(name, count):
    x, _ = TRANSFORMS[name](rng(), images(count), labels(count))
    assert len(x) == count and x.dtype == np.float32 and np.isfinite(x).all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_same_seed_same_bits_for_any_number_of_threads(name):
    x, y = np.tile(images(8, 3, 64, 72), (2, 1, 1, 1)), labels(16)
    dl.set_num_threads(1)
    one = TRANSFORMS[name](rng(3), x, y)
    dl.set_num_threads(2)
    assert_same([one], [TRANSFORMS[name](rng(3), x, y)])
    if name != "Normalize":
        assert (one[0] != TRANSFORMS[name](rng(4), x, y)[0]).any()


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name not in ("MixUp", "Compose")])
def test_images_alone_and_strides(name):
    x = images().transpose(0, 1, 3, 2)
    alone = TRANSFORMS[name](rng(), x)
    np.testing.assert_array_equal(alone, TRANSFORMS[name](rng(), x.copy(), labels())[0])


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "Compose"])
def test_refuses_other_arrays(name):
    with pytest.raises(TypeError, match=f"{name.split(',')[0]}: images: got dtype uint8, expected float32"):
        TRANSFORMS[name](rng(), images().astype(np.uint8), labels())
    with pytest.raises(ValueError, match=r"images: got shape \(3, 8, 9\), expected \(N, C, H, W\)"):
        TRANSFORMS[name](rng(), images()[0], labels())


# One by one -------------------------------------------------------------------------------------------------------


def test_normalize():
    x, mean, std = images(), [0.1, 0.2, 0.3], [0.5, 1, 2]
    expected = (x.astype(float) - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(T.Normalize(mean, std)(rng(), x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(T.Normalize(0.5, std)(rng(), x)[:, 2], (x[:, 2] - 0.5) / 2, rtol=1e-6)
    with pytest.raises(ValueError, match="got 1 channels.*expected 3"):
        T.Normalize(mean, std)(rng(), images(channels=1))


@pytest.mark.parametrize("flip, axis", [(T.RandomHorizontalFlip, 3), (T.RandomVerticalFlip, 2)])
def test_flips(flip, axis):
    x = images(400, 1, 3, 4)
    np.testing.assert_array_equal(flip(1)(rng(), x), np.flip(x, axis))
    np.testing.assert_array_equal(flip(0)(rng(), x), x)
    y = flip(0.25)(rng(), x)
    flipped = (y == np.flip(x, axis)).all(axis=(1, 2, 3))
    assert (flipped | (y == x).all(axis=(1, 2, 3))).all() and 70 <= flipped.sum() <= 130


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_crops_are_windows_of_the_padded_image(mode):
    x = images(300, 2, 4, 5)
    y = T.RandomCrop((4, 3), 2, fill=0.5, padding_mode=mode)(rng(), x)
    padded = np.pad(
        x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode, **({"constant_values": 0.5} if mode == "constant" else {})
    )
    places = set()
    for image, whole in zip(y, padded, strict=True):
        found = [(i, j) for i in range(5) for j in range(7) if (whole[:, i : i + 4, j : j + 3] == image).all()]
        assert found
        places.update(found)
    assert len(places) == 35


def test_crop_of_the_whole_image():
    np.testing.assert_array_equal(T.RandomCrop((8, 9))(rng(), images()), images())
    with pytest.raises(ValueError, match="got 8 x 9 pixels with the padding, expected at least 10 x 9"):
        T.RandomCrop((10, 9))(rng(), images())


def reference_affine(images, matrices, fill):
    """Bilinear, one pixel at a time, in float64."""
    result = np.empty(images.shape)
    height, width = images.shape[2:]
    for n, c, i, j in np.ndindex(*images.shape):
        x, y = matrices[n].reshape(2, 3) @ [j, i, 1]
        left, top = int(np.floor(x)), int(np.floor(y))
        value = 0.0
        for row in (top, top + 1):
            for column in (left, left + 1):
                inside = 0 <= row < height and 0 <= column < width
                pixel = float(images[n, c, row, column]) if inside else fill
                value += (1 - abs(x - column)) * (1 - abs(y - row)) * pixel
        result[n, c, i, j] = value
    return result


@pytest.mark.parametrize("shape", [(3, 2, 7, 5), (2, 1, 3, 70), (1, 3, 1, 1), (2, 1, 66, 1)])
def test_affine_next_to_a_slow_one(shape):
    # sixty-fourths, so that float32 holds the places exactly
    matrices = np.round(rng().uniform(-2, 2, (shape[0], 6)) * 64) / 64
    x = images(*shape)
    np.testing.assert_allclose(affine(x, matrices, 0.25), reference_affine(x, matrices, 0.25), atol=2e-5)


def test_affine_far_outside_is_fill():
    far = np.array([[1, 0, 1e9, 0, 1, 0], [1, 0, -1e9, 0, 1, 0], [1, 0, 0, 1e30, 1, 1e30]])
    np.testing.assert_array_equal(affine(images(3), far, 0.75), np.float32(0.75))


def test_random_affine_at_fixed_angles_and_zooms():
    x = images(4, 2, 7, 7)
    np.testing.assert_array_equal(T.RandomAffine(0)(rng(), x), x)
    for turns in (-1, 1, 2):
        y = T.RandomAffine((-90 * turns, -90 * turns))(rng(), x)  # degrees count clockwise, turns the other way
        np.testing.assert_allclose(y, np.rot90(x, turns, (2, 3)), atol=1e-5)
    larger = T.RandomAffine(0, scale=(2, 2))(rng(), x)
    np.testing.assert_allclose(larger[..., 1::2, 1::2], x[..., 2:5, 2:5], atol=1e-6)
    smaller = T.RandomAffine(0, scale=(0.5, 0.5), fill=0.5)(rng(), x)
    np.testing.assert_allclose(smaller[..., 2:5, 2:5], x[..., 1::2, 1::2], atol=1e-6)
    assert (smaller[..., 0, :] == 0.5).all() and (smaller[..., :, 6] == 0.5).all()


def test_random_affine_draws_within_its_ranges():
    across = np.broadcast_to(np.arange(40, dtype=np.float32), (500, 1, 40, 40))
    down = across.transpose(0, 1, 3, 2)
    for picture, shares, largest in [(across, (0.25, 0), 10), (across, (0, 0.25), 0), (down, (0.1, 0.05), 2)]:
        middle = T.RandomAffine(0, shares)(rng(), picture)[:, 0, 20, 20]
        assert abs(middle - 20).max() <= largest + 1e-4
        if largest:
            assert (20 - middle).min() < -0.9 * largest and (20 - middle).max() > 0.9 * largest
    slope = np.diff(T.RandomAffine(0, scale=(0.5, 2))(rng(), across)[:, 0, 20, 19:21], axis=1)
    assert slope.min() + 1e-4 >= 0.5 and slope.max() <= 2 + 1e-4 and np.ptp(slope) > 1.4
    slope = np.diff(T.RandomAffine(30)(rng(), across)[:, 0, 19:21, 20], axis=1)  # sine of the angle
    assert abs(slope).max() <= 0.5 + 1e-4 and slope.min() < -0.45 and slope.max() > 0.45


@pytest.mark.parametrize("argument", ["brightness", "contrast", "saturation"])
def test_color_jitter_blends(argument):
    x = images()
    shares = np.array([0.2989, 0.587, 0.114]).reshape(3, 1, 1)
    grey = (x.astype(float) * shares).sum(axis=1, keepdims=True)
    zero = {"brightness": 0, "contrast": grey.mean(axis=(1, 2, 3), keepdims=True), "saturation": grey}[argument]
    for factor in (0.0, 0.3, 1.7):
        y = T.ColorJitter(**{argument: (factor, factor)})(rng(), x)
        np.testing.assert_allclose(y, np.clip(zero + factor * (x - zero), 0, 1), atol=1e-6)
    np.testing.assert_array_equal(T.ColorJitter()(rng(), x), x)


def test_color_jitter_draws_per_image():
    x = np.full((300, 1, 2, 2), 0.5, np.float32)
    factors = T.ColorJitter(brightness=0.5)(rng(), x)[:, 0, 0, 0] / 0.5
    assert 0.5 <= factors.min() < 0.55 and 1.45 < factors.max() <= 1.5
    np.testing.assert_allclose(T.ColorJitter(saturation=0.9)(rng(), x), x, atol=1e-6)
    with pytest.raises(ValueError, match="expected 1 or 3 channels"):
        T.ColorJitter(0.5)(rng(), images(channels=2))


def test_gaussian_noise():
    x = np.full((50, 1, 30, 30), 0.5, np.float32)
    y = T.GaussianNoise(0.25, 2, clip=False)(rng(), x) - x
    assert abs(y.mean() - 0.25) < 0.05 and abs(y.std() - 2) < 0.05
    clipped = T.GaussianNoise(0.25, 2)(rng(), x)
    np.testing.assert_array_equal(clipped, np.clip(T.GaussianNoise(0.25, 2, clip=False)(rng(), x), 0, 1))


def boxes(covered):
    """Heights and widths of what is covered, (N, H, W); fails where it is no rectangle."""
    heights, widths = covered.any(axis=2).sum(axis=1), covered.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(covered.sum(axis=(1, 2)), heights * widths)
    return heights, widths


def test_random_erasing():
    x = images(500, 2, 20, 30) + 1
    y = T.RandomErasing(p=0.5, scale=(0.1, 0.2), ratio=(0.5, 2), value=[-1, -2])(rng(), x)
    covered = y[:, 0] == -1
    np.testing.assert_array_equal(covered, y[:, 1] == -2)
    np.testing.assert_array_equal(y[~np.stack([covered] * 2, 1)], x[~np.stack([covered] * 2, 1)])
    heights, widths = boxes(covered)
    assert 200 <= (heights > 0).sum() <= 300
    heights, widths = heights[heights > 0], widths[widths > 0]
    share, ratio = heights * widths / 600, heights / widths
    assert 0.08 < share.min() < 0.12 and 0.18 < share.max() < 0.22
    assert 0.4 < ratio.min() < 0.6 and 1.7 < ratio.max() < 2.3
    rows, columns = covered.any(axis=(0, 2)), covered.any(axis=(0, 1))
    assert rows.all() and columns.all()  # also at the edges


def test_random_erasing_that_does_not_fit_leaves_the_image():
    x = images()
    np.testing.assert_array_equal(T.RandomErasing(p=1, scale=(1, 1), ratio=(1, 1))(rng(), x), x)


def test_cutout():
    x = images(2000, 1, 6, 7) + 1
    y = T.Cutout(4)(rng(), x)
    heights, widths = boxes((y == 0)[:, 0])
    assert heights.min() == 2 and heights.max() == 4 and widths.min() == 2 and widths.max() == 4
    assert ((y == 0) | (y == x)).all() and (y == 0)[:, 0].any(axis=0).all()
    with pytest.raises(ValueError, match="got 1 channels.*expected 3"):
        T.Cutout(4, [1, 2, 3])(rng(), x)


def test_mixup_blends_images_and_losses_alike():
    x, y = images(), labels()
    mixed, probabilities = T.MixUp(alpha=1.0, num_classes=4)(rng(), x, y)
    share = probabilities[0, 0]  # label 0 blended with label 1
    assert 0 < share < 1
    np.testing.assert_allclose(mixed, share * x + (1 - share) * np.roll(x, 1, axis=0), rtol=1e-6)
    scores = rng(1).standard_normal((6, 4)).astype(np.float32)
    one, other = F.cross_entropy(scores, y), F.cross_entropy(scores, np.roll(y, 1))
    expected = share * float(one) + (1 - share) * float(other)
    np.testing.assert_allclose(float(F.cross_entropy(scores, probabilities)), expected, rtol=1e-5)


def test_mixup_takes_probabilities():
    x, y = images(), labels()
    soft = np.eye(4, dtype=np.float32)[y]
    assert_same([T.MixUp(num_classes=4)(rng(), x, soft)], [T.MixUp(num_classes=4)(rng(), x, y)])


@pytest.mark.parametrize(
    "message, y",
    [
        ("MixUp: label 2 is 4, expected 0 <= label < 4", np.array([0, 1, 4, 0, 0, 0])),
        (r"got int64 of shape \(5,\), expected int64 \(6,\)", labels(5)),
        (r"got float32 of shape \(6,\)", labels().astype(np.float32)),
    ],
)
def test_bad_mixup_labels(message, y):
    with pytest.raises(ValueError, match=message):
        T.MixUp(num_classes=4)(rng(), images(), y)


@pytest.mark.parametrize(
    "message, make",
    [
        ("Normalize: got mean 0 and std 0", lambda: T.Normalize(0, 0)),
        ("RandomHorizontalFlip: p: got 1.5", lambda: T.RandomHorizontalFlip(1.5)),
        ("RandomVerticalFlip: p: got nan", lambda: T.RandomVerticalFlip(float("nan"))),
        ("RandomCrop: size: got 0", lambda: T.RandomCrop(0)),
        ("RandomCrop: padding: got -1", lambda: T.RandomCrop(4, -1)),
        ("RandomCrop: padding_mode: got 'wrap'", lambda: T.RandomCrop(4, 1, padding_mode="wrap")),
        ("RandomAffine: degrees: got", lambda: T.RandomAffine(-10)),
        ("RandomAffine: translate: got 0.1", lambda: T.RandomAffine(0, 0.1)),
        (r"RandomAffine: translate: got \(2, 0\)", lambda: T.RandomAffine(0, (2, 0))),
        (r"RandomAffine: scale: got \(0, 1\)", lambda: T.RandomAffine(0, scale=(0, 1))),
        ("RandomAffine: scale: got 2", lambda: T.RandomAffine(0, scale=2)),
        (r"ColorJitter: contrast: got \(1, 0.5\)", lambda: T.ColorJitter(contrast=(1, 0.5))),
        ("ColorJitter: brightness: got", lambda: T.ColorJitter(-0.5)),
        ("GaussianNoise: sigma: got -1", lambda: T.GaussianNoise(sigma=-1)),
        (r"RandomErasing: scale: got \(0.5, 1.5\)", lambda: T.RandomErasing(scale=(0.5, 1.5))),
        (r"RandomErasing: ratio: got \(0, 1\)", lambda: T.RandomErasing(ratio=(0, 1))),
        ("Cutout: size: got 0", lambda: T.Cutout(0)),
        ("MixUp: alpha: got 0", lambda: T.MixUp(alpha=0, num_classes=2)),
    ],
)
def test_bad_arguments(message, make):
    with pytest.raises(ValueError, match=message):
        make()


# In the loader ----------------------------------------------------------------------------------------------------


def loader(transform, **options):
    return DataLoader(byte_set(), 6, **{"shuffle": True, "seed": 1, "transform": transform} | options)


def test_same_seed_same_epochs_whatever_else_is_drawn():
    noisy = TRANSFORMS["Compose"]
    one, other = loader(noisy), loader(noisy)
    first, second = arrays(one), arrays(one)
    interrupted = iter(other)
    next(interrupted)  # an epoch that is not finished
    np.random.default_rng().random(), dl.randn(3)
    assert_same(arrays(other), second)
    resumed = loader(noisy)
    assert_same(arrays(resumed), first)
    resumed.epoch = 1
    assert_same(arrays(resumed), second)
    assert (arrays(loader(noisy, seed=2))[0][0] != first[0][0]).any()


def test_every_batch_and_epoch_has_random_numbers_of_its_own():
    same = TensorDataset(np.zeros((8, 1, 4, 4), np.float32))
    noisy = DataLoader(same, 2, seed=0, transform=T.GaussianNoise(clip=False))
    drawn = [x for epoch in range(2) for (x,) in arrays(noisy)]
    assert len({x.tobytes() for x in drawn}) == 8


def test_random_numbers_are_not_those_of_the_order():
    drawn = []
    list(loader(lambda rng, x, y: drawn.append(rng.integers(2**63)) or (x, y)))
    assert np.random.default_rng([1, 0]).integers(2**63) not in drawn


def test_numpys_global_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    list(loader(TRANSFORMS["Compose"]))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_transform_without_shuffle_follows_manual_seed():
    def run():
        return arrays(DataLoader(byte_set(), 6, transform=T.GaussianNoise()))

    dl.manual_seed(5)
    first = run()
    assert (run()[0][0] != first[0][0]).any()
    dl.manual_seed(5)
    assert_same(run(), first)


def test_plain_functions():
    def halve(rng, x, y):
        assert isinstance(x, np.ndarray) and isinstance(rng, np.random.Generator)
        return x / 2, y

    plain, halved = arrays(loader(None)), arrays(loader(T.Compose([halve, T.Normalize(0, 0.5)])))
    assert_same(plain, halved)
    ((x,), *_) = loader(lambda rng, x, y: x)
    assert isinstance(x, dl.Tensor)
    (x, y), *_ = loader(lambda rng, x, y: [x, y.astype(np.int32)])
    assert y.dtype == np.int64
    (x, y), *_ = loader(lambda rng, x, y: (x.transpose(0, 2, 3, 1), y))
    assert x.shape == (6, 8, 9, 3) and x.numpy().flags.c_contiguous


@pytest.mark.parametrize("transform", [lambda rng, x, y: None, lambda rng, x, y: ("x", y)])
def test_what_a_transform_must_return(transform):
    with pytest.raises(TypeError, match="DataLoader: transform: expected arrays back, got"):
        list(loader(transform))


def test_transform_must_be_callable():
    with pytest.raises(TypeError, match="DataLoader: transform: got 3"):
        loader(3)


def test_training_with_mixup():
    def run():
        dl.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(216, 16), nn.ReLU(), nn.Linear(16, 4))
        trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01), metrics={})
        transform = T.Compose([T.RandomAffine(5, (0.05, 0.05)), T.MixUp(alpha=0.2, num_classes=4)])
        return trainer.fit(loader(transform), byte_set(), epochs=15, progress=False)

    history = run()
    assert history["val_loss"][-1] < 0.7 * history["val_loss"][0]
    dl.set_num_threads(1)
    assert history.history == run().history
