"""What is declared about a patient; nothing here belongs to a framework."""

from dataclasses import dataclass, field, replace

DISEASES = (
    "vanishing",
    "exploding",
    "dead units",
    "saturation",
    "initialisation scale",
    "learning rate too high",
    "learning rate too low",
    "non-finite",
    "no signal from the data",
    "label or loss mismatch",
    "masked-out sequences",
    "frozen layer",
)


@dataclass(frozen=True)
class Patient:
    """A small network, its data and its training, with one disease.

    Attributes
    ----------
    name : str
    disease : str or None
        One of `DISEASES`; None in a healthy twin.
    half : {"choose", "report"}
        Which half of the zoo: thresholds are chosen on one and reported on the other.
    network : tuple
        Descriptions of layers, see `networks`. Layer i has the path ``"i"``, as in a Sequential; where the first is
        recurrent, the paths are its kind, such as ``"lstm"``, and ``"head"``.
    data : tuple
        Name of the data set and its arguments, see `datasets`.
    done : tuple of tuple
        What has been done to the data, in order.
    where : tuple of str
        Paths of the layers that are ill, the nearest to the input first; empty where the whole network is, or none.
    step : int or None
        The time step from which it shows, where there is one.
    also : tuple of str
        Other diseases that are just as true.
    init : tuple
        Scheme of the initial weights of linear and convolution layers, see `weights`.
    planted : tuple of tuple
        What has been done to initial values: (parameter, operation, value).
    loss : str
    optimizer : {"sgd", "momentum", "adam"}
        Momentum is SGD with 0.9.
    lr : float
    rates : tuple of (str, float)
        Learning rates of their own, by the path of a layer.
    clip : float or None
        Largest norm of all gradients together.
    frozen : tuple of str
        Paths of the layers whose parameters want no gradient.
    batch, steps : int
        Samples in a batch, and batches of the training.
    twin : dict
        The fields in which the healthy twin differs.
    """

    name: str
    disease: str | None
    half: str
    network: tuple
    data: tuple
    twin: dict = field(hash=False)
    done: tuple = ()
    where: tuple[str, ...] = ()
    step: int | None = None
    also: tuple[str, ...] = ()
    init: tuple = ("he",)
    planted: tuple = ()
    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    lr: float = 0.1
    rates: tuple = ()
    clip: float | None = None
    frozen: tuple[str, ...] = ()
    batch: int = 64
    steps: int = 600

    def healthy(self):
        """The twin: the same but for what makes this one ill."""
        well = dict(name=f"{self.name}, healthy", disease=None, where=(), step=None, also=(), twin={})
        return replace(self, **well, **self.twin)
