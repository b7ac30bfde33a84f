"""The diagnosis of the sick zoo: a few patients from end to end, what counts as found, AUTOTRAINER's rules."""

import numpy as np
import pytest

import minidl as dl
from zoo import PATIENTS, autotrainer, patient
from zoo.autotrainer import Watched, gradient_signs, oscillates, problem
from zoo.diagnosis import main, minidl, table, watched
from zoo.diseases import select
from zoo.marks import Finding, marks, near, share

DEEP = patient("dead-deep-mlp")  # layer 10 of linear layers 0, 2, 4, ..., 16
PADDED = patient("masked-rnn-padded")  # in "rnn", from step 8 on


def said(*diseases, layers=(), time=None):
    return [Finding(d, frozenset([d]), layers, time) for d in diseases]


@pytest.fixture(autouse=True)
def one_thread():
    """Two would only wait for each other."""
    before = dl.get_num_threads()
    dl.set_num_threads(1)
    yield
    dl.set_num_threads(before)


# from end to end


@pytest.mark.parametrize("name", ["dead-mlp", "scale-tanh-small", "frozen-detached-mlp", "vanishing-rnn-order"])
def test_sick_and_healthy(name):
    sick = patient(name)
    assert sick.half == "choose"
    ill, well = minidl(sick, 0), minidl(sick.healthy(), 0)
    given = marks(sick, ill)
    assert given["found"] and given["layer"], ill
    assert not marks(sick.healthy(), well)["alarm"], well


@pytest.mark.parametrize(
    ("name", "told"),
    [("dead-mlp", ["dying ReLU"]), ("nonfinite-weight", ["exploding gradient"]), ("frozen-mlp", [])],
)
def test_autotrainer_watches(name, told):
    assert [finding.name for finding in watched(patient(name), 0)] == told


