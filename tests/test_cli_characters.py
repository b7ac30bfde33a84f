import csv
import json
import math
import os
import re
import signal

import numpy as np
import pytest
from files import real

import minidl
from minidl.cli import main
from minidl.commands import fitting

TEXT = "the cat sat on the mat; the dog ate the hat\n" * 60
SMALL = ["--hidden=16", "--batch=4", "--length=16"]


def train(data, out, *options):
    return main(["train", "--task=chars", "--data", str(data), "--out", str(out), *SMALL, *options])


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "cat.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    """A trained model's folder."""
    folder = tmp_path_factory.mktemp("run")
    assert train(text, folder, "--epochs=8", "--lr=0.02", "--quiet") == 0
    return folder


def written(capsys, run, *options):
    capsys.readouterr()
    assert main(["generate", str(run), *options]) == 0
    return capsys.readouterr().out


def test_train_learns_and_leaves_everything(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--task=chars", "--data", os.path.relpath(text), *SMALL, "--epochs=6", "--lr=0.02"]
    assert main(["train", *options]) == 0
    out = capsys.readouterr().out
    (folder,) = (tmp_path / "runs").iterdir()
    files = {path.name for path in folder.iterdir()}
    assert files == {"weights.safetensors", "model.json", "metrics.csv", "curves.png", "report.html"}
    assert "cat.txt: 2,376 characters to train with, 264 to validate" in out
    assert "char_lm(vocabulary_size=14, hidden=16, layers=1, dropout=0.2, cell=lstm): 2,638 parameters" in out
    assert "6 epochs of 38 steps, batches of 4 streams of 16 characters" in out
    assert f"next: minidl generate runs/{folder.name}" in out
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "lr", "val_loss"] and len(rows) == 6
    losses = [float(row["val_loss"]) for row in rows]
    assert losses[-1] < 1 < losses[0]
    nats, bits = map(float, re.search(r"validation loss (\S+) nats per character \((\S+) bits\)", out).groups())
    assert nats == pytest.approx(min(losses), abs=1e-4) and bits == pytest.approx(nats / math.log(2), abs=1e-3)
    description = json.loads((folder / "model.json").read_text())
    assert description["inputs"] == {"tokens": "".join(sorted(set(TEXT)))}
    assert description["options"]["data"] == str(text) and "augment" not in description["options"]


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_every_model_trains_and_writes(text, tmp_path, capsys, model):
    assert train(text, tmp_path, "--model", model, "--layers=2", "--dropout=0", "--epochs=1", "--quiet") == 0
    assert capsys.readouterr().out.startswith("validation loss ")
    assert len(written(capsys, tmp_path, "--length=30")) == 31


def test_options(text, tmp_path, capsys):
    options = ["--optimizer=sgd", "--lr=0.5", "--schedule=cosine", "--weight-decay=0.001", "--epochs=2", "--quiet"]
    assert train(text, tmp_path, *options, "--seed=3", "--threads=1", "--batch=8") == 0
    saved = json.loads((tmp_path / "model.json").read_text())["options"]
    assert (saved["batch"], saved["lr"], saved["schedule"], saved["seed"]) == (8, 0.5, "cosine", 3)


def test_epochs_make_2000_steps_by_default(text, tmp_path, monkeypatch, capsys):
    class Stop(fitting.CSVLogger):
        def on_epoch_end(self, epoch, logs):
            super().on_epoch_end(epoch, logs)
            self.trainer.stop_training = True

    monkeypatch.setattr(fitting, "CSVLogger", Stop)
    assert train(text, tmp_path) == 0
    assert "53 epochs of 38 steps" in capsys.readouterr().out


def test_same_seed_same_weights_for_any_number_of_threads(text, tmp_path):
    for name, seed, threads in [("a", 1, 1), ("b", 1, 2), ("c", 2, 2)]:
        options = ["--seed", str(seed), "--threads", str(threads), "--epochs=2", "--quiet"]
        assert train(text, tmp_path / name, *options) == 0
    a, b, c = (
        {n: w.numpy() for n, w in minidl.load(tmp_path / name / "weights.safetensors").items()} for name in "abc"
    )
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    assert any(a[name].tobytes() != c[name].tobytes() for name in a)


