"""The gradient flow as an image, by Matplotlib."""

from itertools import zip_longest

import numpy as np

from minidl.diagnose.flow import bounds_of, decades, flow_of, thinned
from minidl.diagnose.picture import shortened

BLUE, ORANGE, RED = "#2a78b5", "#d9822b", "#c0392b"
NAME, LAYERS, STEPS = 32, 60, 300  # most characters of a name, names of layers, columns of a heat map


def plot_flow(report, path):
    """Signal and weight gradient per layer, over the measured steps, and over time in recurrent layers.

    Parameters
    ----------
    report : Report
    path : str or Path
        The ending decides the format: ``.png``, ``.svg``, ``.pdf``.

    Raises
    ------
    ImportError
        If Matplotlib is missing.
    """
    from matplotlib.figure import Figure  # pyplot would cost twice the time, and want a display

    flow = flow_of(report)
    history = flow.unit == "step" and len(flow.steps) > 1
    tall = min(max(0.2 * len(flow.rows) + 1.3, 3.0), 0.2 * LAYERS)
    pairs = list(zip_longest(*[iter(flow.times)] * 2)) if len(flow.times) > 1 else [(name,) for name in flow.times]
    ratios = [tall, *[2.8] * len(pairs)]
    wide = 12.5 if history else 7 if len(flow.times) < 2 else 10
    figure = Figure(figsize=(wide, sum(ratios)), layout="constrained")
    parts = figure.subfigures(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    panels = parts[0].subplots(1, 3 if history else 1, sharey=True, squeeze=False)[0]
    draw_layers(panels[0], flow)
    if history:
        draw_steps(panels[1], flow, "signal")
        draw_steps(panels[2], flow, "gradient")
    if flow.rows:
        parts[0].legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", fontsize=8, ncols=2)
    for part, names in zip(parts[1:], pairs, strict=True):
        for axes, name in zip(part.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            axes.set_visible(name is not None)
            if name is not None:
                draw_time(axes, flow, name)
    figure.savefig(path, dpi=120)


def draw_layers(axes, flow):
    """A line per layer, the first at the top: what comes back to it, and what its weights get."""
    places = np.arange(len(flow.rows))
    for quantity, label, color, marker, shift in (
        ("signal", "signal |dE/dy| per sample", BLUE, "o-", 0.0),
        ("gradient", "weight gradient |dE/dW|", ORANGE, "s--", 0.08),
    ):
        values = flow.now(quantity)
        drawn = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        axes.plot(drawn, places, marker, color=color, markersize=4, linewidth=1.2, label=label)
        for x, odd, text in (
            (0.02, values == 0, "0"),
            (0.02, np.isnan(values), "NaN"),
            (0.85, np.isinf(values), "Inf"),
        ):
            for y in places[odd]:
                where = axes.get_yaxis_transform()
                axes.text(x + shift, y, text, color=color, fontsize=7, va="center", transform=where)
    low, high = decades(flow.now("signal"), flow.now("gradient"))
    axes.set(xscale="log", xlim=(10.0**low, 10.0**high), xlabel=f"norm ({flow.when})")
    axes.set_title("Gradient flow", pad=14)
    for bound, text in zip(flow.bounds or (), ("vanished", "exploded"), strict=False):
        if 10.0**low < bound < 10.0**high:
            axes.axvline(bound, color="grey", linestyle=":", linewidth=1)
            where = axes.get_xaxis_transform()
            axes.text(bound, 1.0, text, fontsize=7, color="grey", ha="center", va="bottom", transform=where)
    every = -(-len(flow.rows) // LAYERS)
    shown = range(0, len(flow.rows), max(every, 1))
    axes.set_yticks(shown, [shortened(flow.rows[i].title, NAME) for i in shown], fontsize=8)
    axes.set_ylim(max(len(flow.rows), 1) - 0.5, -0.5)
    for i, label in zip(shown, axes.get_yticklabels(), strict=True):
        if flow.rows[i].diseases:
            label.set(color=RED, fontweight="bold")
    for i, row in enumerate(flow.rows):
        if row.diseases:
            axes.axhspan(i - 0.5, i + 0.5, color=RED, alpha=0.1, linewidth=0)
    axes.grid(alpha=0.25)


def draw_steps(axes, flow, quantity):
    """A heat map of layers by steps; grey where there is no number."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    table = flow.table(quantity)
    low, high = decades(table)
    cells = np.array([thinned(values, STEPS) for values in table])
    cells = np.where(cells < 0, np.nan, cells)
    cells = np.where(cells == 0, 10.0**low, np.where(np.isposinf(cells), 10.0**high, cells))
    colors = colormaps["viridis"].with_extremes(bad="#bbbbbb")
    extent = (flow.steps[0], flow.steps[-1], len(flow.rows) - 0.5, -0.5)
    image = axes.imshow(
        np.ma.masked_invalid(cells), cmap=colors, norm=LogNorm(10.0**low, 10.0**high), aspect="auto", extent=extent,
        interpolation="nearest",
    )  # fmt: skip
    axes.set(xlabel="training step", title=f"{'Signal' if quantity == 'signal' else 'Weight gradient'} over steps")
    axes.tick_params(labelleft=False)
    axes.figure.colorbar(image, ax=axes, pad=0.02).ax.tick_params(labelsize=8)


def draw_time(axes, flow, name):
    """The norm of dE/dh_t over t, and the slopes beyond which it counts as vanishing or exploding."""
    norms = flow.times[name]
    steps = np.arange(len(norms))
    drawn = np.where(np.isfinite(norms) & (norms > 0), norms, np.nan)
    axes.plot(steps, drawn, ".-" if len(norms) <= 60 else "-", color=BLUE, linewidth=1.2)
    low, high = decades(norms)
    for (text, at, bound), style in zip(bounds_of(norms), (":", "-."), strict=False):
        axes.plot(at, bound, style, color="grey", linewidth=1, label=text)
    if name in flow.begins:
        time, disease = flow.begins[name]
        axes.axvline(time, color=RED, linestyle="--", linewidth=1, label=f"{disease} begins at step {time}")
    axes.set(yscale="log", ylim=(10.0**low, 10.0**high), xlabel="time step t", ylabel="|dE/dh$_t$|")
    axes.set_title(shortened(name, 60))
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, loc="best")
