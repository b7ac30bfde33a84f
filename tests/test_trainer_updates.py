"""Update nodes in the hands of the Trainer: each acts at its place, in the order given."""

import numpy as np
import pytest
from training import batches, clouds, make, same, weights

import minidl as dl
from minidl import functional as F
from minidl import models, optim, stabilize
from minidl.data import TextSequences
from minidl.train import LanguageTrainer, Trainer


def with_updates(*kinds, **settings):
    """A trainer with update nodes that are made from its model and its optimizer."""
    trainer = make()
    updates = [kind(trainer) for kind in kinds]
    return Trainer(trainer.model, trainer.optimizer, updates=updates, **settings), updates


def test_equals_a_loop_by_hand():
    trainer, _ = with_updates(
        lambda t: stabilize.ClipGradValue(t.model.parameters(), 0.05),
        lambda t: stabilize.GradientAccumulation(t.model.parameters(), 2),
        lambda t: stabilize.SpikeGuard(t.optimizer, threshold=0.01, warmup=1, alpha=0.5),
        lambda t: stabilize.WeightAverage(t.model, 0.8),
        clip_norm=0.05,
    )
    trainer.fit(batches(), epochs=8)
    other = make()
    parameters = list(other.model.parameters())
    value, accumulate = stabilize.ClipGradValue(parameters, 0.05), stabilize.GradientAccumulation(parameters, 2)
    guard = stabilize.SpikeGuard(other.optimizer, threshold=0.01, warmup=1, alpha=0.5)
    average, loader = stabilize.WeightAverage(other.model, 0.8), batches()
    for _ in range(8):
        for x, y in loader:
            loss = F.cross_entropy(other.model(x), y)
            other.optimizer.zero_grad()
            loss.backward()
            value()
            with accumulate, guard(loss):
                stabilize.clip_grad_norm_(parameters, 0.05)
                other.optimizer.step()
                average()
    assert same(weights(trainer.model), weights(other.model))
    found, expected = trainer.updates[3].state_dict(), average.state_dict()
    assert same(found, expected) and average.n_averaged == guard.statistics.calls - guard.statistics.acted
    assert guard.statistics.calls == 16 and guard.statistics.acted > 0


def test_an_average_does_not_see_a_step_that_is_undone():
    trainer, (average, guard, bound) = with_updates(
        lambda t: stabilize.WeightAverage(t.model, 0.5),
        lambda t: stabilize.SpikeGuard(t.optimizer, "update", threshold=9, warmup=4),
        lambda t: stabilize.MaxNorm(t.model.parameters(), 0.3),
    )
    trainer.fit(batches(), epochs=4)
    trainer.optimizer.param_groups[0]["lr"] = 1e6
    before = weights(trainer.model)
    trainer.fit(batches(), epochs=1)
    assert guard.statistics.acted > 0 and same(before, weights(trainer.model))
    assert all(abs(mean).max() < 10 for mean in average.averages.values())
    assert all(np.linalg.norm(w, axis=1).max() <= 0.3001 for w in before.values() if w.ndim > 1)
    assert bound.statistics.acted > 0


def test_a_nan_in_the_data_is_left_to_the_guard():
    x, y = clouds().tensors
    spoiled = x.copy()
    spoiled[3, 0] = np.nan
    for watch in ("loss", "gradient"):
        trainer, (guard,) = with_updates(lambda t, watch=watch: stabilize.SpikeGuard(t.optimizer, watch))
        trainer.fit([(x, y), (spoiled, y), (x, y)], epochs=1)
        assert guard.statistics.acted == 1 and guard.statistics.spikes[0].step == 1
        assert all(np.isfinite(value).all() for value in weights(trainer.model).values())
    trainer, _ = with_updates(lambda t: stabilize.SpikeGuard(t.optimizer, "update"))
    with pytest.raises(FloatingPointError):
        trainer.fit([(spoiled, y)], epochs=1)


def test_language_trainer():
    dl.manual_seed(0)
    model = models.char_lm(5, 8, 12)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    accumulate = stabilize.GradientAccumulation(model.parameters(), 2)
    average = stabilize.WeightAverage(model)
    data = TextSequences(np.arange(400) % 5, 10, 8)
    trainer = LanguageTrainer(model, optimizer, clip_norm=1.0, updates=[accumulate, average])
    history = trainer.fit(data, epochs=4)
    assert history["loss"][-1] < history["loss"][0]
    assert average.n_averaged == 4 * len(data) // 2
    with average.applied():
        trainer.evaluate(data)


def test_what_cannot_act():
    trainer = make()
    for wrong in (stabilize.GradScaler(), 1.0, stabilize.clip_grad_norm_, trainer.optimizer):
        with pytest.raises(TypeError, match="Trainer: updates: got"):
            Trainer(trainer.model, trainer.optimizer, updates=[wrong])