def test_the_weights_of_the_best_epoch_are_kept(tmp_path, capsys):
    """Random characters, known by heart: the loss on others of them only rises."""
    rng = np.random.default_rng(0)
    (tmp_path / "noise.txt").write_text("".join(rng.choice(list("abcdefgh"), 800)))
    options = ["--hidden=64", "--dropout=0", "--epochs=10", "--lr=0.02", "--quiet"]
    assert train(tmp_path / "noise.txt", tmp_path, *options) == 0
    nats = float(capsys.readouterr().out.split()[2])
    with open(tmp_path / "metrics.csv") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert nats == pytest.approx(min(losses), abs=1e-4) and losses[-1] > min(losses) + 0.1


def test_ctrl_c_saves_what_there_is(text, tmp_path, capsys, monkeypatch):
    class Interrupts(fitting.CSVLogger):
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(fitting, "CSVLogger", Interrupts)
    assert train(text, tmp_path, "--quiet", "--epochs=9") == 130
    assert "interrupted in epoch 2 of 9" in capsys.readouterr().err
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2
    assert len(written(capsys, tmp_path, "--length=5")) == 6


def test_a_learning_rate_that_explodes_is_told_in_one_line(text, tmp_path, capsys):
    assert train(text, tmp_path, "--quiet", "--optimizer=sgd", "--lr=1e38", "--schedule=constant") == 1
    err = capsys.readouterr().err
    assert err.startswith("minidl train: error: training stopped") and "--lr" in err and err.count("\n") == 1


def test_generate(run, capsys):
    out = written(capsys, run, "--length=200", "--temperature=0.5")
    assert len(out) == 201 and set(out) <= set(TEXT)
    known = set(TEXT.split())
    assert np.mean([word in known for word in out.split()]) > 0.7


def test_generate_is_decided_by_the_seed(run, capsys):
    first, again, other = (written(capsys, run, "--seed", seed, "--temperature=2") for seed in ("1", "1", "2"))
    assert first == again != other and len(first) == 501
    one, two = (written(capsys, run, "--seed", seed, "--temperature=0") for seed in ("1", "2"))
    assert one == two
    assert written(capsys, run, "--seed=1", "--temperature=2", "--threads=1") == first


def test_generate_goes_on_with_the_prompt(run, capsys):
    out = written(capsys, run, "--prompt", "the dog ate the h", "--length=3", "--temperature=0")
    assert out == "the dog ate the hat\n\n"


def test_characters_beyond_ascii_and_no_line_ends(tmp_path, capsys):
    (tmp_path / "text").write_text("naïve \U0001f600 Straße, 日本語 " * 100, encoding="utf-8")
    assert train(tmp_path / "text", tmp_path, "--epochs=1", "--quiet") == 0
    assert written(capsys, tmp_path, "--prompt=日", "--length=4").startswith("日")
    assert len(written(capsys, tmp_path, "--length=4")) == 5


@pytest.mark.parametrize(
    "options, message",
    [
        (["--model=lenet5"], "--model: got lenet5, expected lstm, gru, rnn for --task chars"),
        (["--augment=none"], "--augment: only for --task images"),
        (["--size=8"], "--size: only for --task images"),
        (["--depth=8"], "--depth: only for --task images"),
        (["--label-smoothing=0.1"], "--label-smoothing: only for --task images"),
        (["--hidden=8,8"], "--hidden: lstm has layers of one size; got 2, see --layers"),
        (["--task=images", "--model=gru"], "--model: got gru, expected mlp, small_cnn, lenet5, resnet, densenet for"),
        (["--task=images", "--layers=2"], "--layers: only for --task chars"),
        (["--task=images", "--dropout=0.1"], "--dropout: only for --task chars"),
        (["--task=images", "--length=8"], "--length: only for --task chars"),
    ],
)
def test_options_that_do_not_fit(text, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--task=chars", "--data", str(text), *options]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"minidl train: error: {message}") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "no such file"),
        (b"", "got an empty file, expected a text"),
        (b"\n \n", "got nothing but whitespace, expected a text"),
        (b"\xff\xfe\0\0", "got byte 0xff at 0, expected a text in UTF-8"),
        (b"a" * 160, "got 160 characters, expected at least 161 to train with 4 streams of 16; smaller --batch and"),
        (b"ab" * 160, "got 320 characters, expected at least 1,139 to train with 64 streams of 16; smaller --batch"),
    ],
)
def test_bad_texts(tmp_path, capsys, content, message):
    path, out = tmp_path / "text", tmp_path / "run"
    if content is not None:
        path.write_bytes(content)
    batch = [] if content is None or len(content) < 300 else ["--batch=64"]
    assert train(path, out, *batch) == 1
    err = capsys.readouterr().err
    assert err.startswith("minidl train: error: ") and message in err and err.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize("batch, least", [(1, 161), (4, 161), (10, 179), (64, 1139)])
