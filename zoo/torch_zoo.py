"""Patients in PyTorch; the same declarations, initial values and batches as in minidl."""

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F

from zoo.datasets import Batches, parts, score
from zoo.networks import RECURRENT
from zoo.training import Case, History, parameter_groups
from zoo.weights import draw


class Function(nn.Module):
    """A layer without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Residual(nn.Module):
    """x + scale * body(x)."""

    def __init__(self, scale, layers):
        super().__init__()
        self.scale, self.body = scale, nn.Sequential(*map(module, layers))

    def forward(self, x):
        return x + self.scale * self.body(x)


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
        outputs, _ = getattr(self, self.kind)(x)
        if self.last:
            outputs = outputs[:, -1] if lengths is None else outputs[torch.arange(len(x)), lengths - 1]
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
    "mean": lambda: Function(lambda x: x.mean((2, 3))),
    "identity": nn.Identity,
    "detach": lambda: Function(lambda x: x.detach()),
    "exp": lambda: Function(torch.exp),
    "log": lambda shift: Function(lambda x: torch.log(x + shift)),
    "divide_by_norm": lambda root, eps: Function(lambda x: x / (torch.sqrt((x * x).sum(1, keepdim=True) + root) + eps)),
    "residual": Residual,
}
OPTIMIZERS = {
    "sgd": optim.SGD,
    "momentum": lambda groups: optim.SGD(groups, momentum=0.9),
    "adam": optim.Adam,
}
LOSSES = {
    "cross_entropy": lambda output, target: F.cross_entropy(output.flatten(0, -2), target.flatten()),
    "minus_cross_entropy": lambda output, target: -F.cross_entropy(output, target),
    "nll": F.nll_loss,
    "mse": F.mse_loss,
}


def module(layer):
    """The module for a description of a layer."""
    return LAYERS[layer[0]](*layer[1:])


def build(patient, seed=0):
    """A patient with its initial values, as `minidl_zoo.build`; batches are of NumPy arrays."""
    model = (
        Reader(patient.network) if patient.network[0][0] in RECURRENT else nn.Sequential(*map(module, patient.network))
    )
    parameters = dict(model.named_parameters())
    values = draw(patient, seed)
    with torch.no_grad():
        for name in parameters | values:
            parameters[name].copy_(torch.from_numpy(values[name]))
    for path in patient.frozen:
        model.get_submodule(path).requires_grad_(False)
    train, test = parts(patient)
    optimizer = OPTIMIZERS[patient.optimizer](parameter_groups(patient, parameters))
    return Case(model, LOSSES[patient.loss], optimizer, Batches(train, patient.batch, patient.steps, seed), test)


def train(patient, seed=0, steps=None):
    """Train a patient, as `minidl_zoo.train`."""
    case = build(patient, seed)
    weights = list(case.model.parameters())
    losses, diverged = [], None
    for i, batch in zip(range(len(case.batches) if steps is None else steps), case.batches, strict=False):
        *inputs, target = map(torch.from_numpy, batch)
        case.optimizer.zero_grad()
        loss = case.loss_fn(case.model(*inputs), target)
        if loss.requires_grad:
            loss.backward()
        gradients = [p.grad for p in weights if p.grad is not None]
        if not all(bool(values.isfinite().all()) for values in (loss, *gradients)):
            diverged = i
            break
        losses.append(loss.item())
        if patient.clip is not None:
            nn.utils.clip_grad_norm_(weights, patient.clip)
        case.optimizer.step()
    return History(losses, diverged, *examine(case))


def examine(case):
    """Loss and score on the test set."""
    case.model.eval()
    with torch.no_grad(), np.errstate(all="ignore"):
        output = case.model(*map(torch.from_numpy, case.test.inputs))
        loss = float(case.loss_fn(output, torch.from_numpy(case.test.target)))
    case.model.train()
    return loss, score(output.numpy(), case.test.target)
