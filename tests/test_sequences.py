"""Sequence data: made-up tasks, text, time series, sequences of different lengths."""

import gzip
import json
import math
import zipfile

import numpy as np
import pytest
from files import naming, pixels, real, write

import minidl as dl
from minidl.data import (
    DataLoader,
    ImageDataset,
    SequenceDataset,
    Standardizer,
    Subset,
    TensorDataset,
    TextSequences,
    TextWindows,
    Vocabulary,
    adding_problem,
    copy_memory,
    indoor_movement,
    mnist,
    pad,
    read_series,
    read_text,
    sequential_images,
    split_series,
    temporal_order,
    windows,
)

# Made-up tasks ------------------------------------------------------------------------------------------------------

TASKS = [adding_problem, temporal_order, copy_memory]


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_decides_a_task(task):
    first, again, other = (task(20, 30, seed).tensors for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    drawn, next_drawn = task(20, 30), task(20, 30)
    dl.manual_seed(0)
    np.testing.assert_array_equal(task(20, 30).tensors[0], drawn.tensors[0])
    assert not np.array_equal(drawn.tensors[0], next_drawn.tensors[0])


@pytest.mark.parametrize("task", TASKS)
def test_tasks_are_of_the_usual_type(task):
    dataset = task(5, 10, 0)
    assert isinstance(dataset, TensorDataset) and len(dataset) == 5
    x, y = next(iter(DataLoader(dataset, 5)))
    assert x.dtype == np.float32 and x.shape[0] == y.shape[0] == 5
    assert y.dtype == (np.float32 if task is adding_problem else np.int64)


@pytest.mark.parametrize("length", [2, 3, 11, 50])
def test_adding_problem_marks_what_it_adds(length):
    x, y = adding_problem(400, length, 0).tensors
    assert x.shape == (400, length, 2) and y.shape == (400, 1)
    values, marks = x[:, :, 0], x[:, :, 1]
    half = length // 2
    assert set(np.unique(marks)) <= {0, 1}
    assert (marks[:, :half].sum(axis=1) == 1).all() and (marks[:, half:].sum(axis=1) == 1).all()
    assert marks.any(axis=0).all()  # every step can be marked
    assert values.min() >= 0 and values.max() < 1
    np.testing.assert_allclose(y[:, 0], (values * marks).sum(axis=1), rtol=1e-6)


def test_adding_problem_has_the_variance_that_its_docstring_says():
    n = 20_000
    x, y = adding_problem(n, 10, 0).tensors
    error = y[:, 0].astype(np.float64) - 1
    assert abs(error.mean()) < 5 * math.sqrt(1 / 6 / n)
    # the square of a sum of two uniform numbers: its fourth moment is 1/15
    assert abs((error**2).mean() - 1 / 6) < 5 * math.sqrt((1 / 15 - 1 / 36) / n)
    first = (x[:, :5, 0] * x[:, :5, 1]).sum(axis=1)
    assert abs(np.mean((error - (first - 0.5)) ** 2) - 1 / 12) < 0.003


@pytest.mark.parametrize("length", [10, 13, 37, 100])
def test_temporal_order_has_two_symbols_in_their_places(length):
    x, y = temporal_order(2000, length, 0).tensors
    assert x.shape == (2000, length, 6) and y.shape == (2000,)
    assert (x.sum(axis=2) == 1).all() and set(np.unique(x)) == {0, 1}
    counts = x[:, :, :2].any(axis=2)  # A or B
    steps = np.arange(length)
    first = (steps >= length / 10) & (steps <= 2 * length / 10)
    second = (steps >= 4 * length / 10) & (steps <= 5 * length / 10)
    assert (counts[:, first].sum(axis=1) == 1).all() and (counts[:, second].sum(axis=1) == 1).all()
    np.testing.assert_array_equal(counts.any(axis=0), first | second)  # all of these places, and no others
    is_b = x[:, :, 1]
    np.testing.assert_array_equal(2 * is_b[:, first].sum(axis=1) + is_b[:, second].sum(axis=1), y)


def test_temporal_order_is_balanced():
    x, y = temporal_order(8000, 20, 0).tensors
    spread = 5 * math.sqrt(0.25 * 0.75 / 8000)
    np.testing.assert_allclose(np.bincount(y) / 8000, 0.25, atol=spread)
    shares = x.sum(axis=(0, 1))[2:] / (8000 * 18)
    np.testing.assert_allclose(shares, 0.25, atol=spread)


@pytest.mark.parametrize("length, symbols, alphabet", [(1, 10, 8), (20, 10, 8), (5, 3, 2)])
def test_copy_memory(length, symbols, alphabet):
    x, y = copy_memory(50, length, 0, symbols, alphabet).tensors
    total = length + 2 * symbols
    assert x.shape == (50, total, alphabet + 2) and y.shape == (50, total)
    assert (x.sum(axis=2) == 1).all()
    tokens, blank = x.argmax(axis=2), alphabet
    delimiter = symbols + length - 1
    assert (tokens[:, delimiter] == alphabet + 1).all()
    assert (tokens[:, symbols:delimiter] == blank).all() and (tokens[:, delimiter + 1 :] == blank).all()
    assert tokens[:, :symbols].max() < alphabet and (y[:, :-symbols] == blank).all()
    np.testing.assert_array_equal(y[:, -symbols:], tokens[:, :symbols])
    assert total - delimiter - 1 == symbols  # the answer begins in the step behind the delimiter


def test_copy_memory_has_the_baseline_that_its_docstring_says():
    """The cross entropy of the best answer that depends on nothing but the step."""
    length = 30
    _, y = copy_memory(4000, length, 0).tensors
    shares = np.stack([(y == symbol).mean(axis=0) for symbol in range(9)])
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=0)
    assert entropy.mean() == pytest.approx(10 * math.log(8) / (length + 20), rel=2e-3)


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "adding_problem: size: got 0, expected at least 1", lambda: adding_problem(0, 10)),
        (ValueError, "adding_problem: length: got 1, expected at least 2", lambda: adding_problem(5, 1)),
        (TypeError, "adding_problem: length: got 1.5, expected an integer", lambda: adding_problem(5, 1.5)),
        (ValueError, "adding_problem: seed: got -1", lambda: adding_problem(5, 10, -1)),
        (ValueError, "temporal_order: length: got 9, expected at least 10", lambda: temporal_order(5, 9)),
        (TypeError, "temporal_order: seed: got 'a'", lambda: temporal_order(5, 10, "a")),
        (ValueError, "copy_memory: length: got 0", lambda: copy_memory(5, 0)),
        (ValueError, "copy_memory: symbols: got 0", lambda: copy_memory(5, 5, symbols=0)),
        (ValueError, "copy_memory: alphabet: got 1, expected at least 2", lambda: copy_memory(5, 5, alphabet=1)),
    ],
)
def test_bad_tasks(error, message, make):
    with pytest.raises(error, match=message):
        make()


