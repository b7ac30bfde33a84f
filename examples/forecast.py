"""Twelve months ahead at once: a GRU on the airline passengers of 1949 to 1960 (Box & Jenkins 1976).

    python examples/forecast.py airline-passengers.csv --plot forecast.png

The file has the columns Month and Passengers (thousands). The last three years are for the test: the network learns
from the nine before, then forecasts twelve months from each of the 25 months that have as many behind them, every time
from what was known until then. It sees the growth from month to month: differences of logarithms, scaled by the years
that it learns from. Window, width and epochs were chosen on 1956 and 1957, with networks that knew the years before.

Seasonal naive forecasts know as much: the same months of the year before, and those times the growth in that year.
"""

import argparse

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, Standardizer, read_series, windows
from minidl.train import Trainer

PAST, AHEAD, TEST = 36, 12, 36  # months


class Network(nn.Module):
    """Reads the growth of the past months, and says that of the next ones."""

    def __init__(self, hidden=32):
        super().__init__()
        self.gru = nn.GRU(1, hidden, batch_first=True)
        self.ahead = nn.Linear(hidden, AHEAD)

    def forward(self, past):
        _, last = self.gru(past)
        return self.ahead(last[-1])


def train(growth, seed, epochs):
    """A network, trained on a series."""
    dl.manual_seed(seed)
    model = Network()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=3e-3), F.mse_loss, metrics={}, clip_norm=1.0)
    trainer.fit(DataLoader(windows(growth, PAST, AHEAD), batch_size=16, shuffle=True), epochs=epochs)
    return trainer


def show(name, errors):
    """A line of the table."""
    print(f"{name:38s} {np.abs(errors).mean():8.1f} {np.sqrt(np.square(errors).mean()):8.1f}")


def plot(path, passengers, months, networks, naive):
    """The last years, and the forecasts of the test that begin in January."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    years = 1949 + np.arange(len(passengers)) / 12
    axes.plot(years[-72:], passengers[-72:], "k.-", label="passengers")
    for i in range(0, len(months), 12):
        label = "_" if i else ""  # Matplotlib leaves out what begins so
        axes.plot(years[months[i]], naive[i], "C1--", label=label + "the same months of the year before")
        axes.plot(years[months[i]], np.mean(networks, axis=0)[i], "C0-", label=label + "GRU, mean of the runs")
        axes.fill_between(years[months[i]], np.min(networks, 0)[i], np.max(networks, 0)[i], color="C0", alpha=0.3)
    axes.set(xlabel="year", ylabel="passengers (thousands)")
    axes.legend()
    figure.savefig(path, dpi=120)


def main(file, seeds=5, epochs=100, plot_file=None):
    passengers = read_series(file, "Passengers")[:, 0]
    first = len(passengers) - TEST
    levels = np.log(passengers)
    growth = np.diff(levels)  # growth[i] leads from month i to the next
    scale = Standardizer(growth[: first - 1])
    growth = scale.transform(growth)
    past, _ = windows(growth[first - 1 - PAST :], PAST, AHEAD)[:]

    months = first + np.arange(len(past))[:, None] + np.arange(AHEAD)  # of each forecast
    truth, naive = passengers[months], passengers[months - 12]
    grown = naive * (naive.sum(axis=1) / passengers[months - 24].sum(axis=1))[:, None]
    print(f"{len(months)} forecasts of {AHEAD} months; errors, thousands: MAE     RMSE")
    show("seasonal naive", naive - truth)
    show("seasonal naive with growth", grown - truth)
    networks = []
    for seed in range(seeds):
        ahead = scale.inverse_transform(train(growth[: first - 1], seed, epochs).predict(past), column=0)
        networks.append(np.exp(levels[months[:, :1] - 1] + ahead.cumsum(axis=1)))
        show(f"GRU, seed {seed}", networks[-1] - truth)
    show("GRU, mean of the forecasts", np.mean(networks, axis=0) - truth)
    if plot_file is not None:
        plot(plot_file, passengers, months, networks, naive)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="a table with the columns Month and Passengers")
    parser.add_argument("--seeds", type=int, default=5, help="how many networks (default: 5)")
    parser.add_argument("--epochs", type=int, default=100, help="of each training (default: 100)")
    parser.add_argument("--plot", metavar="FILE", dest="plot_file", help="save a picture (needs Matplotlib)")
    main(**vars(parser.parse_args()))
