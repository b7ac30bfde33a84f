"""Numbers that are not finite, and where they come from."""

from zoo.diseases.settings import CNN, DEEP, GRU_ROWS, LSTM_ORDER, MLP, MNIST, RNN_ROWS
from zoo.networks import mlp
from zoo.patient import Patient


def born(name, half, base, network, **fields):
    """A layer makes them; `network` gets the number that makes the difference: 0, and 1 in the twin."""
    return Patient(
        f"nonfinite-{name}",
        "non-finite",
        half,
        **{**base, "network": network(0.0), "twin": {"network": network(1.0)}, **fields},
    )


def planted(name, half, base, parameter, value):
    change = {"planted": ((parameter, "first", value),), "where": (parameter.rpartition(".")[0],)}
    return Patient(f"nonfinite-{name}", "non-finite", half, **{**base, **change, "twin": {"planted": ()}})


def spoiled(name, half, base, share, value, step=None):
    change = {"done": (("spoil", share, value, step),), "step": step}
    return Patient(f"nonfinite-{name}", "non-finite", half, **{**base, **change, "twin": {"done": ()}})


EXP = Patient(
    "nonfinite-exp",
    "non-finite",
    "report",
    data=("digits",),
    done=(("scale", 1000.0),),
    network=(("linear", 64, 64), ("exp",), *mlp(64, 32, 10)),
    init=("lecun", 0.5),
    lr=0.02,
    where=("1",),
    twin=dict(done=()),
)
TAIL = mlp(64, 64, 10)
NAN, INF = float("nan"), float("inf")

PATIENTS = (
    born("log", "choose", MLP, lambda x: (("linear", 64, 64), ("relu",), ("log", x), *TAIL), where=("2",)),
    born(  # at zero, the gradient of the root is infinite times 0
        "sqrt",
        "report",
        MLP | dict(done=(("blank", 0.2),)),
        lambda x: (("linear", 64, 64), ("tanh",), ("divide_by_norm", x, 0.1), *TAIL),
        where=("2",),
    ),
    born(
        "divide",
        "choose",
        MLP | dict(lr=0.5),
        lambda x: (("divide_by_norm", 0.0, x), *TAIL),
        where=("0",),
        done=(("blank", 0.02),),
    ),
    born("log-deep", "report", MLP, lambda x: (*mlp(64, 64, 64, 64), ("relu",), ("log", x), *TAIL), where=("6",)),
    born("cnn-log", "report", CNN, lambda x: (*CNN["network"][:5], ("log", x), *CNN["network"][5:]), where=("5",)),
    EXP,
    planted("weight", "choose", DEEP, "4.weight", INF),
    planted("weight-nan", "report", MLP, "0.weight", NAN),
    planted("cnn-weight", "choose", CNN, "2.weight", INF),
    planted("gru-weight", "choose", GRU_ROWS, "gru.weight_hh_l0", NAN),
    spoiled("data", "report", MLP, 0.01, NAN),
    spoiled("mnist-data", "choose", MNIST, 0.001, INF),
    spoiled("lstm-data", "choose", LSTM_ORDER, 0.01, NAN, step=10),
    spoiled("rnn-data", "report", RNN_ROWS, 0.01, INF, step=5),
)