def test_the_shortest_text(tmp_path, batch, least):
    for size, status in ((least - 1, 1), (least, 0)):
        (tmp_path / "text").write_text(("abc" * size)[:size])
        assert train(tmp_path / "text", tmp_path, f"--batch={batch}", "--epochs=1", "--quiet") == status


def test_no_text_at_all(capsys):
    assert main(["train", "--task=chars"]) == 1
    assert capsys.readouterr().err == "minidl train: error: --data: expected a text file, for --task chars\n"


@pytest.mark.parametrize(
    "options, message",
    [
        (["train", "--task=words"], "argument --task"),
        (["train", "--layers=0"], "argument --layers: got '0'"),
        (["train", "--dropout=1"], "argument --dropout: got '1', expected a number from 0 to 1, without 1"),
        (["train", "--length=0"], "argument --length: got '0'"),
        (["generate"], "RUN_FOLDER"),
        (["generate", "run", "--temperature=-1"], "argument --temperature: got '-1', expected a number of at least 0"),
        (["generate", "run", "--temperature=nan"], "argument --temperature: got 'nan'"),
        (["generate", "run", "--length=0"], "argument --length: got '0', expected an integer at least 1"),
        (["generate", "run", "--seed=-1"], "argument --seed: got '-1'"),
    ],
)
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_prompt_with_an_unknown_character(run, capsys):
    assert main(["generate", str(run), "--prompt", "the cät"]) == 1
    err = capsys.readouterr().err
    assert "error: --prompt: " in err and "got character 'ä' (U+00E4) at position 5" in err and err.count("\n") == 1


def test_runs_of_the_other_task(run, tmp_path, capsys):
    assert main(["predict", str(run)]) == 1
    assert f"{run} holds a model of characters, which cannot classify; try minidl generate" in capsys.readouterr().err
    assert main(["train", "--hidden=4", "--epochs=1", "--quiet", "--out", str(tmp_path)]) == 0
    assert main(["generate", str(tmp_path)]) == 1
    assert f"{tmp_path} holds a model of images, which cannot write; try minidl predict" in capsys.readouterr().err


def test_generate_from_bad_folders(run, tmp_path, capsys):
    def error(folder):
        assert main(["generate", str(folder)]) == 1
        return capsys.readouterr().err

    assert "no such folder" in error(tmp_path / "nowhere")
    assert "has no model.json" in error(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes())
    description = json.loads((run / "model.json").read_text())
    for inputs in ({}, {"tokens": ""}, {"tokens": "aa"}, {"tokens": 5}, {"shape": [1]}):
        (tmp_path / "model.json").write_text(json.dumps({**description, "inputs": inputs}))
        assert "model.json does not describe a model" in error(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**description, "inputs": {"tokens": "abc"}}))
    assert "got 3 characters for a model of 14" in error(tmp_path)
    (tmp_path / "model.json").write_text(
        json.dumps({**description, "arguments": {**description["arguments"], "hidden": 8}})
    )
    assert "does not fit the char_lm in model.json" in error(tmp_path)


def test_tiny_shakespeare(tmp_path, capsys):
    """One epoch, some 245 steps, of a small model on the real text."""
    data = real("tinyshakespeare/input.txt")
    options = ["--hidden=64", "--batch=64", "--length=64", "--lr=0.01", "--epochs=1", "--threads=1", "--quiet"]
    assert train(data, tmp_path, *options) == 0
    assert float(capsys.readouterr().out.split()[2]) < 2.1
