"""What `fit` returns."""


class History:
    """The figures of every finished epoch.

    Attributes
    ----------
    epoch : list of int
        1, 2, ...
    history : dict of str to list of float
        One list per figure: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``, ``lr``.
    interrupted : bool
        Whether Ctrl-C ended the run.

    Examples
    --------
    >>> history = trainer.fit(loader, validation, epochs=10)
    >>> history["val_loss"][-1]
    """

    def __init__(self):
        self.epoch, self.history, self.interrupted = [], {}, False

    def append(self, epoch, logs):
        """Add the figures of one epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __getitem__(self, name):
        return self.history[name]

    def __len__(self):
        return len(self.epoch)

    def __repr__(self):
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self)} epochs{': ' + last if last else ''})"
