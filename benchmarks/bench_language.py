"""Models of characters, hidden size 128: training on 32 streams of 64 steps, and writing."""

import numpy as np

import minidl as dl
from minidl import models, optim
from minidl.data import TextSequences
from minidl.train import LanguageTrainer, generate

CHARACTERS = 65


class Training:
    """An epoch of ten steps, with the state carried on."""

    params = [["lstm", "gru", "rnn"]]
    param_names = ["cell"]

    def setup(self, cell):
        dl.manual_seed(0)
        ids = np.arange(32 * 640 + 1) % CHARACTERS
        self.sequences = TextSequences(ids, 64, 32)
        model = models.char_lm(CHARACTERS, hidden=128, cell=cell)
        self.trainer = LanguageTrainer(model, optim.Adam(model.parameters(), lr=3e-3), clip_norm=1.0)
        losses = self.trainer.fit(self.sequences, epochs=3, progress=False)["loss"]
        assert losses[-1] < losses[0], "the model must learn the order of the characters"

    def time_epoch(self, cell):
        self.trainer.fit(self.sequences, epochs=1, progress=False)


class Generation:
    """200 characters, one by one."""

    params = [["lstm", "gru", "rnn"]]
    param_names = ["cell"]

    def setup(self, cell):
        dl.manual_seed(0)
        self.model = models.char_lm(CHARACTERS, hidden=128, cell=cell)
        assert len(list(generate(self.model, [0], 200))) == 200

    def time_generate(self, cell):
        for _ in generate(self.model, [0], 200):
            pass
