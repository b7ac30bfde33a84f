"""Blocks and the models made of them."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.data.uci import digit_images
from minidl.engine import memory
from minidl.nn import BasicBlock, DenseBlock, DenseLayer, Residual, Transition, ZeroPadShortcut
from minidl.train import Trainer


def images(*shape):
    return dl.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def parameters(model):
    return sum(parameter.array.size for parameter in model.parameters())


def relu(array):
    return np.maximum(array, 0)


# Residual ---------------------------------------------------------------------------------------------------------


def test_residual_is_the_sum():
    body, shortcut, x = nn.Linear(4, 3), nn.Linear(4, 3, bias=False), images(5, 4)
    block = Residual(body, shortcut=shortcut, activation=F.relu, scale=0.5)
    expected = relu(shortcut(x).numpy() + 0.5 * body(x).numpy())
    np.testing.assert_allclose(block(x).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(
        Residual(body, shortcut=shortcut, scale=1)(x).numpy(), (shortcut(x) + body(x)).numpy(), rtol=1e-6
    )
    assert set(block.state_dict()) == {"body.0.weight", "body.0.bias", "shortcut.weight"}
    assert "scale=0.5" in repr(block)


def test_a_learned_scale_starts_as_the_identity_and_trains():
    block, x = Residual(nn.Linear(4, 4), nn.ReLU()), images(6, 4)
    np.testing.assert_array_equal(block(x).numpy(), x.numpy())
    assert "scale" in block.state_dict() and "scale=learned" in repr(block)
    opt = optim.SGD(block.parameters(), lr=0.1)
    for _ in range(2):  # the body's gradient is 0 while the scale is
        opt.zero_grad()
        F.mse_loss(block(x), dl.zeros(6, 4)).backward()
        opt.step()
    assert float(block.scale) != 0
    assert all(np.any(p.grad.numpy()) for p in block.parameters())


def test_a_hundred_blocks_neither_vanish_nor_explode():
    def gradient_ratio(*blocks):
        model, x = nn.Sequential(*blocks), images(32, 16)
        x.requires_grad = True
        model(x).sum().backward()
        return float(np.abs(x.grad.numpy()).mean())

    assert gradient_ratio(*(Residual(nn.Linear(16, 16), nn.ReLU()) for _ in range(100))) == 1
    scaled = (Residual(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), scale=0.1) for _ in range(100))
    assert 0.1 < gradient_ratio(*scaled) < 30
    assert gradient_ratio(*(Residual(nn.Linear(16, 16), nn.ReLU(), scale=1) for _ in range(100))) > 1e6  # why


def test_residual_with_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Residual: body gives \(2, 3\), but shortcut \(2, 4\).*expected one shape"):
        Residual(nn.Linear(4, 3))(images(2, 4))


# Blocks of ResNet -------------------------------------------------------------------------------------------------


def test_basic_block_computes_the_formula():
    block, x = BasicBlock(3, 4, stride=2, zero_init=False), images(2, 3, 6, 6)
    block.eval()
    for norm in (block.bn1, block.bn2, block.downsample[1]):
        norm.running_mean.array[...] = np.linspace(-1, 1, 4)
        norm.bias.array[...] = np.linspace(0.5, -0.5, 4)
    hidden = relu(block.bn1(block.conv1(x)).numpy())
    expected = relu(block.bn2(block.conv2(dl.tensor(hidden))).numpy() + block.downsample(x).numpy())
    np.testing.assert_allclose(block(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_basic_block_without_batch_norm():
    block, x = BasicBlock(4, 4, norm=lambda channels: nn.GroupNorm(2, channels), zero_init=False), images(2, 4, 5, 5)
    hidden = relu(block.bn1(block.conv1(x)).numpy())
    expected = relu(block.bn2(block.conv2(dl.tensor(hidden))).numpy() + x.numpy())
    np.testing.assert_allclose(block(x).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, lambda channels: nn.GroupNorm(2, channels)])
def test_basic_block_starts_as_its_shortcut(norm):
    x = images(2, 4, 5, 5)
    np.testing.assert_array_equal(BasicBlock(4, 4, norm=norm)(x).numpy(), relu(x.numpy()))
    assert np.any(BasicBlock(4, 4, norm=norm, zero_init=False)(x).numpy() != relu(x.numpy()))


def test_basic_block_without_its_shortcut():
    block, x = BasicBlock(4, 4, residual=False), images(2, 4, 5, 5)
    assert np.any(block(x).numpy())  # no weight of zero here
    assert block.downsample is None and BasicBlock(3, 4, 2, residual=False).downsample is None


@pytest.mark.parametrize("size", [4, 5])
def test_shortcut_of_zeros(size):
    x = images(2, 3, size, size)
    y = ZeroPadShortcut(3, 5, 2)(x).numpy()
    np.testing.assert_array_equal(y[:, :3], x.numpy()[:, :, ::2, ::2])
    assert y.shape == (2, 5, (size + 1) // 2, (size + 1) // 2) and not y[:, 3:].any()
    block = BasicBlock(3, 5, 2, projection=False)
    np.testing.assert_array_equal(block(x).numpy(), relu(y))
    with pytest.raises(ValueError, match="ZeroPadShortcut: out_channels: got 2, expected at least 3"):
        ZeroPadShortcut(3, 2)


# Blocks of DenseNet -----------------------------------------------------------------------------------------------


def test_dense_layer_keeps_its_input():
    layer, x = DenseLayer(3, 2), images(2, 3, 4, 4)
    y = layer(x).numpy()
    np.testing.assert_array_equal(y[:, :3], x.numpy())
    np.testing.assert_allclose(y[:, 3:], layer.conv(F.relu(layer.norm(x))).numpy(), rtol=1e-5, atol=1e-6)


def test_dense_block_and_transition():
    block, x = DenseBlock(3, 4, 2), images(2, 3, 5, 5)
    assert block(x).shape == (2, 11, 5, 5)
    assert [layer.conv.in_channels for layer in block] == [3, 7]
    transition = Transition(3, 6)
    expected = F.avg_pool2d(transition.conv(F.relu(transition.norm(x))), 2)
    assert transition(x).shape == (2, 6, 2, 2)
    np.testing.assert_allclose(transition(x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


# Models -----------------------------------------------------------------------------------------------------------

ALL = {
    "mlp": (lambda: models.mlp([48, 16, 10]), (3, 4, 4)),
    "small_cnn": (lambda: models.small_cnn(), (1, 8, 8)),
    "lenet5": (lambda: models.lenet5(), (1, 28, 28)),
    "lenet5, wide": (lambda: models.lenet5(3, (12, 17), 4), (3, 12, 17)),
    "resnet": (lambda: models.resnet(8), (3, 16, 16)),
    "resnet, zeros": (lambda: models.resnet(14, 1, 5, 4, projection=False), (1, 9, 9)),
    "plain": (lambda: models.resnet(14, width=4, residual=False), (3, 8, 8)),
    "densenet": (lambda: models.densenet(4, (2, 2, 2)), (3, 8, 8)),
}


@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_every_parameter(name):
    make, shape = ALL[name]
    model, x = make(), images(4, *shape)
    classes = list(model.parameters())[-1].shape[0]
    opt = optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):  # where a weight starts at 0, what lies before it gets a gradient in the second step
        opt.zero_grad()
        output = model(x)
        assert output.shape == (4, classes)
        F.cross_entropy(output, np.arange(4) % classes).backward()
        opt.step()
    assert [path for path, p in model.named_parameters() if not np.any(p.grad.numpy())] == []


@pytest.mark.parametrize(
    "count, make",
    [
        (17_226, lambda: models.mlp([64, 128, 64, 10])),
        (3_082, lambda: models.small_cnn()),
        (61_706, lambda: models.lenet5()),  # LeCun et al. 1998, with all the maps connected
        (62_006, lambda: models.lenet5(3, 28)),
        (269_722, lambda: models.resnet(20, projection=False)),  # He et al. 2016: 0.27, 0.46, 0.85 million
        (464_154, lambda: models.resnet(32, projection=False)),
        (853_018, lambda: models.resnet(56, projection=False)),
        (272_474, lambda: models.resnet(20)),
        (269_722, lambda: models.resnet(20, residual=False)),
        (1_019_722, lambda: models.densenet(12, (12, 12, 12), compression=1)),  # Huang et al. 2017: 1.0 million
        (161_002, lambda: models.densenet()),
    ],
)
def test_numbers_of_parameters(count, make):
    assert parameters(make()) == count


def test_names_are_those_of_torchvision():
    names = set(models.resnet(8).state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer1.0.bn2.bias", "fc.bias"} <= names
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.num_batches_tracked"} <= names
    assert not any("layer1.0.downsample" in name for name in names)
    layers = ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert list(models.lenet5().state_dict())[::2] == [f"{layer}.weight" for layer in layers]


@pytest.mark.parametrize(
    "message, make",
    [
        ("resnet: depth: got 10, expected 6 n", lambda: models.resnet(10)),
        ("resnet: depth: got 2, ", lambda: models.resnet(2)),
        ("lenet5: size: got 8, expected at least 12", lambda: models.lenet5(size=8)),
        (r"densenet: got growth 12, layers \(\)", lambda: models.densenet(layers=())),
        ("compression 0,", lambda: models.densenet(compression=0)),
        (r"mlp: widths: got \[3\]", lambda: models.mlp([3])),
    ],
)
def test_bad_models(message, make):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["resnet", "densenet"])
def test_recorded_steps_give_the_same_weights_for_any_number_of_threads(name):
    def train(threads, wrap):
        dl.set_num_threads(threads)
        dl.manual_seed(1)
        make, shape = ALL[name]
        model = make()
        opt = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

        @wrap
        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss

        for _ in range(3):
            step(images(4, *shape), np.arange(4))
        return [memory.copy(value.array).tobytes() for value in model.state_dict().values()]

    assert train(1, dl.record) == train(2, dl.record) == train(1, lambda step: step)


def larger_digits(train):
    """The digits at 16 x 16 pixels, from 0 to 1."""
    data = digit_images(train)
    return TensorDataset(np.kron(data.images, np.ones((2, 2))).astype(np.float32) / 16, data.labels)


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.lenet5(size=16),
        lambda: models.resnet(8, 1, width=4),
        lambda: models.densenet(8, (2, 2), channels=1),
    ],
)
def test_models_learn_the_digits(make):
    dl.manual_seed(0)
    model = make()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01))
    trainer.fit(DataLoader(larger_digits(True), 32, shuffle=True, seed=0), epochs=8, progress=False)
    assert trainer.evaluate(larger_digits(False))["accuracy"] > 0.85