# Images as sequences ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_sequential_images(channels):
    dataset = ImageDataset(pixels(6, channels, 4, 5), np.arange(6))
    images, labels = dataset[:]
    expected = images.transpose(0, 2, 3, 1).reshape(6, 20, channels)
    sequences = sequential_images(dataset)
    x, y = next(iter(DataLoader(sequences, 6)))
    np.testing.assert_array_equal(x.numpy(), expected)
    np.testing.assert_array_equal(y.numpy(), labels)
    np.testing.assert_array_equal(sequences[3][0], expected[3])
    assert len(sequences) == 6 and x.dtype == np.float32 and sequences[3][1] == 3
    subset = sequential_images(Subset(dataset, [5, 1]))
    np.testing.assert_array_equal(next(iter(DataLoader(subset, 2)))[0].numpy(), expected[[5, 1]])


def test_permuted_images():
    dataset = ImageDataset(np.arange(40, dtype=np.uint8).reshape(2, 1, 4, 5), [0, 1])
    plain = sequential_images(dataset).batch(np.arange(2))[0].numpy()
    first, again, other = (sequential_images(dataset, seed).batch(np.arange(2))[0].numpy() for seed in (3, 3, 4))
    order = first[0, :, 0].argsort()  # the pixels of an image grow, row by row
    np.testing.assert_array_equal(first[:, order], plain)  # one order for all images
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, plain) and not np.array_equal(first, other)


def test_sequential_mnist():
    dataset = mnist(real("mnist"), train=False)
    sequences = sequential_images(dataset)
    x, y = sequences.batch(np.array([0, 7]))
    assert x.shape == (2, 784, 1)
    np.testing.assert_array_equal(x.numpy()[1, :, 0], dataset[7][0].ravel())
    assert np.bincount(dataset.labels).max() / len(dataset) == pytest.approx(0.1135)


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "got an empty data set", lambda: sequential_images(Subset(TensorDataset(pixels(1, 1)), []))),
        (ValueError, r"got items of shape \(7,\)", lambda: sequential_images(TensorDataset(np.zeros((2, 7)), [0, 1]))),
        (
            ValueError,
            "sequential_images: seed: got -1",
            lambda: sequential_images(ImageDataset(pixels(1, 1, 2, 2), [0]), -1),
        ),
    ],
)
def test_bad_sequential_images(error, message, make):
    with pytest.raises(error, match=message):
        make()


