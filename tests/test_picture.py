"""The gradient flow as text and as an image: against the numbers it is drawn from."""

import numpy as np
import pytest
from reports import report

import minidl as dl
from minidl import diagnose, nn, optim
from minidl import functional as F
from minidl.diagnose.flow import MISSING, bounds_of, decades, flow_of, mean, number, thinned
from minidl.diagnose.picture import bar, shortened

LONG = "encoder.blocks.with_a_very_long_name.and_another_one"


def line_of(picture, name):
    """The first line about a layer."""
    return next(line for line in picture.splitlines() if name in line)


@pytest.mark.parametrize("width", [40, 57, 80, 100, 200])
@pytest.mark.parametrize("layers", [1, 3, 30])
def test_no_line_is_wider_than_asked_for(width, layers):
    steps = tuple(range(1, 400, 10))
    signals = np.logspace(-12, 0, layers)[:, None] * np.ones(len(steps))
    times = {f"{LONG}.l0": np.logspace(-9, 0, 300), "rnn.l1": np.logspace(-3, 0, 7)}
    names = [f"{LONG}.{i}" for i in range(layers)]
    made = report(signals, steps=steps, names=names, sick=[names[0], LONG], times=times, time=5)
    lines = made.picture(width).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(f".{layers - 1}: linear" in line for line in lines) == 2  # its end tells a layer from others
    assert len(lines) > 2 * layers + 16


def test_bars_grow_with_the_logarithm():
    text = report([1e-8, 1e-4, 1.0], training=False).picture(100)
    lengths = [line_of(text, f"layer{i}").split()[3].count("█") for i in range(3)]
    assert abs(lengths[2] - 2 * lengths[1]) <= 1 and lengths[0] <= 1 < 10 < lengths[1]


def test_verdicts_and_bounds_are_marked():
    text = report([1e-8, 1e-4, 1.0], sick=["layer1"]).picture(100)
    assert line_of(text, "layer1").startswith("▶ layer1") and line_of(text, "layer1").endswith("vanishing")
    assert line_of(text, "layer0").startswith("  ") and "┊" in line_of(text, "layer0")  # has vanished
    assert "┊" not in line_of(text, "layer2")


def test_numbers_that_are_none_are_said():
    text = report([np.nan, np.inf, 0.0, 1e-3], [1.0, 0.0, np.nan, np.inf]).picture(100)
    for name, values in (
        ("layer0", "NaN 1.0e+00"),
        ("layer1", "Inf 0"),
        ("layer2", "0 NaN"),
        ("layer3", "1.0e-03 Inf"),
    ):
        assert [word for word in line_of(text, name).split() if word[0].isalnum()][2:] == values.split()


def test_what_was_not_measured_is_left_out():
    made = report([1e-3, 1e-3])
    made.evidence.layers[0].signal = made.evidence.layers[0].signal[:0]
    made.evidence.parameters[1].rows["nonfinite"] = np.nan
    flow = flow_of(made)
    assert flow.now("signal").tolist() == [MISSING, 1e-3] and flow.now("gradient").tolist() == [1e-3, MISSING]
    assert line_of(made.picture(80), "layer0").split()[2] == "-"


def test_history_shows_every_kind_of_number():
    values = [[1e-9, 1e-3, 1.0, 0.0, np.nan, np.inf]]
    text = report(values, steps=(1, 2, 3, 4, 5, 6)).picture(80)
    assert text.splitlines()[-1].split()[-1] == "▁▆█·×!"


def test_time_is_drawn_over_time():
    times = {"rnn.l0": np.array([0.0, np.nan, 1e-4, 1e-2, 1.0])}
    made = report([1.0], names=["rnn"], times=times, sick=["rnn"], time=3)
    lines = made.picture(80).splitlines()
    top, bottom = (next(line for line in lines if line.strip().startswith(tick)) for tick in ("1e+0", "1e-4"))
    assert top.split("┤")[1].split() == ["██████"[:6]] and top.endswith("█")
    assert bottom.split("┤")[1][::6] == "·×▁██"
    arrow = lines[-1]
    assert "vanishing begins at step 3" in arrow and arrow.index("▲") == bottom.index("┤") + 1 + 18


