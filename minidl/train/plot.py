"""Curves of a run, and of a range test."""


def plot_curves(history, path):
    """Loss, and accuracy where there is one, over the epochs, for the training and the validation data.

    Parameters
    ----------
    history : History
    path : str or Path
        The ending decides the format: ``.png``, ``.svg``, ``.pdf``.

    Raises
    ------
    ImportError
        If Matplotlib is missing.
    """
    from matplotlib.figure import Figure  # pyplot would cost twice the time, and want a display
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    names = [name for name in ("loss", "accuracy") if name == "loss" or name in history.history]
    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in history.history:
                axes.plot(history.epoch, history[key], ".-", label=label)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    if history.history.get("loss") and min(history["loss"]) > 0:
        figure.axes[0].set_yscale("log")
        for set_formatter in (figure.axes[0].yaxis.set_major_formatter, figure.axes[0].yaxis.set_minor_formatter):
            set_formatter(ScalarFormatter())
    figure.savefig(path, dpi=120)


def plot_range_test(found, path):
    """Loss over the learning rate, with the suggestion and where the loss diverged.

    Parameters
    ----------
    found : RangeTest
    path : str or Path
        As for `plot_curves`.

    Raises
    ------
    ImportError
        If Matplotlib is missing.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(found.lrs, found.losses)
    for rate, label, style in ((found.suggestion, "suggestion", "--"), (found.diverged, "divergence", ":")):
        if rate is not None:
            axes.axvline(rate, color="grey", linestyle=style, label=f"{label}: {rate:.2g}")
    axes.set(xlabel="learning rate", ylabel="loss", xscale="log")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    figure.savefig(path, dpi=120)