# Text ---------------------------------------------------------------------------------------------------------------


def test_characters_go_there_and_back():
    text = "to be, or not to be: ünïcödé \U0001f642\n"
    vocabulary = Vocabulary.characters(text)
    assert vocabulary.tokens == tuple(sorted(set(text))) and len(vocabulary) == len(set(text))
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64 and ids.shape == (len(text),)
    assert [vocabulary.tokens[i] for i in ids] == list(text)
    assert vocabulary.decode(ids) == vocabulary.decode(dl.tensor(ids)) == text
    assert vocabulary.decode([]) == "" and len(vocabulary.encode("")) == 0


def test_words_go_there_and_back():
    vocabulary = Vocabulary.words("the cat  and the dog\nand the bird", min_count=2)
    assert vocabulary.tokens == ("<unk>", "the", "and")
    ids = vocabulary.encode("the fish and the")
    assert ids.tolist() == [1, 0, 2, 1] and ids.dtype == np.int64
    assert vocabulary.decode(ids) == "the <unk> and the"


def test_words_are_the_most_frequent_ones():
    text = "c c c b b a a d"
    assert Vocabulary.words(text).tokens == ("<unk>", "c", "a", "b", "d")  # as often: in alphabetic order
    assert Vocabulary.words(text, size=3).tokens == ("<unk>", "c", "a")
    assert Vocabulary.words(text + " <unk>" * 5, size=2).tokens == ("<unk>", "c")


@pytest.mark.parametrize("make", [Vocabulary.characters, Vocabulary.words])
def test_a_vocabulary_comes_back_from_json(make):
    text = "a b <unk> é\n"
    vocabulary = make(text)
    loaded = Vocabulary(json.loads(json.dumps(vocabulary.tokens)))
    assert loaded.tokens == vocabulary.tokens
    np.testing.assert_array_equal(loaded.encode(text), vocabulary.encode(text))
    assert loaded.decode(loaded.encode(text)) == vocabulary.decode(vocabulary.encode(text))


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "got no tokens", lambda: Vocabulary([])),
        (TypeError, "token 1: got 3, expected a string", lambda: Vocabulary(["a", 3])),
        (ValueError, "token 1: got 'bc', expected a single character .*'<unk>'", lambda: Vocabulary(["a", "bc"])),
        (ValueError, "token 1: got 'b c', expected a word without", lambda: Vocabulary(["<unk>", "b c"])),
        (ValueError, "got 'a' 2 times", lambda: Vocabulary("aba")),
        (ValueError, "characters: text: got nothing but", lambda: Vocabulary.characters("")),
        (TypeError, "characters: text: got bytes", lambda: Vocabulary.characters(b"a")),
        (ValueError, "words: text: got nothing but", lambda: Vocabulary.words(" \n")),
        (ValueError, "words: min_count: got 0", lambda: Vocabulary.words("a", min_count=0)),
        (ValueError, "words: size: got 0", lambda: Vocabulary.words("a", size=0)),
        (
            ValueError,
            r"encode: got character 'é' \(U\+00E9\) at position 2, expected one of the 2",
            lambda: Vocabulary("ab").encode("abéa"),
        ),
        (TypeError, "encode: got list", lambda: Vocabulary("ab").encode(["a"])),
        (IndexError, "decode: id 1 is 2, expected 0 <= id < 2", lambda: Vocabulary("ab").decode([0, 2])),
        (IndexError, "decode: id 0 is -1", lambda: Vocabulary("ab").decode([-1])),
        (TypeError, "decode: ids: got float64", lambda: Vocabulary("ab").decode([0.0])),
        (ValueError, r"decode: ids: got shape \(1, 1\)", lambda: Vocabulary("ab").decode([[0]])),
    ],
)
def test_bad_vocabulary(error, message, make):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", ["text.txt", "text.txt.gz"])
def test_read_text(tmp_path, name):
    assert read_text(write(tmp_path / name, "\ufeffé\r\nb\rc\n".encode())) == "é\nb\nc\n"


@pytest.mark.parametrize("content, words", [(b"", "an empty file"), (b"ab\xffc", "byte 0xff at 2, expected a text")])
def test_what_is_no_text(tmp_path, content, words):
    path = write(tmp_path / "text.txt", content)
    with pytest.raises(ValueError, match=naming(path, words)):
        read_text(path)


