"""The examples run, on small data."""

import importlib.util
from pathlib import Path

import pytest
from files import cifar_file, idx_folder, real

FOLDER = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mnist_lenet(tmp_path, capsys):
    module = example("mnist_lenet")
    folder = idx_folder(tmp_path, [5, 0, 4, 1])
    parts = module.dl.data.mnist(folder), module.dl.data.mnist(folder, train=False)
    module.own_loop(*parts)
    module.with_trainer(*parts)
    out = capsys.readouterr().out
    assert "epoch 3: loss" in out and out.count("test accuracy") == 4


def test_cifar_resnet(tmp_path, capsys):
    cifar_file(tmp_path / "train.bin", 30)
    cifar_file(tmp_path / "test.bin", 10)
    example("cifar_resnet").main(tmp_path, epochs=1)
    out = capsys.readouterr().out
    assert "30 images to train with, 10 to test" in out and "epoch 1: loss" in out and "test accuracy" in out


@pytest.mark.parametrize("residual", [False, True])
def test_residual_depth(residual):
    """What the example says it shows."""
    module = example("residual_depth")
    module.dl.manual_seed(0)
    batches = module.DataLoader(module.digits(), 64, shuffle=True, seed=0, drop_last=True)
    loss = module.train(module.mlp(residual), batches, lr=1e-3, steps=440)
    assert loss < 0.05 if residual else loss > 0.5


DISEASES = {
    "dead_units": "dead units",
    "exploding": "exploding",
    "frozen_layer": "frozen layer",
    "initialisation": "initialisation scale",
    "masked_sequences": "masked-out sequences",
    "non_finite": "non-finite",
    "rate_too_high": "learning rate too high",
    "rate_too_low": "learning rate too low",
    "saturation": "saturation",
    "silent_data": "no signal from the data",
    "vanishing": "vanishing",
    "wrong_loss": "label or loss mismatch",
}


@pytest.mark.parametrize("name", sorted(DISEASES))
def test_diseases(name, monkeypatch, capsys):
    """The doctor names the disease first, and its first prescription helps."""
    monkeypatch.syspath_prepend(FOLDER / "diseases")
    report, before, after = example(f"diseases/{name}").main()
    assert report.verdicts[0].disease == DISEASES[name]
    assert after > max(0.8, before + 0.1)
    out = capsys.readouterr().out
    assert out.index("before:") < out.index(DISEASES[name].upper()) < out.index("applied:") < out.index("after:")


def test_translate_dates(capsys):
    example("translate_dates").main(["--steps", "400"])
    out = capsys.readouterr().out
    assert float(out.split("% of 1000 new dates")[0].split()[-1]) > 90
    assert "where it looked" in out


def test_long_memory(capsys):
    """Every row; the short sequences are learned as the long ones are."""
    example("long_memory").main(["--quick"])
    rows = [(line[:2], line[69:].split()) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row for row, _ in rows] == ["T4", "P3", "P4", "P4", "P1", "P1", "P1"]
    (mse, *_), (wrong, *_), (closed, *_), (opened, *_), *orders = [measured for _, measured in rows]
    assert abs(float(mse) - 1 / 6) < 1e-3 and int(wrong) < 256 and int(opened) < int(closed)
    assert all(order[:3] == ["1", "of", "1,"] for order in orders)


def test_forecast_beats_the_year_before(tmp_path, capsys):
    example("forecast").main(real("timeseries/airline-passengers.csv"), seeds=1, plot_file=tmp_path / "forecast.png")
    assert (tmp_path / "forecast.png").stat().st_size > 10_000
    rows = {line[:38].strip(): float(line.split()[-2]) for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["GRU, seed 0"] < 0.95 * rows["seasonal naive with growth"]


def test_indoor_movement_beats_the_length(capsys):
    example("indoor_movement").main(real("timeseries/IndoorMovement.zip"), seeds=1)
    rows = [line for line in capsys.readouterr().out.splitlines() if "accuracy" in line]
    length, lstm = (float(line.split("accuracy")[1].split("%")[0]) for line in rows[:2])
    assert lstm > length
