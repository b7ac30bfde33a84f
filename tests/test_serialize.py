import builtins

import numpy as np
import pytest

import minidl as dl
from minidl import nn


def model(seed=0):
    dl.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def test_round_trip(tmp_path):
    path = tmp_path / "weights.safetensors"
    one, other = model(0), model(1)
    dl.save(one, path)
    assert list(dl.load(path)) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    other.load_state_dict(dl.load(path))
    for name, value in one.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), value.numpy())


def test_dictionaries_dtypes_and_0d(tmp_path):
    weights = {
        "a": np.arange(6.0).reshape(2, 3).T,  # strided
        "steps": dl.tensor(7),
        "none": np.zeros((0, 3), np.float32),
        "mask": np.array([True, False]),
    }
    dl.save(weights, tmp_path / "w.safetensors")
    loaded = dl.load(tmp_path / "w.safetensors")
    for name, value in weights.items():
        assert loaded[name].dtype == value.dtype and loaded[name].shape == value.shape
        np.testing.assert_array_equal(loaded[name].numpy(), np.asarray(value))
    loaded["a"].numpy()[0] = 1  # writable


def test_torch_reads_and_writes_it(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    path = str(tmp_path / "w.safetensors")
    ours = model()
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    dl.save(ours, path)
    theirs.load_state_dict(safetensors.load_file(path))
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    np.testing.assert_allclose(theirs(torch.from_numpy(x)).detach().numpy(), ours(x).numpy(), rtol=1e-5, atol=1e-6)
    safetensors.save_file({name: 2 * value for name, value in theirs.state_dict().items()}, path)
    ours.load_state_dict(dl.load(path))
    np.testing.assert_allclose(ours[0].bias.numpy(), theirs[0].bias.detach().numpy() * 2)


def test_file_errors_name_the_file(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"load: no such file: .*w\.safetensors"):
        dl.load(path)
    dl.save(model(), path)
    whole = path.read_bytes()
    for content in (b"", whole[:4], whole[:40], whole[:-1], whole + b"x", b"no weights at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"load: .*w\.safetensors is not a complete"):
            dl.load(path)
    with pytest.raises(FileNotFoundError):
        dl.save(model(), tmp_path / "nowhere" / "w.safetensors")


def test_half_precision_is_refused_in_words(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors.save({"w": np.zeros(3, np.float16)}))
    with pytest.raises(ValueError, match=r"w\.safetensors.*'w'.*float16"):
        dl.load(path)


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(TypeError, match="'lr': got float"):
        dl.save({"lr": 0.1}, tmp_path / "w")
    with pytest.raises(TypeError, match="got int"):
        dl.save(3, tmp_path / "w")


def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    dl.save(model(), path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        dl.save(model(1), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_missing_package_is_one_sentence(tmp_path, monkeypatch):
    original = builtins.__import__

    def without(name, *args):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"safetensors package: pip install 'minidl\[train\]'"):
        dl.save({}, tmp_path / "w")
