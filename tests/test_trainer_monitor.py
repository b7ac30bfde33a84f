"""A Trainer that is watched."""

import numpy as np
import pytest
from training import batches, make, same, weights

import minidl as dl
from minidl import diagnose, models, optim, stabilize
from minidl.data import TextSequences
from minidl.train import LanguageTrainer, Trainer


def watched(trainer, every=3):
    """The same Trainer once more, with a monitor."""
    monitor = diagnose.Monitor(trainer.model, trainer.optimizer, every=every)
    return Trainer(trainer.model, trainer.optimizer, clip_norm=trainer.clip_norm, monitor=monitor)


def test_watching_changes_nothing_and_sees_the_training_steps_only():
    plain, seen = make(), watched(make())
    history, other = (t.fit(batches(), batches(64), epochs=3, progress=False) for t in (plain, seen))
    assert same(weights(plain.model), weights(seen.model)) and history.history == other.history
    steps = 3 * len(batches())
    assert seen.monitor.step == steps and len(seen.monitor.loss()) == steps
    report = seen.monitor.report()
    assert report.evidence.steps.tolist() == list(range(1, steps + 1, 3))
    assert report.model is seen.model and report.optimizer is seen.optimizer
    sizes = [len(y) for _, y in batches()]
    assert np.isclose(np.average(seen.monitor.loss()[-len(sizes) :], weights=sizes), history["loss"][-1])


def test_its_nodes_are_part_of_the_recorded_step():
    trainer = watched(make())
    trainer.fit(batches(), epochs=1, progress=False)
    assert "probe" in {row.phase for row in trainer.training_step.listing()}


def test_language_trainer():
    dl.manual_seed(0)
    model = models.char_lm(5, 8, 12)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = LanguageTrainer(model, optimizer, monitor=diagnose.Monitor(model, optimizer, every=1))
    data = TextSequences(np.arange(400) % 5, 10, 8)
    trainer.fit(data, data, epochs=2, progress=False)
    report = trainer.monitor.report()
    assert report.evidence.step == 2 * len(data)
    norms = report.evidence.times["rnn.l0"]
    assert len(norms) == len(list(data)[-1][0]) and (norms > 0).all()
    assert "|dE/dh_t| in rnn.l0" in report.picture(80)


def test_what_has_ended_a_training_is_the_verdict():
    trainer = watched(make(), every=1)
    x, y = next(iter(batches()))
    spoiled = np.array(x)
    spoiled[0, 0] = np.nan
    with pytest.raises(dl.NonFiniteError) as error:
        trainer.fit([(x, y), (spoiled, y)], epochs=1, progress=False)
    report = trainer.monitor.report(error.value)
    assert [verdict.disease for verdict in report] == ["non-finite"]
    assert report.verdicts[0].step == trainer.monitor.step >= 1


def test_what_cannot_watch():
    trainer = make()
    for wrong in (1, diagnose.Monitor, stabilize.GradScaler()):
        with pytest.raises(TypeError, match="Trainer: monitor: got"):
            Trainer(trainer.model, trainer.optimizer, monitor=wrong)