def test_no_text_at_all(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.txt"):
        with pytest.raises(FileNotFoundError, match=naming(path)):
            read_text(path)


def test_tiny_shakespeare():
    text = read_text(real("tinyshakespeare/input.txt"))
    vocabulary = Vocabulary.characters(text)
    assert len(text) == 1_115_394 and len(vocabulary) == 65
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize("size", [25, 26, 28, 29, 40])
@pytest.mark.parametrize("drop_last", [False, True])
def test_streams_go_on_from_batch_to_batch(size, drop_last):
    ids, streams, length = np.arange(size) * 3, 4, 6
    sequences = TextSequences(ids, length, streams, drop_last=drop_last)
    batches = list(sequences)
    assert len(batches) == len(sequences)
    steps = (size - 1) // streams
    shapes = [x.shape for x, _ in batches]
    full, rest = divmod(steps, length)
    assert shapes == [(length, streams)] * full + [(rest, streams)] * (rest > 0 and not drop_last)
    x, y = (np.concatenate([part.numpy() for part in parts]) for parts in zip(*batches, strict=True))
    assert x.dtype == y.dtype == np.int64 and all(part.numpy().flags.c_contiguous for part in batches[-1])
    np.testing.assert_array_equal(y, x + 3)  # the next token
    np.testing.assert_array_equal(x[1:], y[:-1])  # over the ends of batches, too
    np.testing.assert_array_equal(x[0], np.arange(streams) * steps * 3)  # a stream begins where the one before ends
    again = [part.numpy() for part, _ in sequences]
    np.testing.assert_array_equal(np.concatenate(again), x)  # an epoch starts anew


def test_batches_of_text_are_copies():
    sequences = TextSequences(np.arange(9), 4, 2)
    for x, y in sequences:
        x.numpy()[...] = y.numpy()[...] = 0
    assert next(iter(sequences))[0].tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_a_trainer_takes_text_sequences():
    """The next of four letters that repeat: a table of the pairs is all that it takes."""
    table = dl.nn.Linear(4, 4)

    class Pairs(dl.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = table

        def forward(self, ids):
            return self.table((ids.reshape(-1, 1) == dl.tensor([0, 1, 2, 3])).float())

    def loss(output, target):
        return dl.functional.cross_entropy(output, target.reshape(-1))

    sequences = TextSequences(np.arange(170) % 4, 10, 4)
    trainer = dl.train.Trainer(Pairs(), dl.optim.Adam(table.parameters(), lr=0.1), loss, metrics={})
    history = trainer.fit(sequences, epochs=20, progress=False)
    assert history["loss"][-1] < 0.1 < history["loss"][0]


def test_text_windows():
    ids = np.arange(10, dtype=np.uint8) ** 2 % 7
    dataset = TextWindows(ids, 3)
    assert len(dataset) == 7
    x, y = next(iter(DataLoader(dataset, 7)))
    np.testing.assert_array_equal(x.numpy(), [ids[i : i + 3] for i in range(7)])
    np.testing.assert_array_equal(y.numpy(), [ids[i + 1 : i + 4] for i in range(7)])
    assert x.dtype == y.dtype == np.int64 and x.numpy().flags.c_contiguous
    np.testing.assert_array_equal(dataset[6][1], ids[7:10])
    shuffled = np.concatenate([part.numpy() for part, _ in DataLoader(dataset, 2, shuffle=True, seed=0)])
    assert sorted(shuffled.tolist()) == sorted(x.tolist()) and shuffled.tolist() != x.tolist()


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "TextSequences: got 24 tokens, expected at least 25", lambda: TextSequences(np.arange(24), 6, 4)),
        (ValueError, "TextSequences: length: got 0", lambda: TextSequences(np.arange(24), 0, 4)),
        (ValueError, "TextSequences: batch_size: got 0", lambda: TextSequences(np.arange(24), 3, 0)),
        (TypeError, "TextSequences: ids: got float64", lambda: TextSequences(np.zeros(24), 3, 2)),
        (ValueError, r"TextSequences: ids: got shape \(3, 8\)", lambda: TextSequences(np.ones((3, 8), int), 3, 2)),
        (ValueError, "TextWindows: got 3 tokens, expected at least 4", lambda: TextWindows(np.arange(3), 3)),
        (TypeError, "TextWindows: length: got 1.5", lambda: TextWindows(np.arange(3), 1.5)),
        (TypeError, "TextWindows: ids: got <U1", lambda: TextWindows(list("abcd"), 2)),
    ],
)
def test_bad_text_sequences(error, message, make):
    with pytest.raises(error, match=message):
        make()


