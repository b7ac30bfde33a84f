"""Language models: training with a state that is carried on, and writing."""

import numpy as np

from minidl.data.dataset import as_tuple
from minidl.engine import no_grad, record
from minidl.train.trainer import Trainer, mode


class LanguageTrainer(Trainer):
    """Trains a model of sequences by truncated back-propagation through time (Williams & Peng 1990).

    Every batch begins with the state in which the one before ended, and gradients go back to the beginning of the
    batch. Each pass over the data begins without a state.

    Parameters
    ----------
    model : Module
        ``model(tokens, state)`` gives the outputs and the next state: a tensor, or a tuple of them.
    optimizer, loss, metrics, clip_norm, updates, monitor
        As for `Trainer`. The loss gets outputs (T * B, ...) and targets (T * B); there are no metrics by default.

    Data are batches ``(tokens, target)`` of shape (T, B), of which each continues the one before, as `TextSequences`
    gives them.

    Examples
    --------
    >>> trainer = LanguageTrainer(model, optim.Adam(model.parameters(), lr=3e-3), clip_norm=1.0)
    >>> history = trainer.fit(TextSequences(ids, 64, 32), TextSequences(others, 64, 32), epochs=10)
    """

    def __init__(self, model, optimizer, loss=None, *, metrics=None, clip_norm=None, updates=(), monitor=None):
        metrics = {} if metrics is None else metrics
        super().__init__(model, optimizer, loss, metrics=metrics, clip_norm=clip_norm, updates=updates, monitor=monitor)

    def _forward(self, batch):
        tokens, target, *state = batch
        output, state = self.model(tokens, as_state(state))
        loss = self.loss(output.flatten(0, 1), target.flatten())
        return (output, *(part.detach() for part in as_tuple(state))), loss

    def predict(self, data):
        """Not for models with a state: `generate` writes with one, and ``model(tokens, state)`` gives its outputs."""
        raise NotImplementedError("LanguageTrainer: predict: the model has a state; call the model, or use generate")

    def _run(self, step, batches, training, interrupt=None):
        state: list = []

        def carry_on(tokens, target):
            nonlocal state
            (output, *state), loss = step(tokens, target, *state)
            return output, loss

        return super()._run(carry_on, batches, training, interrupt)


def as_state(parts):
    """A list of tensors as models know states."""
    return None if not parts else parts[0] if len(parts) == 1 else tuple(parts)


def generate(model, prompt, length, temperature=1.0, seed=None):
    """Go on with a text, token by token.

    Parameters
    ----------
    model : Module
        ``model(tokens, state)`` gives scores (1, 1, V) and the next state.
    prompt : sequence or ndarray of integers, shape (N,)
        The tokens that the text begins with, at least one; they are not given back.
    length : int
        How many tokens to write.
    temperature : float
        Scores are divided by it: below 1 the likely becomes likelier; 0 always takes the likeliest.
    seed : int, optional
        By default every text is another.

    Yields
    ------
    int
        The tokens, one by one.
    """
    prompt = np.asarray(prompt)
    if not prompt.size or prompt.ndim != 1:
        raise ValueError(f"generate: prompt: got shape {prompt.shape}, expected (N,) with at least one token")
    if not temperature >= 0:
        raise ValueError(f"generate: temperature: got {temperature}, expected a number >= 0")
    return _generate(model, prompt, length, temperature, np.random.default_rng(seed))


def _generate(model, prompt, length, temperature, rng):
    @record
    @no_grad()
    def step(token, *state):
        output, state = model(token, as_state(state))
        return output, *as_tuple(state)

    state: list = []
    with mode(model, training=False):
        for token in prompt:
            scores, *state = step(np.full((1, 1), token), *state)
        for _ in range(length):
            token = sample(scores.numpy().ravel(), temperature, rng)
            yield token
            scores, *state = step(np.full((1, 1), token), *state)


def sample(scores, temperature, rng):
    """A token, drawn with the probabilities softmax(scores / temperature)."""
    if not temperature:
        return int(scores.argmax())
    with np.errstate(over="ignore"):  # a tiny temperature makes -inf of all but the largest
        weights = np.exp((scores - scores.max()) / np.float64(temperature))
    return int(rng.choice(len(weights), p=weights / weights.sum()))
