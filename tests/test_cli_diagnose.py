"""`minidl diagnose`, and what `minidl train` says about its own run."""

import sys

import pytest
from reports import report

from minidl.cli import main
from minidl.commands import fitting

FILE = """
import numpy as np
import minidl as dl
from minidl import functional as F, nn, optim
from minidl.data import digits

def model(sizes, std=None):
    dl.manual_seed(0)
    layers = [nn.Linear(*sizes[:2])]
    for size in zip(sizes[1:-1], sizes[2:]):
        layers += [nn.Tanh(), nn.Linear(*size)]
    model = nn.Sequential(*layers)
    for p in model.parameters():
        if std is not None and p.ndim == 2:
            nn.init.normal_(p, std=std)
    return model

loaded = dl.data.DataLoader(digits(), 32, shuffle=True, seed=0, drop_last=True)
batches = list(loaded)[:25]

def healthy():
    net = model([64, 32, 10])
    return net, F.cross_entropy, batches, optim.Adam(net.parameters(), lr=1e-2)

def loader():
    net = model([64, 32, 10])
    return net, F.cross_entropy, loaded, optim.Adam(net.parameters(), lr=1e-2)

def vanishing():
    net = model([64] * 12 + [10], 0.05)
    return net, F.cross_entropy, batches, optim.Adam(net.parameters(), lr=1e-3)

def without_optimizer():
    return model([64, 32, 10]), F.cross_entropy, batches[0]

two = lambda: (model([4, 3]), F.cross_entropy)
no_model = lambda: (3, F.cross_entropy, batches)
no_loss = lambda: (model([4, 3]), "loss", batches)
no_batches = lambda: (model([4, 3]), F.cross_entropy, 5)
no_optimizer = lambda: (model([4, 3]), F.cross_entropy, batches, 0.1)
misfit = lambda: (model([4, 3]), F.cross_entropy, batches)
empty = lambda: (model([64, 3]), F.cross_entropy, [])
number = 3

def fails():
    raise RuntimeError("out of luck")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the file, from which Python may import; forgotten afterwards."""
    (tmp_path / "patients.py").write_text(FILE)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "needs.py").write_text("import no_such_package_anywhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("patients", "broken", "needs"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("target", ["patients:healthy", "patients.py:healthy", "patients:loader"])
def test_healthy_is_0(here, capsys, target):
    assert main(["diagnose", target]) == 0
    out = capsys.readouterr().out
    assert out.startswith("healthy: nothing found\n\ngradient flow by layer, mean of 20 batches") and "█" in out


def test_ill_is_1_and_the_page_is_written(here, capsys):
    assert main(["diagnose", "patients:vanishing", "--steps", "0", "--out", "found"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("VANISHING") and "┊" in out and "report: found/report.html" in out
    assert "vanishing" in (here / "found" / "report.html").read_text(encoding="utf-8")


def test_without_an_optimizer(here, capsys):
    assert main(["diagnose", "patients:without_optimizer"]) == 0
    assert "one batch" in capsys.readouterr().out


def test_cure(here, capsys):
    assert main(["diagnose", "patients:vanishing", "--steps", "0", "--cure"]) == 1
    out = capsys.readouterr().out
    assert "as it is" in out and "best" in out and out.count("VANISHING") == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["patients"], "got 'patients', expected MODULE:FUNCTION or path/to/file.py:FUNCTION"),
        (["patients:"], "got 'patients:', expected MODULE:FUNCTION"),
        (["nobody:healthy"], "no module named nobody here ("),
        (["patients.inner:healthy"], "patients.inner"),
        (["nobody.py:healthy"], "no such file: nobody.py"),
        (["patients:absent"], "patients has no function absent"),
        (["patients:number"], "patients has no function number"),
        (["broken:healthy"], "broken:healthy: ZeroDivisionError: division by zero ("),
        (["broken.py:healthy"], "broken.py, line 1)"),
        (["needs:healthy"], "No module named 'no_such_package_anywhere'"),
        (["patients:fails"], "patients:fails: RuntimeError: out of luck ("),
        (["patients:two"], "patients:two returned 2 values, expected (model, loss_fn, batches) or"),
        (["patients:model"], "patients:model: TypeError: model() missing 1 required"),
        (["patients:no_model"], "but model is a int, not a Module"),
        (["patients:no_loss"], "but loss_fn is a str, not a function"),
        (["patients:no_batches"], "but batches is a int, not a tuple (*inputs, target), or a list or loader of them"),
        (["patients:no_optimizer"], "but optimizer is a float, not an Optimizer"),
        (["patients:misfit"], "input has 64 features (shape (32, 64)), expected 4"),
        (["patients:empty"], "examine: batch: expected a tuple"),
        (["patients:without_optimizer", "--steps", "5"], "--steps: patients:without_optimizer returned no optimizer"),
        (["patients:without_optimizer", "--cure"], "--cure: patients:without_optimizer returned no optimizer"),
        (["patients:healthy", "--steps", "0", "--out", "patients.py"], "--out: cannot make the folder"),
    ],
)
def test_what_cannot_be_examined_is_2_and_one_sentence(here, capsys, arguments, message):
    assert main(["diagnose", *arguments]) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if "compiling" not in line]
    assert len(err) == 1 and err[0].startswith("minidl diagnose: error: ") and message in err[0]


def test_train_leaves_a_report_also_of_a_failure(tmp_path, capsys):
    options = ["train", "--out", str(tmp_path), "--quiet", "--optimizer", "sgd", "--lr", "1e30"]
    assert main(options) == 1
    assert f"{tmp_path / 'report.html'} has the figures" in capsys.readouterr().err
    assert "non-finite" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_is_told_in_two_lines(tmp_path):
    assert fitting.in_short(report([1.0]), tmp_path) == "healthy: nothing found"
    ill = report([1e-9, 1.0], sick=["layer0"])
    ill.verdicts[0].prescriptions.append("something")
    assert fitting.in_short(ill, "run/report.html").splitlines() == [
        "VANISHING (90% sure since step 1): it <vanishes> & more",
        "(figures and what may help: run/report.html)",
    ]
    ill.verdicts *= 3
    assert fitting.in_short(ill, "here").endswith("\n(and 2 more; figures and what may help: here)")