# Time series --------------------------------------------------------------------------------------------------------

TABLE = b'"Day", "a","b","wind"\r\n1,1.5,NA,NW\r\n2,,-2e1,"S,W"\r\n\r\n3,3,nan,NW\r\n4,-4.25,7,?\r\n'


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_read_series(tmp_path, name):
    path = write(tmp_path / name, TABLE)
    days = read_series(path, "Day")
    assert days.tolist() == [[1], [2], [3], [4]] and days.dtype == np.float32
    assert read_series(path, ["a", "Day"], missing="previous").tolist() == [[1.5, 1], [1.5, 2], [3, 3], [-4.25, 4]]
    # the first row has no b, and no row before it
    assert read_series(path, ["a", "b"], missing="previous").tolist() == [[1.5, -20], [3, -20], [-4.25, 7]]


@pytest.mark.parametrize(
    "content, columns, missing, words",
    [
        (TABLE, "a", "raise", "line 3, column a: got '', expected a number; missing='previous'"),
        (TABLE, "b", "raise", "line 2, column b: got 'NA'"),
        (TABLE, "wind", "previous", "line 2, column wind: got 'NW', expected a number"),
        (TABLE, "c", "raise", "got columns Day, a, b, wind, expected one named 'c'"),
        (b"a,a\n1,2\n", "a", "raise", "got columns a, a, expected one named 'a'"),
        (b"a,b\n1,2\n3\n", "a", "raise", "line 3: got 1 values, expected 2"),
        (b"a,b\n1,2,3\n", "a", "raise", "line 2: got 3 values, expected 2"),
        (b"a,b\n1,inf\n", "b", "raise", "line 2, column b: got 'inf', expected a number"),
        (b"a,b\n1,1e39\n", "b", "raise", "line 2, column b: got '1e39'"),
        (b"a,b\n1,NA\n2,NA\n", "b", "previous", "column b: got no values"),
        (b'a,b\n1,"2\n', "b", "raise", "line 3: unexpected end of data"),
        (b"a,b\n", "b", "raise", "got 1 lines, expected a header and at least one row"),
        (b"", "b", "raise", "an empty file"),
        (b"a\n\xe9\n", "a", "raise", "byte 0xe9 at 2"),
    ],
)
def test_bad_tables(tmp_path, content, columns, missing, words):
    path = write(tmp_path / "table.csv", content)
    with pytest.raises(ValueError, match=naming(path, words)):
        read_series(path, columns, missing=missing)


def test_bad_arguments_of_read_series(tmp_path):
    path = write(tmp_path / "table.csv", TABLE)
    with pytest.raises(ValueError, match="missing: got 'drop', expected 'raise' or 'previous'"):
        read_series(path, "a", missing="drop")
    with pytest.raises(ValueError, match="columns: got none"):
        read_series(path, [])
    with pytest.raises(FileNotFoundError, match=naming(tmp_path / "nothing.csv")):
        read_series(tmp_path / "nothing.csv", "a")


@pytest.mark.parametrize(
    "name, column, size, first, last",
    [
        ("airline-passengers.csv", "Passengers", 144, 112, 432),
        ("monthly-sunspots.csv", "Sunspots", 2820, 58.0, 33.4),
        ("daily-min-temperatures.csv", "Temp", 3650, 20.7, 13.0),
    ],
)
def test_real_series(name, column, size, first, last):
    series = read_series(real(f"timeseries/{name}"), column)
    assert series.shape == (size, 1)
    np.testing.assert_array_equal(series[[0, -1], 0], np.float32([first, last]))


def test_pollution():
    path = real("timeseries/pollution.csv")
    series = read_series(path, ["pm2.5", "TEMP"], missing="previous")
    assert series.shape == (43_824 - 24, 2) and series[0].tolist() == [129, -4]  # the first day has no values
    with pytest.raises(ValueError, match="line 2, column pm2.5: got 'NA'"):
        read_series(path, "pm2.5")


def test_split_series_keeps_the_order():
    series = np.arange(40, dtype=np.float32).reshape(20, 2)
    parts = split_series(series, [0.7, 0.15, 0.15])
    assert [len(part) for part in parts] == [14, 3, 3]
    np.testing.assert_array_equal(np.concatenate(parts), series)
    assert all(np.shares_memory(part, series) for part in parts)
    assert [part.shape for part in split_series(np.arange(7), [4, 3])] == [(4, 1), (3, 1)]


