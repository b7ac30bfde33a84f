"""The sick zoo: every patient can be built and trained, and is what it is said to be."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from zoo import DISEASES, PATIENTS, minidl_zoo
from zoo.__main__ import main
from zoo.datasets import available
from zoo.weights import draw

PARITY = (
    "vanishing-normal-mlp",
    "dead-cnn",
    "saturated-lstm-input-gate",
    "low-rate-batch-norm",
    "exploding-residual",
    "nonfinite-sqrt",
    "mismatch-softmax-deep",
    "masked-gru-rows",
    "masked-copy",
    "frozen-rate-zero",
)
MAY_DIVERGE = (
    "exploding",
    "initialisation scale",
    "learning rate too high",
    "non-finite",
    "no signal from the data",
    "label or loss mismatch",
)
NAMES = {p.name: p for p in PATIENTS}


def test_counts():
    assert len(NAMES) == len(PATIENTS) >= 64
    counts = Counter((p.disease, p.half) for p in PATIENTS)
    assert set(counts) == {(disease, half) for disease in DISEASES for half in ("choose", "report")}
    assert min(counts.values()) >= 3
    assert {d for p in PATIENTS for d in p.also} <= set(DISEASES)


def kind(network):
    """Its architecture."""
    first = network[0][0].split("_")[0]
    return first if first in ("rnn", "lstm", "gru") else "cnn" if ("mean",) in network else "mlp"


def test_the_halves_are_alike():
    sizes = Counter(p.half for p in PATIENTS)
    assert abs(sizes["choose"] - sizes["report"]) <= 4
    kinds = Counter((p.half, kind(p.network)) for p in PATIENTS)
    for half in ("choose", "report"):
        assert all(kinds[half, k] >= 4 for k in ("mlp", "cnn", "rnn", "lstm", "gru")), kinds


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda p: p.name)
def test_patient_and_twin(patient):
    """Three steps of each: the twin's are finite, and the sick one's are, unless that is what it has."""
    if not available(patient):
        pytest.skip("needs MNIST; MINIDL_DATA names the folder with the real data sets")
    twin = patient.healthy()
    assert twin.disease is None and not twin.where and twin != patient
    case = minidl_zoo.build(patient)
    for path in patient.where:
        case.model.get_submodule(path)
    if patient.step is not None:
        assert patient.step < case.batches.part.inputs[0].shape[1]
    well, ill = (minidl_zoo.train(p, steps=3) for p in (twin, patient))
    assert well.diverged is None and np.isfinite(well.losses).all() and len(well.losses) == 3
    assert ill.diverged is None or patient.disease in MAY_DIVERGE
    if patient.disease == "non-finite" and not patient.done:
        assert ill.diverged == 0


def test_a_twin_has_the_same_draws():
    """What is planted is the only difference between initial values."""
    patient = NAMES["dead-mlp"]
    sick, well = draw(patient, 3), draw(patient.healthy(), 3)
    assert [name for name in sick if not np.array_equal(sick[name], well[name])] == ["2.bias"]


def test_what_is_planted_must_exist():
    with pytest.raises(ValueError, match="dead-mlp: planted: there is no parameter 3.bias, only 0.weight"):
        draw(replace(NAMES["dead-mlp"], planted=(("3.bias", "add", 1.0),)), 0)


@pytest.mark.parametrize("name", PARITY)
def test_parity_with_pytorch(name):
    """Five steps of a patient and its twin: the same losses, or both diverge at the same step."""
    torch_zoo = pytest.importorskip("zoo.torch_zoo", reason="PyTorch is not installed", exc_type=ImportError)
    for patient in (NAMES[name], NAMES[name].healthy()):
        ours, theirs = minidl_zoo.train(patient, steps=5), torch_zoo.train(patient, steps=5)
        assert ours.diverged == theirs.diverged
        np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-4, atol=1e-4)


def test_command(capsys):
    main(["--seeds", "1", "dead-first-layer"])
    out = capsys.readouterr().out
    assert "dead-first-layer" in out and out.endswith("1 of 1: the healthy reach 85 %, the sick stay 5 points below\n")
    with pytest.raises(SystemExit):
        main(["no-such-patient"])
    assert "no such patient or disease: no-such-patient" in capsys.readouterr().err
