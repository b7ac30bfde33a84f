"""Patients in minidl."""

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.engine import as_tensor
from zoo.datasets import Batches, parts, score
from zoo.networks import RECURRENT
from zoo.training import Case, History, parameter_groups
from zoo.weights import draw


class Function(nn.Module):
    """A layer without parameters."""

    def __init__(self, name, function):
        super().__init__()
        self.name, self.function = name, function

    def forward(self, x):
        return self.function(as_tensor(x))

    def extra_repr(self):
        return self.name


class Reader(nn.Module):
    """A recurrent layer under the name of its kind, and a head; called with sequences, and perhaps their lengths."""

    def __init__(self, network):
        super().__init__()
        (kind, *sizes), *last, head = network
        self.kind, self.last = kind.split("_")[0], bool(last)
        options = {"nonlinearity": "relu"} if kind == "rnn_relu" else {}
        layer = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[self.kind]
        setattr(self, self.kind, layer(*sizes, batch_first=True, **options))
        self.head = module(head)

    def forward(self, x, lengths=None):
        outputs, state = getattr(self, self.kind)(x, lengths=lengths)
        if self.last:
            outputs = (state[0] if self.kind == "lstm" else state)[0]
        return self.head(outputs)


LAYERS = {
    "linear": nn.Linear,
    "conv": lambda inputs, outputs, kernel: nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softmax": lambda: nn.Softmax(-1),
    "max_pool": nn.MaxPool2d,
    "batch_norm": nn.BatchNorm1d,
    "batch_norm2d": nn.BatchNorm2d,
    "layer_norm": nn.LayerNorm,
    "mean": lambda: Function("mean", lambda x: x.mean((2, 3))),
    "identity": nn.Identity,
    "detach": lambda: Function("detach", lambda x: x.detach()),
    "exp": lambda: Function("exp", F.exp),
    "log": lambda shift: Function(f"log(x + {shift})", lambda x: F.log(x + shift)),
    "divide_by_norm": lambda root, eps: Function(
        "x / |x|", lambda x: x / (F.sqrt((x * x).sum(1, keepdim=True) + root) + eps)
    ),
    "residual": lambda scale, layers: nn.Residual(*map(module, layers), scale=scale),
}
OPTIMIZERS = {
    "sgd": optim.SGD,
    "momentum": lambda groups: optim.SGD(groups, momentum=0.9),
    "adam": optim.Adam,
}
LOSSES = {
    "cross_entropy": lambda output, target: F.cross_entropy(flat(output), target.reshape(-1)),
    "minus_cross_entropy": lambda output, target: -F.cross_entropy(output, target),
    "nll": F.nll_loss,
    "mse": F.mse_loss,
}


def flat(output):
    """Answers at every step of every sequence as one batch."""
    return output.reshape(-1, output.shape[-1])


def module(layer):
    """The module for a description of a layer."""
    return LAYERS[layer[0]](*layer[1:])


def build(patient, seed=0):
    """A patient with its initial values.

    Returns
    -------
    Case
        ``model, loss_fn, optimizer, batches, test``; a batch is (inputs ..., target), and its loss
        ``loss_fn(model(*inputs), target)``.
    """
    model = (
        Reader(patient.network) if patient.network[0][0] in RECURRENT else nn.Sequential(*map(module, patient.network))
    )
    parameters = dict(model.named_parameters())
    values = draw(patient, seed)
    for name in parameters | values:
        parameters[name].numpy()[...] = values[name]
    for path in patient.frozen:
        model.get_submodule(path).requires_grad_(False)
    train, test = parts(patient)
    optimizer = OPTIMIZERS[patient.optimizer](parameter_groups(patient, parameters))
    return Case(model, LOSSES[patient.loss], optimizer, Batches(train, patient.batch, patient.steps, seed), test)


def recorded_step(case, clip):
    """A training step: of a batch, it gives output and loss."""

    @dl.record
    def step(*batch):
        *inputs, target = batch
        case.optimizer.zero_grad()
        output = case.model(*inputs)
        loss = case.loss_fn(output, target)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(case.model.parameters(), clip)
        case.optimizer.step()
        return output, loss

    return step


def train(patient, seed=0, steps=None):
    """Train a patient.

    Parameters
    ----------
    patient : Patient
    seed : int
    steps : int, optional
        Fewer than the patient has.

    Returns
    -------
    History
    """
    case = build(patient, seed)
    step = recorded_step(case, patient.clip)
    losses, diverged = [], None
    for i, batch in zip(range(len(case.batches) if steps is None else steps), case.batches, strict=False):
        try:
            losses.append(float(step(*batch)[1]))
        except FloatingPointError:
            diverged = i
            break
    return History(losses, diverged, *examine(case))


def examine(case):
    """Loss and score on the test set."""
    case.model.eval()
    with dl.no_grad(), np.errstate(all="ignore"):
        output = case.model(*case.test.inputs)
        loss = float(case.loss_fn(output, dl.tensor(case.test.target)))
    case.model.train()
    return loss, score(output.numpy(), case.test.target)