def test_windows_of_the_parts_share_no_value():
    parts = split_series(np.arange(60), [0.5, 0.25, 0.25])
    seen = [set(np.concatenate([part.ravel() for part in windows(part, 4, 2)[:]])) for part in parts]
    assert [len(values) for values in seen] == [30, 15, 15]
    assert max(seen[0]) < min(seen[1]) and max(seen[1]) < min(seen[2])


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("length, horizon, stride", [(1, 1, 1), (4, 1, 1), (5, 3, 2), (6, 14, 1), (3, 2, 7)])
def test_windows(features, length, horizon, stride):
    series = np.random.default_rng(0).normal(size=(20, features)).astype(np.float32)
    dataset = windows(series, length, horizon, stride, target=features - 1)
    starts = range(0, 20 - length - horizon + 1, stride)
    assert len(dataset) == len(starts)
    x, y = next(iter(DataLoader(dataset, 100)))
    assert x.dtype == y.dtype == np.float32 and x.shape == (len(starts), length, features)
    np.testing.assert_array_equal(x.numpy(), [series[i : i + length] for i in starts])
    np.testing.assert_array_equal(y.numpy(), [series[i + length : i + length + horizon, -1] for i in starts])
    np.testing.assert_array_equal(dataset[0][0], series[:length])
    np.testing.assert_array_equal(dataset[0][1], series[length : length + horizon, -1])


def test_windows_of_one_column():
    x, y = windows([1, 2, 3, 4], 2)[:]
    assert x.tolist() == [[[1], [2]], [[2], [3]]] and y.tolist() == [[3], [4]]
    assert x.dtype == y.dtype == np.float32


def test_standardizer():
    train = np.random.default_rng(0).normal([5, -200], [2, 0.1], (50, 2)).astype(np.float32)
    test = train[:10] * 2
    scale = Standardizer(train)
    exact = train.astype(np.float64)
    np.testing.assert_allclose(scale.mean, exact.mean(axis=0))
    np.testing.assert_allclose(scale.std, exact.std(axis=0))
    scaled = scale.transform(train)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.astype(np.float64).mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.astype(np.float64).std(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(scale.transform(test), (test - exact.mean(0)) / exact.std(0), rtol=1e-5)
    np.testing.assert_allclose(scale.inverse_transform(scaled), train, rtol=1e-6)
    forecast = dl.tensor(scaled[:6, 1].reshape(3, 2))  # (N, horizon)
    np.testing.assert_allclose(scale.inverse_transform(forecast, column=1), train[:6, 1].reshape(3, 2), rtol=1e-6)


def test_standardizer_of_one_column_and_of_a_constant():
    scale = Standardizer([1.0, 2.0, 3.0])
    assert scale.mean.shape == (1,)
    assert scale.transform([2.0, 2.0]).tolist() == [0, 0] == scale.transform([[2.0], [2.0]])[:, 0].tolist()
    constant = Standardizer(np.full((7, 1), 0.1))  # whose variance is not 0, as it is computed
    assert constant.std.tolist() == [1]
    assert abs(constant.transform(np.full((7, 1), 0.1))).max() < 1e-6


BAD = np.array([[1.0, 2], [3, np.nan]])


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, r"windows: series: got nan at \(1, 1\)", lambda: windows(BAD, 1)),
        (ValueError, r"Standardizer: series: got nan at \(1, 1\)", lambda: Standardizer(BAD)),
        (ValueError, "split_series: series: got inf", lambda: split_series([1, math.inf], [1, 1])),
        (ValueError, "split_series: lengths: got .* sum to 2", lambda: split_series([1, 2], [1, 2])),
        (TypeError, "windows: series: got <U1", lambda: windows(list("abc"), 1)),
        (ValueError, r"windows: series: got shape \(1, 2, 3\)", lambda: windows(np.zeros((1, 2, 3)), 1)),
        (ValueError, r"Standardizer: series: got shape \(0,\)", lambda: Standardizer([])),
        (ValueError, "got 4 steps, expected at least 5: length=3", lambda: windows(np.arange(4), 3, 2)),
        (ValueError, "windows: horizon: got 0", lambda: windows(np.arange(4), 3, 0)),
        (ValueError, "windows: stride: got 0", lambda: windows(np.arange(4), 3, stride=0)),
        (IndexError, "windows: target: got 1, expected 0 <= column < 1", lambda: windows(np.arange(4), 3, target=1)),
        (
            ValueError,
            r"transform: got shape \(5, 2\), expected \(..., 1\)",
            lambda: Standardizer([1, 2]).transform(np.ones((5, 2))),
        ),
        (IndexError, "inverse_transform: column: got 2", lambda: Standardizer([1, 2]).inverse_transform([1.0], 2)),
    ],
)
def test_bad_series(error, message, make):
    with pytest.raises(error, match=message):
        make()


