"""Initial values that look at the model: LeNet-5 and a batch of 64 images."""

import functools
import math

import numpy as np

import minidl as dl
from minidl import models
from minidl.nn import init


class Model:
    """One call for the whole model."""

    params = [["match_", "lsuv_"]]
    param_names = ["function"]

    def setup(self, function):
        dl.manual_seed(0)
        self.model = models.lenet5()
        x = np.random.default_rng(0).standard_normal((64, 1, 28, 28)).astype("float32")
        self.call = functools.partial(getattr(init, function), self.model, x)
        before = self.model.fc3.weight.numpy().copy()
        self.call()
        assert (self.model.fc3.weight.numpy() != before).all()

    def time_init(self, function):
        self.call()


class MeanField:
    """The critical point of tanh."""

    def setup(self):
        assert abs(init.critical("tanh", math.sqrt(0.05)).weight_var - 1.7610) < 1e-4

    def time_critical(self):
        init.critical("tanh", math.sqrt(0.05))