def test_command(capsys):
    main(["--seeds", "1", "--half", "choose", "nonfinite-weight"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[-2] == ["all", *["1/1"] * 6, "0/1", "1/1", "1/1", "0/1"]  # it has layers, but no step
    assert rows[-1] == ["%", *["100.0"] * 6, "0.0", "100.0", "100.0", "0.0"]
    with pytest.raises(SystemExit):
        main(["no-such-patient"])
    assert "no such patient or disease: no-such-patient" in capsys.readouterr().err


def test_command_says_what_is_wrong(capsys, monkeypatch):
    monkeypatch.setattr("zoo.diagnosis.DOCTORS", {"minidl": lambda p, seed: said("saturation", layers=("2",))})
    main(["--seeds", "2", "--rules", "minidl", "nonfinite-weight"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "minidl       missed       nonfinite-weight, seed 0: saturation at 2"
    assert lines[1] == "minidl       false alarm  nonfinite-weight, healthy, seed 0: saturation at 2"
    assert len([line for line in lines if "seed 1" in line]) == 2


# what counts


def test_select():
    assert select() == list(PATIENTS)
    chosen = select(["vanishing", "dead-mlp"], "choose")
    assert {p.disease for p in chosen} == {"vanishing", "dead units"} and {p.half for p in chosen} == {"choose"}
    with pytest.raises(ValueError, match="no such patient or disease: flu"):
        select(["flu", "vanishing"])


def test_marks_of_a_twin():
    assert marks(DEEP.healthy(), []) == {"alarm": False}
    assert marks(DEEP.healthy(), said("dead units")) == {"alarm": True}


@pytest.mark.parametrize(
    ("findings", "found", "first", "two", "anything"),
    [
        ([], False, False, False, False),
        (said("vanishing"), False, False, False, True),
        (said("dead units"), True, True, True, True),
        (said("vanishing", "dead units"), True, False, True, True),
        (said("vanishing", "exploding", "dead units"), True, False, False, True),
        ([Finding("dying ReLU", frozenset(autotrainer.MEANS["dying ReLU"]))], True, True, True, True),
    ],
)
def test_marks_of_a_patient(findings, found, first, two, anything):
    given = marks(DEEP, findings)
    assert (given["found"], given["first"], given["two"], given["any"]) == (found, first, two, anything)
    assert not given["layer"] and not given["exact"] and "step" not in given  # no layer was named


def test_what_is_just_as_true():
    shifted = patient("silent-shifted")
    assert shifted.also == ("saturation",)
    assert marks(shifted, said("saturation"))["first"] and not marks(shifted, said("vanishing"))["found"]
    assert "layer" not in marks(shifted, said("saturation", layers=("1",)))


@pytest.mark.parametrize(
    ("layers", "layer", "exact"),
    [(("10", "2"), True, True), (("11",), True, False), (("8",), True, False), (("12",), True, False),
     (("6",), False, False), (("14",), False, False), (("6", "10"), False, False), (("x",), False, False)],
)  # fmt: skip
def test_layers(layers, layer, exact):
    given = marks(DEEP, said("dead units", layers=layers))
    assert (given["layer"], given["exact"]) == (layer, exact)


def test_the_first_finding_that_is_right_names_the_layer():
    findings = said("vanishing", layers=("10",)) + said("dead units", layers=("2",))
    assert not marks(DEEP, findings)["layer"]


def test_layers_of_blocks_and_of_recurrent_networks():
    residual = patient("exploding-residual").network  # a layer, then blocks of two
    assert near(residual, "0", "1.body.0") and near(residual, "1.body.2", "2.body.1")
    assert not near(residual, "0", "1.body.2")
    assert near(PADDED.network, "rnn", "rnn") and not near(PADDED.network, "head", "rnn")
    assert not near(PADDED.network, None, "rnn")


@pytest.mark.parametrize(("time", "right"), [(8, True), (9, True), (7, True), (10, False), (None, False)])
def test_time_steps(time, right):
    assert marks(PADDED, said("masked-out sequences", layers=("rnn",), time=time))["step"] is right


def test_shares():
    given = [{"found": True}, {"found": False, "layer": False}, {"alarm": True}]
    assert [share(given, column) for column in ("found", "layer", "alarm", "step")] == ["1/2", "0/1", "1/1", ""]


def test_table():
    ill = {"found": True, "first": True, "two": True, "any": True}
    results = {"minidl": {"vanishing": [ill, {"alarm": False}]}, "autotrainer": {"vanishing": [dict(ill, found=False)]}}
    head, names, *rows = table(results)
    assert head.split() == ["minidl", "autotrainer"] and names.split()[-3:] == ["found", "any", "alarm"]
    assert rows[0].split() == ["vanishing", "1/1", "1/1", "1/1", "1/1", "0/1", "0/1", "1/1"]
    assert rows[-1].split() == ["%", "100.0", "100.0", "100.0", "100.0", "0.0", "0.0", "100.0"]


# AUTOTRAINER's rules


def kernels(first, last, zeros=0):
    """Gradients of two matrices with these norms, and of a bias of which `zeros` of 96 elements are 0."""
    return [np.full((1, 1), first), (np.arange(96) >= zeros) * 1.0, np.full((1, 1), last), np.ones(2)]


@pytest.mark.parametrize(
    ("gradients", "signs"),
    [
        (kernels(1.0, 1.0), set()),
        (kernels(0.9e-4, 0.1), {"vanishing gradient"}),
        (kernels(0.9e-4, 0.08), set()),  # ratio 1.1e-3
        (kernels(1.1e-4, 1.0), set()),  # the ratio is small, the gradient is not
        (kernels(71.0, 1.0), {"exploding gradient"}),
        (kernels(69.0, 1.0), set()),
        (kernels(1.0, 1.0, zeros=70), {"dying ReLU"}),  # 70 of 100
        (kernels(1.0, 1.0, zeros=69), set()),
        (kernels(0.0, 1.0, zeros=69), {"dying ReLU", "vanishing gradient"}),
        (kernels(1.0, 0.0), {"exploding gradient"}),
        (kernels(np.nan, 1.0), {"non-finite"}),
        (kernels(1.0, np.inf), {"non-finite"}),
    ],
)
def test_what_gradients_show(gradients, signs):
    assert gradient_signs(gradients) == signs


def history(accuracy, test=None, loss=1.0, test_loss=1.0):
    n = len(accuracy)
    return Watched([loss] * n, list(accuracy), [test_loss] * n, list(accuracy if test is None else test))


RISING, FLAT, SOSO = [0.3, 0.6, 0.9, 0.95], [0.1, 0.105, 0.1, 0.109], [0.2, 0.3, 0.4, 0.5]
SHAKY = [0.9, 0.8, 0.9, 0.8, 0.9, 0.8, 0.9, 0.8]


@pytest.mark.parametrize(
    ("seen", "signs", "told"),
    [
        (history(RISING), set(), None),
        (history(RISING), {"vanishing gradient", "exploding gradient", "dying ReLU"}, None),
        (history(SOSO), set(), None),
        (history(SOSO), {"vanishing gradient"}, "vanishing gradient"),
        (history(SOSO), {"vanishing gradient", "exploding gradient"}, "exploding gradient"),
        (history(SOSO), {"vanishing gradient", "exploding gradient", "dying ReLU"}, "dying ReLU"),
        (history(RISING, test=SOSO), {"vanishing gradient"}, "vanishing gradient"),
        (history(FLAT), set(), "slow convergence"),
        (history(FLAT), {"dying ReLU"}, "dying ReLU"),
        (history(FLAT, test=SOSO), set(), None),
        (history(FLAT[:3]), {"dying ReLU"}, None),  # 3 epochs of 12 are too early
        (history(RISING, loss=np.nan), set(), "exploding gradient"),
        (history(RISING, test_loss=1e5), set(), "exploding gradient"),
        (history(RISING, test_loss=0.9e5), set(), None),
        (history(RISING[:1]), {"non-finite"}, "exploding gradient"),  # at once
        (history(SHAKY), set(), "oscillating loss"),
        (history(SHAKY, test=[0.5, 0.6] * 4), set(), None),  # never accurate, and then only gradients count
    ],
)
def test_problems(seen, signs, told):
    assert problem(seen, signs, 12) == told


def test_oscillation():
    assert oscillates(SHAKY)
    assert not oscillates([0.9, 0.88] * 4)  # swings of 0.02
    assert not oscillates([0.5, 0.9, 0.8, *np.linspace(0.81, 0.99, 12)])  # one swing in 15 epochs
    assert not oscillates(RISING) and not oscillates([0.5])