# Sequences of different lengths -------------------------------------------------------------------------------------


def sequences_of(lengths, *shape):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, *shape)).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("multiple", [1, 4, 16])
def test_pad(shape, multiple):
    sequences = sequences_of([3, 9, 1], *shape)
    padded, lengths = pad(sequences, multiple)
    assert padded.shape == (3, {1: 9, 4: 12, 16: 16}[multiple], *shape) and padded.dtype == np.float32
    assert lengths.tolist() == [3, 9, 1] and lengths.dtype == np.int64
    for row, sequence in zip(padded, sequences, strict=True):
        np.testing.assert_array_equal(row[: len(sequence)], sequence)
        assert not row[len(sequence) :].any()


def test_batches_of_sequences_are_padded():
    lengths = [3, 9, 1, 12, 7]
    sequences = sequences_of(lengths, 2)
    dataset = SequenceDataset(sequences, [0, 1, 2, 3, 4], multiple=1)
    batches = list(DataLoader(dataset, 2))
    assert [x.shape for x, _, _ in batches] == [(2, 9, 2), (2, 12, 2), (1, 7, 2)]
    assert all(isinstance(part, dl.Tensor) for batch in batches for part in batch)
    assert [n for _, part, _ in batches for n in part.tolist()] == lengths
    assert [n for _, _, part in batches for n in part.tolist()] == [0, 1, 2, 3, 4]
    for x, part, y in batches:
        for row, length, label in zip(x.numpy(), part.tolist(), y.tolist(), strict=True):
            np.testing.assert_array_equal(row[:length], sequences[label])
            assert not row[length:].any()
    x, length, label = next(iter(DataLoader(Subset(dataset, [3, 0]), 2)))
    assert x.shape == (2, 12, 2) and length.tolist() == [12, 3] and label.tolist() == [3, 0]
    sequence, length, label = dataset[1]
    assert sequence is dataset.sequences[1] and (length, label) == (9, 1)


def test_few_shapes_are_recorded():
    dataset = SequenceDataset(sequences_of(range(1, 41), 1), np.zeros(40))
    step = dl.record(lambda x, lengths, labels: x.sum())
    for _ in range(5):
        for batch in DataLoader(dataset, 4, shuffle=True, seed=0):
            step(*batch)
    assert len(step.recordings) <= 40 / 8
    dataset.multiple = 40
    assert {x.shape for x, _, _ in DataLoader(dataset, 4)} == {(4, 40, 1)}


def test_tokens_of_different_lengths():
    dataset = SequenceDataset([[1, 2, 3], [4]], np.float32([[0.5], [1.5]]), multiple=1)
    x, lengths, y = next(iter(DataLoader(dataset, 2)))
    assert x.tolist() == [[1, 2, 3], [4, 0, 0]] and x.dtype == np.int64
    assert lengths.tolist() == [3, 1] and y.tolist() == [[0.5], [1.5]]


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "pad: got no sequences", lambda: pad([])),
        (
            ValueError,
            r"pad: sequence 1: got shape \(0, 2\), expected at least one",
            lambda: pad(sequences_of([3, 0], 2)),
        ),
        (ValueError, r"pad: sequence 0: got shape \(\), expected at least one", lambda: pad([1.0])),
        (
            ValueError,
            r"pad: sequence 1: got shape \(3, 1\), expected .* \(3, 2\)",
            lambda: pad(sequences_of([3], 2) + sequences_of([3], 1)),
        ),
        (TypeError, "pad: sequence 1: got int64, expected float32", lambda: pad([[1.0], [1]])),
        (ValueError, "pad: multiple: got 0", lambda: pad([[1.0]], 0)),
        (ValueError, "SequenceDataset: multiple: got -1", lambda: SequenceDataset([[1.0]], [0], -1)),
        (
            ValueError,
            r"SequenceDataset: got 2 sequences and labels of shape \(1,\)",
            lambda: SequenceDataset([[1], [2]], [0]),
        ),
    ],
)
def test_bad_sequences(error, message, make):
    with pytest.raises(error, match=message):
        make()


# Indoor movement ----------------------------------------------------------------------------------------------------

