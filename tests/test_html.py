"""The HTML report: it is whole, needs nothing from elsewhere, and says what the report says."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from reports import report

import minidl as dl
from minidl import diagnose, nn, optim
from minidl import functional as F
from minidl.diagnose.html import page
from minidl.train import Trainer
from minidl.train.history import History

VOID = {"meta"}


class Reader(HTMLParser):
    """Checks that elements are closed in order; collects texts, attributes and elements."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.attributes, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    text = property(lambda self: " ".join(self.texts))


def trained(names=("0", "2"), every=2):
    """A small network after ten recorded steps, its monitor and its trainer."""
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = Trainer(model, optimizer, monitor=diagnose.Monitor(model, optimizer, every=every))
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((8, 4)).astype(np.float32), rng.integers(0, 3, 8)) for _ in range(5)]
    return trainer, trainer.fit(batches, batches[:2], epochs=2, progress=False)


def test_a_whole_page(tmp_path):
    trainer, history = trained()
    trainer.monitor.report().save_html(tmp_path / "report.html", history, trainer.training_step)
    read = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    for text in ("Sequential", "67 in 4 arrays", "Adam, learning rate 0.01", dl.__version__, "training steps"):
        assert text in read.text
    for title in ("Verdicts", "Curves", "Gradient flow", "Layers", "The recorded step", "Signal over the steps"):
        assert title in read.texts
    assert (
        "Loss of each epoch" in read.texts and "Accuracy of each epoch" in read.texts and "Learning rate" in read.texts
    )
    assert read.tags.count("svg") == 7 and "cross_entropy" in read.texts and "8 x 4" in read.texts
    assert {"forward", "backward", "update", "probe"} <= set(read.texts)


def test_nothing_comes_from_elsewhere():
    trainer, history = trained()
    text = page(trainer.monitor.report(), history, trainer.training_step)
    read = Reader(text)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(read.tags)
    assert not {"src", "href", "xlink:href"} & {name for name, _ in read.attributes}
    assert not re.search(r"https?:|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_names_and_texts_are_escaped():
    name = '<script>alert("1")</script>'
    made = report([1e-9, 1.0], names=[name, "b&b"], sick=[name], times={f"{name}.l0": np.ones(4)}, time=2, steps=(1,))
    made.verdicts[0].prescriptions.append("try <b>this</b>")
    made.verdicts[0].evidence["<i>"] = 1.0

    class Odd(nn.Module):
        def extra_repr(self):
            return "</pre><script>"

    made.model = Odd()
    read = Reader(page(made))
    assert not {"script", "b&b", "vanishes"} & set(read.tags) and "i" not in read.tags
    for text in (name, "it <vanishes> & more", "try <b>this</b>", "<i> = 1", "</pre><script>"):
        assert text in read.text


def test_verdicts_are_shown_with_their_numbers():
    made = report([1e-9, 1.0], sick=["layer0"], times={"layer0.l0": np.ones(4)}, time=2)
    read = Reader(page(made))
    for text in (
        "vanishing",
        "90% sure, since step 1",
        "from time step 2; at layer0; ratio = 1e-09",
        "vanishing begins",
    ):
        assert text in read.text
    assert "healthy: nothing found" not in read.text
    assert "healthy: nothing found" in Reader(page(report([1.0, 1.0]))).text


def test_odd_numbers_draw_no_odd_figures():
    signals = [[np.nan, np.inf, 0.0, 1e-300], [1e30, 1e-30, 1.0, 1.0]]
    made = report(signals, steps=(1, 2, 3, 4), times={"a.l0": np.array([0.0, np.nan, np.inf]), "b.l0": np.zeros(2)})
    made.evidence.losses = np.array([1e30, np.inf, np.nan, -1.0, 0.0])
    history = History()
    history.append(1, {"loss": np.nan, "accuracy": 0.5, "lr": 0.0})
    text = page(made, history)
    Reader(text)
    drawn = " ".join(re.findall(r'(?: d| x| y|x1|y1|x2|y2|cx|cy|width|height)="([^"]*)"', text))
    assert "nan" not in drawn and "inf" not in drawn


@pytest.mark.parametrize("layers", [1, 60])
def test_all_layers_are_in_the_figures(layers):
    made = report(np.ones((layers, 3)), steps=(1, 2, 3))
    text = page(made)
    assert text.count("<circle") == 2 * layers
    assert all(text.count(f"layer{i}: linear") >= 3 for i in range(layers))


def test_a_report_without_anything():
    empty = report([1.0], training=False)
    empty.evidence.layers, empty.evidence.parameters = [], []
    read = Reader(page(empty))
    assert "0 in 0 arrays" in read.text and "svg" not in read.tags


def test_a_page_of_an_examination():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((8, 4)).astype(np.float32), rng.integers(0, 3, 8)
    found = diagnose.examine(model, F.cross_entropy, batch, optim.SGD(model.parameters(), lr=0.1))
    read = Reader(page(found))
    assert "one batch" in read.texts and "training steps" not in read.texts and "SGD, learning rate 0.1" in read.text
