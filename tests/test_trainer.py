import os
import signal
import threading

import numpy as np
import pytest
from training import batches, clouds, make, same, weights

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.stabilize import clip_grad_norm_
from minidl.train import Callback, CSVLogger, Trainer, accuracy


class InterruptAt(Callback):
    """Ctrl-C after one step of one epoch; keeps the weights of that moment."""

    def __init__(self, epoch, batch, times=1):
        self.at, self.times, self.ended = (epoch, batch), times, 0

    def on_epoch_begin(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs):
        if (self.epoch, batch) == self.at:
            self.weights = weights(self.trainer.model)
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)

    def on_train_end(self):
        self.ended += 1


def test_fit_learns_and_returns_the_history():
    trainer = make()
    history = trainer.fit(batches(), clouds(60, seed=1), epochs=8)
    assert history.epoch == list(range(1, 9)) and not history.interrupted and len(history) == 8
    assert set(history.history) == {"loss", "accuracy", "lr", "val_loss", "val_accuracy"}
    assert history["loss"][-1] < history["loss"][0] and history["val_accuracy"][-1] > 0.9
    assert "8 epochs" in repr(history)


def test_evaluate_is_the_mean_over_rows():
    trainer, data = make(), clouds(50)
    x, y = data.tensors
    output = trainer.model(x)
    expected = {"loss": F.cross_entropy(output, y).item(), "accuracy": (output.numpy().argmax(1) == y).mean()}
    for form in (data, (x, y), DataLoader(data, 7), [(x[:20], y[:20]), (x[20:], y[20:])]):
        assert trainer.evaluate(form) == pytest.approx(expected, rel=1e-5)


def test_predict_gives_all_rows_in_order():
    trainer, data = make(), clouds(50)
    x, y = data.tensors
    expected = trainer.model(x).numpy()
    for form in (
        x,
        dl.tensor(x),
        (x, y),
        data,
        DataLoader(data, 7),
        [x[:20], x[20:]],
        [(x[:20], y[:20]), (x[20:], y[20:])],
    ):
        np.testing.assert_allclose(trainer.predict(form), expected, rtol=1e-5, atol=1e-6)


def test_evaluating_changes_nothing_and_restores_the_mode():
    trainer = make()
    before = weights(trainer.model)
    trainer.model.train()
    trainer.evaluate(clouds())
    trainer.predict(clouds())
    assert trainer.model.training and same(weights(trainer.model), before)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_equals_a_loop_by_hand():
    trainer, other = make(clip_norm=0.5), make()
    trainer.fit(batches(), epochs=3)
    loader = batches()
    for _ in range(3):
        for x, y in loader:
            loss = F.cross_entropy(other.model(x), y)
            other.optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(other.model.parameters(), 0.5)
            other.optimizer.step()
    assert same(weights(trainer.model), weights(other.model))


def test_every_shape_is_recorded_once():
    trainer = make()
    trainer.fit(batches(100, 32), clouds(60), epochs=4)
    assert sum(map(len, trainer._training_step.recordings.values())) == 2  # 32 rows, and the last 4
    assert sum(map(len, trainer._evaluation_step.recordings.values())) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_same_bits(threads):
    trainers = [make(seed=3) for _ in range(2)]
    for trainer, count in zip(trainers, (2, threads), strict=True):
        dl.set_num_threads(count)
        trainer.fit(batches(400, 200, seed=3), epochs=3)
    assert same(*(weights(trainer.model) for trainer in trainers))
    other = make(seed=3)
    other.fit(batches(400, 200, seed=4), epochs=3)
    assert not same(weights(other.model), weights(trainers[0].model))


def test_other_losses_and_metrics():
    x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))

    def error(output, target):
        return np.abs(output - target).mean()

    trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.02), F.mse_loss, metrics={"error": error})
    history = trainer.fit(DataLoader(TensorDataset(x, x**2), 16, shuffle=True, seed=0), epochs=40)
    assert history["error"][-1] < 0.1 < history["error"][0]


def test_weights_saved_and_loaded_go_on_alike(tmp_path):
    path = tmp_path / "weights.safetensors"
    trainer = make(seed=0)
    trainer.fit(batches(), epochs=2)
    dl.save(trainer.model, path)
    resumed = make(seed=1)
    resumed.fit(batches(), epochs=1)  # steps are recorded already when the weights are loaded
    resumed.model.load_state_dict(dl.load(path))
    assert resumed.evaluate(clouds()) == trainer.evaluate(clouds())
    for one in (trainer, resumed):
        one.optimizer = optim.SGD(one.model.parameters(), lr=0.1)
        again = Trainer(one.model, one.optimizer)
        again.fit(batches(), epochs=2)
    assert same(weights(trainer.model), weights(resumed.model))