MOVEMENT = {
    "dataset/MovementAAL_target.csv": "#sequence_ID, class_label\n2,1\n10,-1\n3,1\n",
    "groups/MovementAAL_DatasetGroup.csv": "#sequence_ID, dataset_ID\n2,1\n3,2\n10,1\n",
    "dataset/MovementAAL_RSS_2.csv": "#a, b, c, d\n0.5,0,0,-1\n0.25,0,0,1\n",
    "dataset/MovementAAL_RSS_3.csv": "#a, b, c, d\n0.125,0,0,0\n",
    "dataset/MovementAAL_RSS_10.csv": "#a, b, c, d\n1,0,0,0\n1,0,0,0\n1,0,0,0\n",
}


def movement(path, **changed):
    """The files, in a folder or in a zip file; None leaves one out."""
    files = {name: changed.get(name.split("_")[-1].split(".")[0], text) for name, text in MOVEMENT.items()}
    files = {name: text for name, text in files.items() if text is not None}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, text in files.items():
                file.writestr(name, text)
    else:
        for name, text in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
    return path


@pytest.mark.parametrize("name", ["movement", "movement.zip"])
def test_indoor_movement(tmp_path, name):
    path = movement(tmp_path / name)
    dataset = indoor_movement(path)
    assert dataset.lengths.tolist() == [2, 3, 1] and dataset.labels.tolist() == [1, 0, 1]
    assert dataset.sequences[0].tolist() == [[0.5, 0, 0, -1], [0.25, 0, 0, 1]]
    assert dataset.sequences[0].dtype == np.float32 and dataset.labels.dtype == np.int64
    assert indoor_movement(path, groups=[2]).sequences[0].tolist() == [[0.125, 0, 0, 0]]


@pytest.mark.parametrize("name", ["movement", "movement.zip"])
@pytest.mark.parametrize(
    "error, changed, words",
    [
        (FileNotFoundError, {"target": None}, "MovementAAL_target.csv: no such file"),
        (FileNotFoundError, {"3": None}, "MovementAAL_RSS_3.csv: no such file"),
        (ValueError, {"target": "#a, b\n2,0\n"}, "got label 0 and group 1 for sequence 2"),
        (ValueError, {"DatasetGroup": "#a, b\n2,1\n10,1\n"}, "got label 1 and group None for sequence 3"),
        (ValueError, {"target": "#a, b\n2,one\n"}, "MovementAAL_target.csv: line 2: got 'one', expected an integer"),
        (ValueError, {"2": "#a, b, c, d\n1,2,3,x\n"}, "MovementAAL_RSS_2.csv: line 2: got 'x', expected a number"),
        (ValueError, {"2": "#a, b\n1,2\n"}, "MovementAAL_RSS_2.csv: got 2 columns, expected 4"),
        (ValueError, {"2": ""}, "MovementAAL_RSS_2.csv: got an empty file"),
    ],
)
def test_indoor_movement_that_is_not_whole(tmp_path, name, error, changed, words):
    path = movement(tmp_path / name, **changed)
    with pytest.raises(error, match=naming(path, words)):
        indoor_movement(path)


def test_indoor_movement_elsewhere(tmp_path):
    with pytest.raises(FileNotFoundError, match=naming(tmp_path / "nothing")):
        indoor_movement(tmp_path / "nothing")
    path = write(tmp_path / "movement.zip", gzip.compress(b"no zip file"))
    with pytest.raises(ValueError, match=naming(path, "no whole zip file")):
        indoor_movement(path)
    for groups in ([], [0, 1]):
        with pytest.raises(ValueError, match="groups: got"):
            indoor_movement(movement(tmp_path / "whole"), groups=groups)


def test_indoor_movement_with_a_damaged_byte(tmp_path):
    path = movement(tmp_path / "movement.zip")
    content = bytearray(path.read_bytes())
    place = content.index(b"#a, b, c, d\n0.5") + 12
    content[place] ^= 1  # its checksum is wrong now
    path.write_bytes(content)
    with pytest.raises(ValueError, match=naming(path, "MovementAAL_RSS_2.csv: got a file that is not whole")):
        indoor_movement(path)


def test_real_indoor_movement():
    path = real("timeseries/IndoorMovement.zip")
    dataset = indoor_movement(path)
    assert len(dataset) == 314 and dataset.lengths.sum() == 13_197 and dataset.labels.sum() == 158
    assert (dataset.lengths.min(), dataset.lengths.max()) == (19, 129)
    assert all(abs(sequence).max() <= 1 for sequence in dataset.sequences)
    assert sum(len(indoor_movement(path, groups=[group])) for group in (1, 2, 3)) == 314
