"""The report of a diagnosis or of a training as one HTML file that needs nothing else."""

import platform
import time
from html import escape
from pathlib import Path

import numpy as np

import minidl
from minidl.diagnose.flow import bounds_of, flow_of
from minidl.diagnose.flow_svg import heat, profile
from minidl.diagnose.svg import curves, tag
from minidl.diagnose.tables import layers, nodes

STYLE = Path(__file__).with_name("report.css")
NOTE = (
    "The signal of a layer is the Euclidean norm of the loss's gradient by its output, per sample; where the lines for "
    "'vanished' and 'exploded' stand follows from that of the last layer. The weight gradient is the norm over all "
    "parameters of a layer in the figures, biases among them; norm, gradient and update in the table are those of its "
    "first weight. Zeros and saturated: shares of the outputs; dead: share of the units that are 0 for every sample."
)


def page(report, history=None, step=None):
    """The page as text; see `Report.save_html`."""
    flow = flow_of(report)
    name = "a model" if report.model is None else type(report.model).__name__
    body = tag(
        "main",
        head(report, name),
        section("Verdicts", *verdicts(report)),
        section("Curves", figures(*loss_figures(report, history))),
        section("Gradient flow", figures(*flow_figures(flow))),
        section("Layers", layers(report, flow)),
        section("The recorded step", "" if step is None or step.last is None else nodes(step.listing())),
        tag("footer", NOTE),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>minidl: {escape(name)}</title><style>\n{STYLE.read_text(encoding='utf-8')}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def section(title, *content):
    """A heading and what belongs to it; nothing where there is nothing."""
    return tag("section", tag("h2", title), *content) if any(content) else ""


def card(title, *content, class_="card"):
    """A box with a heading."""
    return tag("div", tag("h3", escape(title)), *content, class_=class_)


def figures(*found):
    """Pairs of title and SVG, side by side where there is room."""
    return tag("div", *[card(title, svg) for title, svg in found], class_="figures") if found else ""


def head(report, name):
    """What was trained, with what, when."""
    sizes = [int(np.prod(p.shape)) for p in report.evidence.parameters]
    facts = {"parameters": f"{sum(sizes):,} in {len(sizes)} arrays"}
    details = "" if report.model is None else str(report.model)
    if report.optimizer is not None:
        rates = sorted({group["lr"] for group in report.optimizer.param_groups})
        facts["optimizer"] = f"{type(report.optimizer).__name__}, learning rate {', '.join(f'{r:.3g}' for r in rates)}"
        details += f"\n\n{report.optimizer!r}"
    if report.evidence.step:
        facts["training steps"] = f"{report.evidence.step:,}"
    facts["date"] = time.strftime("%Y-%m-%d %H:%M")
    facts["versions"] = (
        f"minidl {minidl.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{minidl.get_num_threads()} threads"
    )
    items = [tag("li", tag("b", title), escape(text)) for title, text in facts.items()]
    folded = tag("details", tag("summary", "model and optimizer"), tag("pre", escape(details))) if details else ""
    return tag("header", tag("h1", escape(name)), tag("ul", *items, class_="facts"), folded)


def verdicts(report):
    """A box each."""
    if report.healthy:
        return [card(report.summary, class_="card good")]
    return [verdict_card(verdict) for verdict in report.verdicts]


def verdict_card(verdict):
    """What is wrong, where and since when, the numbers, and what may help."""
    since = f", since step {verdict.step}" if verdict.step else ""
    parts = [tag("span", f"{verdict.certainty:.0%} sure{since}", class_="sure"), tag("h3", escape(verdict.disease))]
    parts.append(tag("p", escape(verdict.text)))
    facts = [f"{name} = {value:.4g}" for name, value in verdict.evidence.items()]
    if verdict.layers:
        facts.insert(0, f"at {', '.join(verdict.layers)}")
    if verdict.time is not None:
        facts.insert(0, f"from time step {verdict.time}")
    if facts:
        parts.append(tag("p", escape("; ".join(facts)), class_="soft"))
    if verdict.prescriptions:
        items = [tag("li", escape(str(prescription))) for prescription in verdict.prescriptions]
        parts += [tag("p", "What may help, the best first:"), tag("ol", *items)]
    return tag("div", *parts, class_="card bad")


def loss_figures(report, history):
    """Curves over the training steps and over the epochs."""
    losses = report.evidence.losses
    found = []
    if report.evidence.step and len(losses) > 1:
        steps = np.arange(report.evidence.step - len(losses), report.evidence.step) + 1
        finite = losses[np.isfinite(losses)]
        log = bool(len(finite)) and finite.min() > 0 and finite.max() > 20 * finite.min()
        found.append(("Loss of each training step", curves([("loss", steps, losses)], "training step", "loss", log)))
    names = [] if history is None or not len(history) else [n for n in history.history if not n.startswith("val_")]
    for name in names:
        series = [
            (label, np.array(history.epoch), np.array(history[key], np.float64))
            for label, key in (("training", name), ("validation", f"val_{name}"))
            if key in history.history
        ]
        title = "Learning rate" if name == "lr" else f"{name.capitalize()} of each epoch"
        found.append((title, curves(series, "epoch", name)))
    return found


def flow_figures(flow):
    """Over the layers, over the steps and over time."""
    found = [("By layer", profile(flow))] if flow.rows else []
    if flow.rows and flow.unit == "step" and len(flow.steps) > 1:
        found.append(("Signal over the steps", heat(flow, "signal")))
        found.append(("Weight gradient over the steps", heat(flow, "gradient")))
    for name, norms in flow.times.items():
        begins = flow.begins.get(name)
        mark = None if begins is None else (begins[0], f"{begins[1]} begins")
        series = [("|dE/dh_t|", np.arange(len(norms)), norms)]
        svg = curves(series, "time step t", "|dE/dh_t|", log=True, bounds=bounds_of(norms), mark=mark)
        found.append((f"Over time in {name}", svg))
    return found