def test_ctrl_c_stops_between_steps(capsys, tmp_path):
    trainer, interrupt = make(), InterruptAt(3, 2)
    handler = signal.getsignal(signal.SIGINT)
    history = trainer.fit(batches(), clouds(), epochs=50, callbacks=[interrupt, CSVLogger(tmp_path / "log.csv")])
    assert history.interrupted and history.epoch == [1, 2] and interrupt.ended == 1
    assert same(weights(trainer.model), interrupt.weights)
    assert signal.getsignal(signal.SIGINT) is handler
    message = capsys.readouterr().err.strip()
    assert message.startswith("minidl: interrupted in epoch 3 of 50") and "\n" not in message
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3

    unbroken = make()
    count = []

    class StopThere(InterruptAt):
        def on_train_batch_end(self, batch, logs):
            count.append(weights(self.trainer.model))

    unbroken.fit(batches(), epochs=3, callbacks=[StopThere(0, 0)])
    assert same(count[2 * 4 + 1], interrupt.weights)  # those of exactly that step
    assert trainer.fit(batches(), epochs=1).epoch == [1]  # usable afterwards


def test_second_ctrl_c_raises():
    trainer, interrupt = make(), InterruptAt(1, 1, times=2)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches(), epochs=50, callbacks=[interrupt])
    assert interrupt.ended == 1 and signal.getsignal(signal.SIGINT) is handler


def test_fit_works_outside_the_main_thread():
    lengths = []
    thread = threading.Thread(target=lambda: lengths.append(len(make().fit(batches(), epochs=2))))
    thread.start()
    thread.join()
    assert lengths == [2]


def test_nonfinite_loss_gets_out_and_files_are_closed(tmp_path):
    trainer, log, end = make(), CSVLogger(tmp_path / "log.csv"), InterruptAt(0, 0)

    class Spoil(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                self.trainer.model[0].weight.numpy()[...] = 3e38

    with pytest.raises(FloatingPointError, match="0: linear"):
        trainer.fit(batches(), epochs=9, callbacks=[log, Spoil(), end])
    assert log.file.closed and end.ended == 1
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "error, message, run",
    [
        (ValueError, "epochs: got 0", lambda t: t.fit(batches(), epochs=0)),
        (TypeError, "got TensorDataset, expected a DataLoader", lambda t: t.fit(clouds())),
        (TypeError, "got generator, expected a DataLoader", lambda t: t.fit(batch for batch in batches())),
        (TypeError, "fit: train: got tuple", lambda t: t.fit(clouds().tensors)),
        (TypeError, "fit: validation: got generator", lambda t: t.fit(batches(), (batch for batch in batches()))),
        (TypeError, "fit: validation: got list_iterator", lambda t: t.fit(batches(), iter([clouds().tensors]))),
        (ValueError, "fit: got no data", lambda t: t.fit([])),
        (ValueError, "fit: got no data", lambda t: t.fit(batches(20, 32).__class__(clouds(20), 32, drop_last=True))),
        (ValueError, "evaluate: got no data", lambda t: t.evaluate([])),
        (ValueError, "predict: got no data", lambda t: t.predict([])),
        (ValueError, "3 features", lambda t: t.predict(np.zeros((4, 3), np.float32))),
        (ValueError, "same first size", lambda t: t.evaluate((np.zeros((4, 2), np.float32), np.zeros(3, np.int64)))),
        (IndexError, "7", lambda t: t.evaluate((np.zeros((4, 2), np.float32), np.full(4, 7)))),
    ],
)
def test_bad_input(error, message, run):
    trainer = make()
    with pytest.raises(error, match=message):
        run(trainer)
    assert trainer.fit(batches(), epochs=1).epoch == [1]


def test_accuracy():
    assert accuracy(np.eye(4), np.array([0, 1, 2, 0])) == 0.75
    probabilities = np.array([[0.6, 0.4, 0, 0], [0.4, 0.6, 0, 0], [0, 0, 0.9, 0.1], [0.9, 0, 0, 0.1]], np.float32)
    assert accuracy(np.eye(4), probabilities) == 0.75
    with pytest.raises(ValueError, match=r"float64 targets of shape \(4, 1\).*metrics="):
        accuracy(np.eye(4), np.zeros((4, 1)))


def test_accuracy_of_class_probabilities():
    target = np.array([[0.9, 0.1, 0, 0], [0.4, 0.6, 0, 0], [1, 0, 0, 0], [0, 0, 0.3, 0.7]], np.float32)
    assert accuracy(np.eye(4), target) == 0.75


def test_modules_of_other_modes_keep_them():
    trainer = make()
    trainer.model.train()
    trainer.model[0].eval()
    trainer.evaluate(clouds())
    assert [module.training for module in trainer.model.modules()] == [True, False, True, True]
    trainer.fit(batches(), epochs=1)
    assert [module.training for module in trainer.model.modules()] == [True, False, True, True]


def test_fit_needs_an_optimizer():
    with pytest.raises(ValueError, match="without an optimizer"):
        Trainer(make().model, None).fit(batches())


def test_a_model_that_returns_its_state():
    model = nn.LSTM(3, 4)
    trainer = Trainer(model, optim.Adam(model.parameters()))
    with pytest.raises(TypeError, match=r"the model returned a tuple of 2, expected one tensor; .* LanguageTrainer"):
        trainer.fit([(np.zeros((2, 5, 3), np.float32), np.zeros(5, np.int64))], epochs=1, progress=False)
