import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from files import cifar_file, idx, idx_folder, picture_folder, pixels, real

import minidl
from minidl.cli import main, make_parser
from minidl.commands import characters, fitting, machine, training
from minidl.data import digits
from minidl.data.uci import FILE, MEAN, STD
from minidl.train.run import MODELS

ROOT = Path(minidl.__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained model's folder."""
    folder = tmp_path_factory.mktemp("run")
    assert main(["train", "--out", str(folder), "--quiet"]) == 0
    return folder


def raw_pixels(count=5):
    with np.load(FILE) as file:
        return file["pixels"][:count], file["labels"][:count]


def python(*arguments, **kwargs):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, env=environment, **kwargs
    )


def test_train_reaches_97_percent_and_leaves_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train"]) == 0
    out = capsys.readouterr().out
    accuracy = float(out.split("test accuracy ")[1].split(" %")[0])
    assert accuracy >= 97
    (folder,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "weights.safetensors",
        "model.json",
        "metrics.csv",
        "curves.png",
        "report.html",
    }
    assert "\nhealthy: nothing found\n" in out
    assert str(Path("runs") / folder.name) in out
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 31))
    assert json.loads((folder / "model.json").read_text())["arguments"] == {"widths": [64, 128, 64, 10]}


def test_options(tmp_path, capsys):
    options = ["--hidden=16", "--epochs=2", "--batch=50", "--lr=0.1", "--optimizer=sgd", "--seed=5", "--threads=1"]
    assert main(["train", "--out", str(tmp_path / "a" / "b"), "--quiet", *options]) == 0
    assert capsys.readouterr().out.startswith("test accuracy")
    assert minidl.get_num_threads() == 1
    assert minidl.load(tmp_path / "a" / "b" / "weights.safetensors")["1.weight"].shape == (16, 64)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_same_seed_same_weights_for_any_number_of_threads(tmp_path, optimizer):
    for name, seed, threads in [("a", 1, 1), ("b", 1, 2), ("c", 2, 2)]:
        options = ["--seed", str(seed), "--threads", str(threads), "--optimizer", optimizer, "--epochs", "2", "--quiet"]
        assert main(["train", "--out", str(tmp_path / name), *options]) == 0
    a, b, c = (
        {n: w.numpy() for n, w in minidl.load(tmp_path / name / "weights.safetensors").items()} for name in "abc"
    )
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    assert any(a[name].tobytes() != c[name].tobytes() for name in a)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--epochs", "0"], "argument --epochs: got '0', expected an integer at least 1"),
        (["--epochs", "many"], "argument --epochs: got 'many'"),
        (["--batch", "-3"], "argument --batch: got '-3'"),
        (["--lr", "nan"], "argument --lr: got 'nan'"),
        (["--lr", "0"], "argument --lr: got '0', expected a number above 0"),
        (["--lr", "inf"], "argument --lr: got 'inf'"),
        (["--hidden", "64,,3"], "argument --hidden: got '64,,3', expected sizes such as"),
        (["--hidden", "0"], "argument --hidden: got '0'"),
        (["--seed", "-1"], "argument --seed: got '-1'"),
        (["--threads", "0"], "argument --threads: got '0', expected an integer from 1 to 1024"),
        (["--optimizer", "lion"], "argument --optimizer"),
        (["--model", "gpt"], "argument --model"),
        (["--schedule", "never"], "argument --schedule"),
        (["--augment", "much"], "argument --augment"),
        (["--label-smoothing", "1"], "argument --label-smoothing: got '1', expected a number from 0 to 1, without 1"),
        (["--weight-decay", "-1"], "argument --weight-decay: got '-1'"),
        (["--size", "0"], "argument --size: got '0'"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", *options])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_learning_rate_that_explodes_is_told_in_one_line(tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path), "--quiet", "--optimizer", "sgd", "--lr", "1e30"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("minidl train: error: training stopped") and "--lr" in err and err.count("\n") == 1


def test_out_that_is_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["train", "--out", str(tmp_path / "file")]) == 1
    assert "--out: cannot make the folder" in capsys.readouterr().err


def test_without_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["train", "--out", str(tmp_path), "--epochs", "1"]) == 0
    assert "no curves.png: it needs matplotlib: pip install 'minidl[train]'" in capsys.readouterr().out