def test_nothing_measured_and_narrow_terminals():
    empty = report([1.0])
    empty.evidence.layers = []
    assert empty.picture(80) == "no gradient flow: nothing was measured"
    with pytest.raises(ValueError, match="picture: width: got 39, expected at least 40"):
        empty.picture(39)


def test_show_prints_where_there_are_no_blocks(monkeypatch, capfdbinary):
    import io
    import sys

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    report([1e-8, 1.0], sick=["layer0"]).show()
    stream.flush()
    assert b"VANISHING (90% sure since step 1)" in stream.buffer.getvalue()


def test_a_batch_is_no_step():
    made = report([[1.0, 100.0]], steps=(1, 2), training=False)
    flow = flow_of(made)
    assert flow.unit == "batch" and flow.when == "mean of 2 batches" and np.allclose(flow.now("signal"), 10)
    assert "over the steps" not in made.picture(80)


def test_recurrences_and_their_products_are_one_layer():
    dl.manual_seed(0)
    model = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    x = np.random.default_rng(0).standard_normal((6, 5, 3)).astype(np.float32)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found = diagnose.examine(
        model, lambda y, target: F.mse_loss(y[0], target), (x, np.ones((6, 5, 8), np.float32)), optimizer
    )
    flow = flow_of(found)
    assert [row.title for row in flow.rows] == [f"LSTM: lstm{again}" for again in ("", " (2)", " (3)", " (4)")]
    assert set(flow.times) == {".l0", ".l0_reverse", ".l1", ".l1_reverse"}
    rows = {p.name: p.rows["gradient"][0] for p in found.evidence.parameters}
    whole = sum(value**2 for name, value in rows.items() if "weight" in name)  # biases are added up before
    assert np.isclose((flow.now("gradient") ** 2).sum(), whole, rtol=1e-6)


def test_helpers():
    assert decades([1e-3, 5.0]) == (-3, 1) and decades([np.nan, 0.0, np.inf]) == (-4, 0) and decades([1.0]) == (-4, 0)
    assert [number(v) for v in (np.nan, np.inf, 0.0, MISSING, 12345.0)] == ["NaN", "Inf", "0", "-", "1.2e+04"]
    assert (
        mean(np.array([0.0, 0.0])) == 0
        and np.isnan(mean(np.array([1, np.nan])))
        and np.isclose(mean(np.array([1, 100.0])), 10)
    )
    assert (
        thinned(np.array([1.0, 100.0, 1.0, 1.0]), 2).round(9).tolist() == [10, 1] and len(thinned(np.ones(7), 3)) == 3
    )
    assert shortened("abcdef", 4) == "…def" and shortened("abc", 3) == "abc"
    assert bar(1.0, -4, 0, 5) == "█████" and bar(1e-9, -4, 0, 5) == "▏    " and bar(np.inf, -4, 0, 5) == "████▶"
    assert bounds_of(np.zeros(3)) == [] and bounds_of(np.array([1.0, np.inf])) == []


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("layers", [1, 30, 130])
def test_images_are_written(tmp_path, ending, layers):
    pytest.importorskip("matplotlib")
    steps = (1, 11, 21)
    signals = np.logspace(-12, 0, layers)[:, None] * np.ones(3)
    signals[0, 1:] = np.nan, np.inf
    times = {"layer0.l0": np.array([0.0, np.nan, 1e-4, 1.0]), "layer0.l1": np.zeros(3), "layer0.l2": np.ones(1)}
    made = report(signals, steps=steps, sick=["layer0"], times=times, time=2)
    path = tmp_path / f"flow.{ending}"
    made.plot(path)
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") if ending == "png" else b"<svg" in path.read_bytes() and b"<?xml" in start


def test_images_of_nothing_and_of_a_batch(tmp_path):
    pytest.importorskip("matplotlib")
    empty = report([1.0], training=False)
    empty.plot(tmp_path / "one.png")
    empty.evidence.layers = []
    empty.plot(tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 1000


def test_a_missing_matplotlib_is_an_import_error(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="matplotlib"):
        report([1.0]).plot(tmp_path / "flow.png")
