"""Models of characters: training with a carried state, and writing."""

import numpy as np
import pytest
from training import same, weights

import minidl as dl
from minidl import functional as F
from minidl import models, optim
from minidl.data import TextSequences
from minidl.stabilize import clip_grad_norm_
from minidl.train import LanguageTrainer, generate, language

CELLS = ["lstm", "gru", "rnn"]


def text(size=500, seed=0):
    """Tokens of which each follows from the one before the last."""
    noise = np.random.default_rng(seed).integers(0, 5, size)
    return np.where(np.arange(size) % 3 == 2, np.roll(noise, 2), noise)


def make(**kwargs):
    dl.manual_seed(0)
    model = models.char_lm(5, hidden=16, **kwargs)
    return LanguageTrainer(model, optim.Adam(model.parameters(), lr=0.01), clip_norm=0.5)


# The model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell, gates", [("lstm", 4), ("gru", 3), ("rnn", 1)])
@pytest.mark.parametrize("layers", [1, 2])
def test_char_lm(cell, gates, layers):
    model = models.char_lm(65, hidden=128, layers=layers, cell=cell)
    recurrent = layers * gates * 128 * (128 + 128 + 2)
    assert sum(p.array.size for p in model.parameters()) == 65 * 128 + recurrent + 129 * 65
    output, state = model(np.zeros((7, 3), np.int64))
    states = state if cell == "lstm" else (state,)
    assert output.shape == (7, 3, 65) and [s.shape for s in states] == [(layers, 3, 128)] * len(states)
    assert len(states) == (2 if cell == "lstm" else 1)


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_in_pieces_is_the_whole_text(cell):
    model, tokens = models.char_lm(5, hidden=8, layers=2, embedding=3, cell=cell), text(12).reshape(6, 2)
    whole, last = model(tokens)
    first, state = model(tokens[:4])
    second, end = model(tokens[4:], state)
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()]), whole.numpy(), rtol=1e-5, atol=1e-6)
    for a, b in zip(end, last, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_dropout_is_behind_every_layer_and_only_in_training():
    model, tokens = models.char_lm(5, hidden=8, layers=2, dropout=0.5), text(12).reshape(6, 2)
    assert (model.rnn.dropout, model.dropout.p) == (0.5, 0.5)
    assert not np.array_equal(model(tokens)[0].numpy(), model(tokens)[0].numpy())
    model.eval()
    np.testing.assert_array_equal(model(tokens)[0].numpy(), model(tokens)[0].numpy())


@pytest.mark.filterwarnings("error")
def test_one_layer_with_dropout_warns_of_nothing():
    assert models.char_lm(5, dropout=0.5).rnn.dropout == 0


def test_unknown_cell():
    with pytest.raises(ValueError, match="char_lm: cell: got 'elman', expected 'lstm', 'gru' or 'rnn'"):
        models.char_lm(5, cell="elman")


# Training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_it_learns_what_needs_a_memory(cell):
    trainer = make(cell=cell)
    history = trainer.fit(TextSequences(text(3000), 12, 8), TextSequences(text(600, 1), 12, 8), epochs=15)
    assert history["val_loss"][-1] < 0.9 * np.log(5) < history["val_loss"][0]  # at best 2/3: each third token is known
    assert set(history.history) == {"loss", "val_loss", "lr"}


@pytest.mark.parametrize("cell", CELLS)
def test_equals_a_loop_by_hand(cell):
    trainer, other = make(cell=cell, dropout=0.2), make(cell=cell, dropout=0.2)
    sequences = TextSequences(text(), 10, 4)
    dl.manual_seed(5)
    history = trainer.fit(sequences, epochs=2)
    dl.manual_seed(5)
    for _ in range(2):
        state, total = None, 0
        for x, y in sequences:
            output, state = other.model(x, state)
            state = tuple(s.detach() for s in state) if cell == "lstm" else state.detach()
            loss = F.cross_entropy(output.reshape(-1, 5), y.reshape(-1))
            other.optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(other.model.parameters(), 0.5)
            other.optimizer.step()
            total += loss.item() * y.numpy().size
    assert same(weights(trainer.model), weights(other.model))
    assert history["loss"][-1] == pytest.approx(total / (4 * 124))  # (500 - 1) // 4 steps


def test_evaluate_is_the_mean_over_the_text():
    trainer, ids = make(), text(100)
    with dl.no_grad():
        output, _ = trainer.model(ids[:-1, None])
        expected = F.cross_entropy(output[:, 0], ids[1:]).item()
    for length in (1, 7, 33, 99):
        assert trainer.evaluate(TextSequences(ids, length, 1)) == pytest.approx({"loss": expected}, rel=1e-5)


def test_every_shape_is_recorded_with_and_without_a_state():
    trainer = make()
    trainer.fit(TextSequences(text(), 10, 4), epochs=3)
    recordings = trainer._training_step.recordings.values()
    assert sum(map(len, recordings)) == 3  # the first batch, those behind it, and the shorter last


def test_metrics_get_outputs_and_targets():
    def share(output, target):
        assert output.shape == (*target.shape, 5)
        return (output.argmax(-1) == target).mean()

    model = models.char_lm(5, hidden=16)
    found = LanguageTrainer(model, None, metrics={"right": share}).evaluate(TextSequences(text(), 10, 4))
    assert set(found) == {"loss", "right"} and 0 < found["right"] < 1


def test_predict_is_refused():
    with pytest.raises(NotImplementedError, match="LanguageTrainer: predict: .* use generate"):
        make().predict(np.zeros((3, 1), np.int64))


# Writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_at_temperature_zero_it_writes_the_likeliest(cell):
    model = make(cell=cell, layers=2, dropout=0.5).model
    written = list(generate(model, [3, 1], 12, temperature=0))
    assert model.training
    model.eval()
    tokens = [3, 1]
    for _ in range(12):  # the whole text anew for every token
        tokens.append(int(model(np.array(tokens)[:, None])[0].numpy()[-1, 0].argmax()))
    assert written == tokens[2:]


def test_the_seed_decides():
    model = make().model
    texts = [list(generate(model, [1], 50, seed=seed)) for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2] and {type(token) for token in texts[0]} == {int}
    assert list(generate(model, [1], 30, seed=3)) == texts[0][:30]


@pytest.mark.parametrize("temperature", [0.5, 1, 2])
def test_tokens_have_their_probabilities(temperature):
    scores = np.float32([2, 0, -1, 1])
    rng = np.random.default_rng(0)
    counts = np.bincount([language.sample(scores, temperature, rng) for _ in range(5000)], minlength=4)
    expected = np.exp(scores / temperature) / np.exp(scores / temperature).sum()
    np.testing.assert_allclose(counts / 5000, expected, atol=0.03)


@pytest.mark.filterwarnings("error")
def test_extreme_temperatures():
    rng = np.random.default_rng(0)
    scores = np.float32([80, -80, 79.9])
    assert {language.sample(scores, 1e-320, rng) for _ in range(20)} == {0}
    assert {language.sample(scores, 1e300, rng) for _ in range(100)} == {0, 1, 2}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([], 5), r"generate: prompt: got shape \(0,\), expected \(N,\) with at least one token"),
        (([[1]], 5), r"generate: prompt: got shape \(1, 1\)"),
        (([1], 5, -1), "generate: temperature: got -1, expected a number >= 0"),
        (([1], 5, np.nan), "generate: temperature: got nan"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(make().model, *arguments)


def test_a_prompt_that_the_model_does_not_know():
    with pytest.raises(IndexError, match="7"):
        next(generate(make().model, [7], 5))