def test_without_safetensors(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    assert main(["train", "--out", str(tmp_path / "run")]) == 1
    assert "needs the safetensors package" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_ctrl_c_saves_what_there_is(tmp_path, capsys, monkeypatch):
    class Interrupts(fitting.CSVLogger):
        def on_epoch_begin(self, epoch):
            if epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(fitting, "CSVLogger", Interrupts)
    assert main(["train", "--out", str(tmp_path), "--quiet"]) == 130
    assert "interrupted in epoch 3 of 30" in capsys.readouterr().err
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3
    assert main(["predict", str(tmp_path)]) == 0


def test_predict_the_test_images(run, capsys):
    assert main(["predict", str(run)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert float(out[0].split()[2]) >= 97 and len(out) == 12
    assert sum(int(line.split()[1]) for line in out[2:]) == 360


@pytest.mark.parametrize("form", ["csv", "csv with names", "csv of Excel", "npy", "npy of images"])
def test_predict_a_file(run, tmp_path, capsys, form):
    pixels, labels = raw_pixels()
    path = tmp_path / ("digits.csv" if "csv" in form else "digits.npy")
    if "csv" in form:
        header = ",".join(f"p{i}" for i in range(64)) if "names" in form else ""
        encoding = "utf-8-sig" if "Excel" in form else None
        np.savetxt(path, pixels, "%d", ",", header=header, comments="", encoding=encoding)
    else:
        np.save(path, pixels.reshape(-1, 8, 8) if "images" in form else pixels)
    assert main(["predict", str(run), "--input", str(path)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [int(row["class"]) for row in rows] == labels.tolist()
    assert all(0.3 < float(row["probability"]) <= 1 for row in rows)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("none.csv", None, "no such file"),
        ("a.txt", "1,2", "expected a .csv or .npy file, an idx file, a picture"),
        ("a.csv", "1,2,3\n4,5,6\n", r"shape (2, 3), expected rows of 64 pixels"),
        ("a.csv", "", "it has no rows"),
        ("a.csv", "a,b\n", "it has no rows"),
        ("a.csv", "1,2,3\n", "shape (1, 3), expected rows of 64 pixels"),
        ("a.csv", "1,2\n3,x\n", "cannot be read as numbers"),
        ("a.csv", "1,x\n3,4\n", "cannot be read as numbers"),
        ("a.csv", "1,2\n3\n", "cannot be read as numbers"),
        ("a.csv", ",".join(["nan"] * 64), "row 1: pixels must be numbers from 0 to 16"),
        ("a.csv", ",".join(["1"] * 64) + "\n" + ",".join(["17"] * 64), "row 2: pixels"),
        ("a.npy", "no array", "cannot be read as numbers"),
        ("idx3-ubyte", "no array", "cannot be read as numbers: read_idx:"),
        ("a.png", "", "the model reads pixels up to 16, expected a .csv or .npy file"),
        ("a.npy", "", "cannot be read as numbers"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_predict_bad_files(run, tmp_path, capsys, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    assert main(["predict", str(run), "--input", str(path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("minidl predict: error: ") and message in err and str(path) in err


def test_predict_bad_folders(run, tmp_path, capsys):
    def error(folder):
        assert main(["predict", str(folder)]) == 1
        return capsys.readouterr().err

    assert "no such folder" in error(tmp_path / "nowhere")
    assert "has no model.json" in error(tmp_path)
    description = json.loads((run / "model.json").read_text())
    for text in ("{", "[]", "{}", json.dumps({**description, "model": "gpt"})):
        (tmp_path / "model.json").write_text(text)
        assert "model.json does not describe a model" in error(tmp_path)
    for key, values in {
        "arguments": ({"widths": "ab"}, {"widths": [64]}, {"widths": [64, -1, 10]}, {"depth": 8}),
        "inputs": ({}, {**description["inputs"], "shape": [8, 8]}, {**description["inputs"], "mean": []}),
    }.items():
        for value in values:
            (tmp_path / "model.json").write_text(json.dumps({**description, key: value}))
            assert "model.json does not describe a model" in error(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**description, "arguments": {"widths": [64, 8, 10]}}))
    assert "no such file" in error(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes())
    assert "does not fit the mlp in model.json" in error(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes()[:-8])
    assert "is not a complete .safetensors file" in error(tmp_path)


def test_constants_of_the_digits():
    with np.load(FILE) as file:
        training = file["pixels"][~file["test"]]
    assert (round(training.mean(), 5), round(training.std(), 5)) == (round(MEAN, 5), round(STD, 5))
    assert len(digits()) == len(training)


def test_the_choices_are_the_models():
    train = make_parser()._subparsers._group_actions[0].choices["train"]
    (choices,) = (action.choices for action in train._actions if action.dest == "model")
    assert list(choices) == [*training.RECIPES, *characters.RECIPES]
    assert list(MODELS) == [*training.RECIPES, "char_lm"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Small data sets of every kind."""
    folder = tmp_path_factory.mktemp("data")
    idx_folder(folder / "mnist", [5, 0, 4, 1])
    (folder / "cifar").mkdir()
    cifar_file(folder / "cifar" / "train.bin", 40)
    cifar_file(folder / "cifar" / "test.bin", 10)
    picture_folder(folder / "pictures", count=25, size=(12, 16))
    return folder


@pytest.mark.parametrize(
    "model, data, options, expected",
    [
        ("mlp", "mnist", ["--hidden=8", "--augment=light"], "MNIST: 36 images of 1x28x28"),
        ("mlp", "cifar", ["--hidden=8", "--schedule=constant"], "mlp(widths=[3072, 8, 10])"),
        ("small_cnn", "digits", ["--schedule=cosine", "--optimizer=sgd", "--weight-decay=0.1"], "small_cnn("),
        ("lenet5", "mnist", ["--augment=strong", "--label-smoothing=0.1"], "61,706 parameters"),
        ("lenet5", "pictures", ["--augment=light"], "image folders of 2 classes: 36 images of 3x12x16"),
        ("resnet", "cifar", ["--augment=strong", "--depth=8"], "CIFAR-10 format (2 files): 36 images"),
        ("resnet", "pictures", ["--size=8"], "36 images of 3x8x8 to train with, 4 to validate, 10 to test; 2 classes"),
        ("densenet", "cifar", ["--depth=7", "--augment=light"], "densenet(channels=3, classes=10, layers=[1, 1, 1])"),
    ],
)
def test_every_model_trains_and_loads_again(tmp_path, capsys, folders, model, data, options, expected):
    out, data = tmp_path / "run", "digits" if data == "digits" else str(folders / data)
    common = ["--data", data, "--out", str(out), "--epochs=1", "--batch=18"]
    assert main(["train", "--model", model, *common, *options]) == 0
    printed = capsys.readouterr().out
    assert expected in printed
    accuracy = next(line for line in printed.splitlines() if line.startswith("test accuracy"))
    assert main(["predict", str(out)]) == 0
    table = capsys.readouterr().out.splitlines()
    inputs = json.loads((out / "model.json").read_text())["inputs"]
    assert table[0] == accuracy and len(table) == 2 + len(inputs["classes"])
    images = np.minimum(pixels(3, *inputs["shape"]), inputs["highest"])
    for name, array in (("images.npy", images), ("rows.npy", images.reshape(3, -1))):
        np.save(tmp_path / name, array)
    (tmp_path / "images-idx-ubyte").write_bytes(idx(images))
    answers = []
    for name in ("images.npy", "rows.npy", "images-idx-ubyte"):
        assert main(["predict", str(out), "--input", str(tmp_path / name)]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] == answers[2] and answers[0].count("\n") == 4
    assert {row["class"] for row in csv.DictReader(answers[0].splitlines())} <= set(inputs["classes"])


def test_predict_pictures(tmp_path, capsys, folders):
    out = tmp_path / "run"
    options = ["--epochs=20", "--batch=10", "--lr=0.05", "--quiet", "--out", str(out)]
    assert main(["train", "--model=small_cnn", "--data", str(folders / "pictures"), *options]) == 0
    assert capsys.readouterr().out.startswith("test accuracy 100.00 %")  # the dogs are dark
    folder = folders / "pictures"
    assert main(["predict", str(out), "--input", str(folder)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["file"] for row in rows][:2] == ["cat/0.png", "cat/1.png"] and len(rows) == 50
    assert all(row["class"] == row["file"][:3] for row in rows)
    assert main(["predict", str(out), "--input", str(folder / "dog" / "3.png")]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("3.png,dog,")
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(out), "--input", str(tmp_path / "empty")]) == 1
    assert "got no pictures there" in capsys.readouterr().err
    (tmp_path / "broken.png").write_text("no picture")
    assert main(["predict", str(out), "--input", str(tmp_path / "broken.png")]) == 1
    assert f"{tmp_path / 'broken.png'}: got a file that is no whole image" in capsys.readouterr().err
    np.save(tmp_path / "last.npy", pixels(2, 12, 16, 3))  # channels last
    assert main(["predict", str(out), "--input", str(tmp_path / "last.npy")]) == 1
    assert "has shape (2, 12, 16, 3), expected rows of 576 pixels, or images of shape (3, 12, 16)" in (
        capsys.readouterr().err
    )


def test_predict_when_the_data_are_gone(tmp_path, capsys):
    idx_folder(tmp_path / "data", [1, 0])
    options = ["--epochs=1", "--quiet", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    assert main(["train", *options]) == 0
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    assert main(["predict", str(tmp_path / "run")]) == 1
    assert f"minidl predict: error: {tmp_path / 'data'}: got nothing there" in capsys.readouterr().err
    idx_folder(tmp_path / "data", [1, 0], size=20)
    assert main(["predict", str(tmp_path / "run")]) == 1
    assert "has changed: got images of shape (1, 20, 20)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (["--data", "nowhere"], "no such folder: nowhere; expected one, or digits"),
        (["--hidden=3", "--model=lenet5"], "--hidden: lenet5 has no hidden layers to choose; only mlp has"),
        (["--size=8"], "--size: digits has a size of its own; only images in sub-folders are resized"),
        (["--depth=8"], "--depth: mlp has no depth to choose; only resnet and densenet have"),
        (["--depth=9", "--model=resnet"], "resnet: depth: got 9, expected 6 n + 2: 8, 14, 20"),
        (["--depth=9", "--model=densenet"], "--depth: densenet: got 9, expected 3 n + 4"),
        (["--model=lenet5"], "lenet5: size: got [8, 8], expected at least 12"),
    ],
)
def test_options_that_do_not_fit(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *options]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"minidl train: error: {message}") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_lenet_on_real_mnist(tmp_path, capsys):
    """One epoch on the 60,000 images."""
    options = ["--model=lenet5", "--epochs=1", "--threads=1", "--quiet", "--out", str(tmp_path)]
    assert main(["train", "--data", str(real("mnist")), *options]) == 0
    assert float(capsys.readouterr().out.split()[2]) > 97


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for name in (
        "minidl",
        "numpy",
        "numba",
        "cpu",
        "threads",
        "kernels use",
        "openmp",
        "numba threads",
        "kernel cache",
    ):
        assert f"{name}:" in out


def test_warmup_finds_every_kernel(capsys, monkeypatch):
    from minidl.kernels.backward import activation, reduce
    from minidl.kernels.backward.compiler import NumbaKernel

    assert {activation.relu, reduce.column_sum} <= set(machine.backward_kernels())
    asked = []
    monkeypatch.setattr(NumbaKernel, "address", lambda kernel, dtype: asked.append((kernel, dtype)))
    assert main(["warmup"]) == 0
    assert len(asked) == len(set(asked)) == len(machine.backward_kernels())
    assert main(["warmup", "--float64"]) == 0
    assert len(asked) == 3 * len(machine.backward_kernels())
    assert "kernels ready after" in capsys.readouterr().out


def test_notice_of_a_long_compilation(capsys, monkeypatch):
    import time

    from minidl.kernels.backward.compiler import Notice

    monkeypatch.setattr(Notice, "delay", 0.02)
    with Notice("relu (float32)"):
        pass
    assert capsys.readouterr().err == ""
    with Notice("relu (float32)"):
        time.sleep(0.1)
        assert "compiling kernel relu (float32)" in capsys.readouterr().err  # while it lasts
    assert capsys.readouterr().err == " 0.1 s\n"


def test_version_and_help(capsys):
    for arguments in (["--version"], ["--help"], ["train", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"minidl {minidl.__version__}\n")
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_as_a_process(tmp_path):
    done = python("-m", "minidl", "train", "--epochs", "2", "--out", str(tmp_path / "run"), cwd=tmp_path)
    assert done.returncode == 0 and "test accuracy" in done.stdout and "Traceback" not in done.stderr
    done = python("-m", "minidl", "predict", "nowhere", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == "minidl predict: error: no such folder: nowhere\n"


def test_help_needs_no_numba_and_no_matplotlib(tmp_path):
    code = "import sys, minidl.commands; print({'numba', 'matplotlib', 'safetensors', 'tqdm'} & set(sys.modules))"
    assert python("-c", code, cwd=tmp_path).stdout.strip() == "set()"


def test_predict_arrays_of_the_wrong_kind(run, tmp_path, capsys):
    np.savez(tmp_path / "archive.npz", a=np.zeros(3), b=np.zeros(3))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    np.save(tmp_path / "empty.npy", np.zeros((0, 64)))
    for name, message in (("archive.npy", "cannot be read as numbers"), ("empty.npy", "shape (0, 64)")):
        assert main(["predict", str(run), "--input", str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err


def test_help_tells_defaults_only_where_there_are_some(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert "(default: adam)" in out and "None" not in out and "False" not in out


def test_a_bad_number_of_threads_in_the_environment(tmp_path):
    done = python("-c", "import os; os.environ['MINIDL_NUM_THREADS'] = 'abc'; import minidl", cwd=tmp_path)
    assert done.stderr.endswith("MINIDL_NUM_THREADS: got 'abc', expected an integer of at least 1\n")
