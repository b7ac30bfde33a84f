"""Embeddings and bags of them: padding, norms, threads, replay, and bad arguments."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.functional.embedding import Embedding

MODES = ["sum", "mean", "max"]


def table(rows=6, columns=3, dtype="float64", **options):
    return dl.tensor(np.random.default_rng(0).standard_normal((rows, columns)), dtype, requires_grad=True, **options)


# The node


def test_the_graph_shows_table_and_index():
    w, tokens = table(), dl.tensor([[1, 2]])
    y = F.embedding(tokens, w, padding_idx=-1)
    node = y.edge.node
    assert isinstance(node, Embedding)
    assert node.inputs[0] is w
    assert node.index is tokens
    assert node.padding_idx == 5
    y.sum().backward()
    assert node.freed
    assert not hasattr(node, "inputs")


def test_a_table_that_was_computed():
    w = table()
    F.embedding([1, 1], w * 2).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy()[:, 0], [0, 4, 0, 0, 0, 0])


@pytest.mark.parametrize("kind", [list, np.int32, np.uint8, dl.tensor])
def test_kinds_of_tokens(kind):
    tokens = [[1, 0], [2, 2]]
    given = tokens if kind is list else kind(tokens) if kind is dl.tensor else np.array(tokens, kind)
    w = table()
    np.testing.assert_array_equal(F.embedding(given, w).numpy(), w.numpy()[tokens])


# Padding


@pytest.mark.parametrize("padding", [2, -4])
def test_the_padding_gets_no_gradient(padding):
    w = table()
    v = np.random.default_rng(1).standard_normal((4, 3))
    v[1] = np.nan  # what comes back there does not count at all
    y = F.embedding([0, 2, 0, 3], w, padding)
    np.testing.assert_array_equal(y.numpy(), w.numpy()[[0, 2, 0, 3]])
    y.backward(v)
    wanted = np.zeros((6, 3))
    wanted[0], wanted[3] = v[0] + v[2], v[3]
    np.testing.assert_array_equal(w.grad.numpy(), wanted)


def test_two_lookups_with_different_padding():
    w = table()
    (F.embedding([0, 1], w, 0) + F.embedding([0, 1], w, 1)).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy()[:3, 0], [1, 1, 0])


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_padding_of_a_layer_starts_as_zeros_and_stays(layer):
    embed = layer(5, 3, padding_idx=-2)
    assert embed.padding_idx == 3
    assert not embed.weight.numpy()[3].any()
    assert embed.weight.numpy()[[0, 1, 2, 4]].all()
    embed.reset_parameters_torch()
    assert not embed.weight.numpy()[3].any()
    optimizer = optim.AdamW(embed.parameters(), lr=0.1)
    (embed([[3, 1], [3, 3]]) ** 2).sum().backward()
    before = embed.weight.numpy().copy()
    optimizer.step()
    assert not embed.weight.numpy()[3].any()
    assert (embed.weight.numpy()[1] != before[1]).all()


@pytest.mark.parametrize("mode", MODES)
def test_padding_counts_in_no_bag(mode):
    w = table()
    array = w.numpy()
    array[2] = np.nan
    y = F.embedding_bag([2, 1, 4, 2, 2], w, [0, 3], mode=mode, padding_idx=2)
    pair = array[[1, 4]]
    wanted = {"sum": pair.sum(0), "mean": pair.mean(0), "max": pair.max(0)}[mode]
    np.testing.assert_allclose(y.numpy(), [wanted, np.zeros(3)], rtol=1e-15)
    y.backward(np.ones((2, 3)))
    assert not w.grad.numpy()[[0, 2, 3, 5]].any()
    np.testing.assert_array_equal(w.grad.numpy()[[1, 4]].sum(0), {"sum": [2] * 3}.get(mode, [1] * 3))


def test_weights_of_the_padding_get_no_gradient():
    w, f = table(), dl.tensor([1.0, 2.0, 3.0], "float64", requires_grad=True)
    F.embedding_bag([2, 1, 4], w, [0], mode="sum", per_sample_weights=f, padding_idx=4).sum().backward()
    np.testing.assert_allclose(f.grad.numpy(), [*w.numpy()[[2, 1]].sum(1), 0])
    np.testing.assert_array_equal(w.grad.numpy()[:, 0], [0, 2, 1, 0, 0, 0])


def test_only_the_weights_train():
    w, f = table().detach(), dl.tensor([[1.0, 2.0]], "float64", requires_grad=True)
    F.embedding_bag([[2, 1]], w, mode="sum", per_sample_weights=f).sum().backward()
    np.testing.assert_allclose(f.grad.numpy(), [w.numpy()[[2, 1]].sum(1)])


# Bags


def test_nan_is_a_maximum_and_the_first_of_equals_gets_the_gradient():
    w = dl.tensor([[1.0], [np.nan], [1.0], [0.5]], requires_grad=True)
    y = F.embedding_bag([[0, 1, 3], [3, 2, 0]], w, mode="max")
    np.testing.assert_array_equal(y.numpy(), [[np.nan], [1.0]])
    y.backward([[2.0], [3.0]], on_nonfinite="ignore")
    np.testing.assert_array_equal(w.grad.numpy(), [[0], [2], [3], [0]])


def test_the_mean_of_one_row_is_the_row():
    w = table(dtype="float32")
    np.testing.assert_array_equal(F.embedding_bag(np.arange(6)[:, None], w).numpy(), w.numpy())


@pytest.mark.parametrize("mode", MODES)
def test_bags_without_length(mode):
    y = F.embedding_bag(np.zeros((3, 0), int), table(), mode=mode)
    np.testing.assert_array_equal(y.numpy(), np.zeros((3, 3)))
    assert F.embedding_bag(np.zeros(0, int), table(), np.zeros(0, int), mode=mode).shape == (0, 3)
    assert F.embedding_bag(np.zeros(0, int), table(), [0], mode=mode, include_last_offset=True).shape == (0, 3)


# Norms


@pytest.mark.parametrize("order", [2.0, 1.0, np.inf, 3.0])
def test_only_rows_that_are_looked_up_and_too_long_change(order):
    w = table()
    array = w.numpy()
    array[4] *= 0.01
    before = array.copy()
    y = F.embedding([1, 4, 1, 3], w, max_norm=0.5, norm_type=order)
    lengths = np.linalg.norm(array, order, axis=1)
    np.testing.assert_allclose(lengths[[1, 3]], 0.5, rtol=1e-6)
    np.testing.assert_allclose(array[1] / before[1], 0.5 / np.linalg.norm(before[1], order), rtol=1e-6)
    np.testing.assert_array_equal(array[[0, 2, 4, 5]], before[[0, 2, 4, 5]])
    np.testing.assert_array_equal(y.numpy(), array[[1, 4, 1, 3]])
    y.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy()[:, 0], [0, 2, 0, 1, 1, 0])


@pytest.mark.parametrize("mode", MODES)
def test_norms_in_bags(mode):
    one, other = table(), table()
    F.embedding([1, 2, 1], one, max_norm=0.1)
    y = F.embedding_bag([1, 2, 1], other, [0], max_norm=0.1, mode=mode)
    np.testing.assert_array_equal(other.numpy(), one.numpy())
    np.testing.assert_array_equal(y.numpy(), F.embedding_bag([1, 2, 1], one, [0], mode=mode).numpy())


def test_norms_of_a_table_that_was_computed():
    with pytest.raises(RuntimeError, match="embedding: the tensor was made by mul, and backward needs that"):
        F.embedding([1], table() * 2, max_norm=1.0)


def test_nan_in_a_row_is_not_hidden():
    w = table()
    w.array[1, 0] = np.nan
    y = F.embedding([1], w, max_norm=1e-3)
    assert np.isnan(y.numpy()[0, 0])


def test_norms_of_a_table_that_the_step_has_read():
    embed = nn.Embedding(4, 2, max_norm=1.0).requires_grad_(False)

    @dl.record
    def step(tokens):
        embed.weight.numpy()
        return embed(tokens)

    with pytest.raises(RuntimeError, match="the step has read the values"):
        step([1, 2])


# Threads


def gradients(call, arrays, threads):
    dl.set_num_threads(threads)
    inputs = [dl.tensor(array, requires_grad=True) for array in arrays]
    y = call(*inputs)
    y.backward(np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype))
    return [y.numpy(), *(x.grad.numpy() for x in inputs)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["embedding", *MODES, "weights"])
@pytest.mark.parametrize("rows, columns", [(3000, 200), (5000, 9)])
def test_many_tokens_on_any_number_of_threads(rows, columns, kind, dtype):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, rows, 8000) ** 2 // rows  # some are frequent
    cuts = np.sort(rng.integers(0, 8000, 99))
    offsets = np.concatenate([[0], cuts])
    arrays = [rng.standard_normal((rows, columns)).astype(dtype)]
    if kind == "weights":
        arrays.append(rng.standard_normal(8000).astype(dtype))

    def call(w, *weights):
        if kind == "embedding":
            return F.embedding(tokens, w)
        mode, given = ("sum", weights[0]) if weights else (kind, None)
        return F.embedding_bag(tokens, w, offsets, mode=mode, per_sample_weights=given)

    one = gradients(call, arrays, 1)
    for threads in (2, 3, 7):
        for a, b in zip(one, gradients(call, arrays, threads), strict=True):
            np.testing.assert_array_equal(a, b)
    if kind in ("embedding", "sum", "weights"):  # the sums, by NumPy
        v = np.random.default_rng(1).standard_normal(one[0].shape).astype(dtype).astype("float64")
        v = v if kind == "embedding" else v.repeat(np.diff([*offsets, 8000]), axis=0)
        factors = arrays[1].astype("float64")[:, None] if kind == "weights" else 1
        wanted = np.zeros((rows, columns))
        np.add.at(wanted, tokens, factors * v)
        tolerance = 1e-4 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(one[1], wanted, rtol=tolerance, atol=tolerance)
        if kind == "weights":
            wanted = (v * arrays[0].astype("float64")[tokens]).sum(1)
            np.testing.assert_allclose(one[2], wanted, rtol=tolerance, atol=tolerance)


# Recording


def batches(count, shape, rows, seed=0):
    return np.random.default_rng(seed).integers(0, rows, (count, *shape))


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"max_norm": 0.7}, {"max_norm": 0.7, "norm_type": 1.0}])
def test_a_recorded_training_step_equals_eager(options):
    """Tokens and targets change from step to step."""
    models, optimizers = [], []
    for _ in range(2):
        dl.manual_seed(0)
        models.append(nn.Sequential(nn.Embedding(7, 4, **options), nn.Flatten(), nn.Linear(12, 7)))
        optimizers.append(optim.Adam(models[-1].parameters(), lr=0.05))

    def step_of(model, optimizer):
        def step(tokens, targets):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(tokens), targets)
            loss.backward()
            optimizer.step()
            return loss

        return step

    eager, recorded = step_of(models[0], optimizers[0]), dl.record(step_of(models[1], optimizers[1]))
    for tokens in batches(6, (5, 3), 7):
        targets = tokens[:, 0]
        assert eager(tokens, targets).item() == recorded(tokens, targets).item()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert len(recorded.recordings) == 1
    recorded.verify(tokens, targets)


@pytest.mark.parametrize("mode", MODES)
def test_offsets_may_change_between_replays(mode):
    w = table()

    def step(tokens, offsets):
        w.grad = None
        y = F.embedding_bag(tokens, w, offsets, mode=mode, padding_idx=0)
        y.sum().backward()
        return y

    recorded = dl.record(step)
    tokens = batches(4, (6,), 6)
    for row, offsets in zip(tokens, ([0, 2, 4], [0, 0, 6], [0, 1, 1], [0, 3, 5]), strict=True):
        y, gradient = recorded(row, offsets).numpy().copy(), w.grad.numpy().copy()
        np.testing.assert_array_equal(y, step(row, offsets).numpy())
        np.testing.assert_array_equal(gradient, w.grad.numpy())
    assert len(next(iter(recorded.recordings.values()))) == 1
    with pytest.raises(IndexError, match=r"offsets\[2\] is 1, expected 2 to 6"):
        recorded(row, [0, 2, 1])
    with pytest.raises(IndexError, match=r"input\[5\] is 6, expected 0 <= input < 6"):
        recorded([0, 1, 2, 3, 4, 6], [0, 2, 4])
    np.testing.assert_array_equal(recorded(row, offsets).numpy(), y)


def test_a_bad_token_at_replay_changes_nothing():
    embed = nn.Sequential(nn.Embedding(4, 2, max_norm=0.1))
    step = dl.record(embed)
    step([0, 1])
    before = embed[0].weight.numpy().copy()
    with pytest.raises(IndexError, match=r"0: embedding: input\[1\] is 4, expected 0 <= input < 4"):
        step([2, 4])
    np.testing.assert_array_equal(embed[0].weight.numpy(), before)


# Layers


def test_initial_values():
    embed = nn.Embedding(300, 200, dtype="float64")
    values = embed.weight.numpy()
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
    dl.manual_seed(3)
    again = nn.init.torch_(embed).weight.numpy().copy()
    dl.manual_seed(3)
    np.testing.assert_array_equal(nn.Embedding(300, 200, dtype="float64").weight.numpy(), again)


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_from_pretrained(layer):
    values = np.random.default_rng(0).standard_normal((4, 3))
    dl.manual_seed(0)
    frozen = layer.from_pretrained(values, padding_idx=1)
    assert (frozen.num_embeddings, frozen.embedding_dim, frozen.padding_idx) == (4, 3, 1)
    assert not frozen.weight.requires_grad
    np.testing.assert_array_equal(frozen.weight.numpy(), values)
    assert frozen.weight.dtype == "float64"
    values[0] = 9
    assert frozen.weight.numpy()[0, 0] != 9
    assert layer.from_pretrained(values, freeze=False).weight.requires_grad
    assert not frozen([[0, 1]]).requires_grad


def test_options_of_a_pretrained_bag():
    values = np.arange(6.0).reshape(3, 2)
    layer = nn.EmbeddingBag.from_pretrained(values, mode="max", include_last_offset=True, padding_idx=2, max_norm=4.0)
    np.testing.assert_allclose(layer([0, 1, 2], [0, 2, 3]).numpy(), [[2, 3], [0, 0]], rtol=1e-6)


# Bad arguments


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda w: F.embedding([0, 6], w), IndexError, r"embedding: input\[1\] is 6, expected 0 <= input < 6"),
        (lambda w: F.embedding([[0], [-1]], w), IndexError, r"input\[1, 0\] is -1, expected 0 <= input < 6"),
        (lambda w: F.embedding(np.array(7), w), IndexError, "input is 7"),
        (lambda w: F.embedding([7], w, max_norm=1.0), IndexError, r"input\[0\] is 7"),
        (lambda w: F.embedding([0.0], w), TypeError, "embedding: input is float32, expected int64"),
        (lambda w: F.embedding([True], w), TypeError, "input is bool"),
        (lambda w: F.embedding([0], [[1]]), TypeError, "weight is int64, expected float32 or float64"),
        (lambda w: F.embedding([0], w[0]), ValueError, r"weight has shape \(3,\), expected \(num_embeddings"),
        (
            lambda w: F.embedding([0], w, 6),
            ValueError,
            "padding_idx: got 6, expected an integer with -6 <= padding_idx",
        ),
        (lambda w: F.embedding([0], w, -7), ValueError, "padding_idx: got -7"),
        (lambda w: F.embedding([0], w, 1.0), ValueError, "padding_idx: got 1.0"),
        (lambda w: F.embedding([0], w, max_norm=0), ValueError, "max_norm: got 0, expected a number > 0"),
        (lambda w: F.embedding([0], w, max_norm=float("nan")), ValueError, "max_norm: got nan"),
        (lambda w: F.embedding([0], w, max_norm="2"), ValueError, "max_norm: got '2'"),
        (lambda w: F.embedding([0], w, max_norm=1, norm_type=float("nan")), ValueError, "p: got nan"),
        (lambda w: F.embedding_bag([0, 7], w, [0]), IndexError, r"embedding_bag: input\[1\] is 7"),
        (lambda w: F.embedding_bag([0, 1], w, [1]), IndexError, r"embedding_bag: offsets\[0\] is 1, expected 0;"),
        (lambda w: F.embedding_bag([0, 1], w, [0, 3]), IndexError, r"offsets\[1\] is 3, expected 0 to 2;"),
        (lambda w: F.embedding_bag([0, 1], w, [0, 2, 1]), IndexError, r"offsets\[2\] is 1, expected 2;"),
        (lambda w: F.embedding_bag([0, 1], w, [0, -1]), IndexError, r"offsets\[1\] is -1, expected 0 to 2"),
        (
            lambda w: F.embedding_bag([0, 1], w, [0, 1], include_last_offset=True),
            IndexError,
            r"offsets\[1\] is 1, expected 2",
        ),
        (lambda w: F.embedding_bag([0, 1], w, [0], include_last_offset=True), ValueError, r"expected \(B \+ 1,\)"),
        (
            lambda w: F.embedding_bag([0, 1], w, np.zeros(0, int)),
            ValueError,
            r"offsets has shape \(0,\), expected \(B,\)",
        ),
        (lambda w: F.embedding_bag([0, 1], w, [[0]]), ValueError, r"offsets has shape \(1, 1\)"),
        (lambda w: F.embedding_bag([0, 1], w, [0.0]), TypeError, "offsets is float32, expected int64"),
        (lambda w: F.embedding_bag([0, 1], w), ValueError, "got no offsets"),
        (lambda w: F.embedding_bag([[0, 1]], w, [0]), ValueError, "got offsets for input of shape"),
        (lambda w: F.embedding_bag([[[0]]], w), ValueError, r"input has shape \(1, 1, 1\)"),
        (lambda w: F.embedding_bag([[0]], w, mode="min"), ValueError, "mode: got 'min', expected one of 'mean'"),
        (
            lambda w: F.embedding_bag([[0]], w, per_sample_weights=[[1.0]]),
            ValueError,
            "per_sample_weights: got them with mode 'mean', expected mode 'sum'",
        ),
        (
            lambda w: F.embedding_bag([[0]], w, mode="sum", per_sample_weights=[1.0]),
            ValueError,
            r"per_sample_weights has shape \(1,\), expected \(1, 1\)",
        ),
        (
            lambda w: F.embedding_bag([[0]], w, mode="sum", per_sample_weights=dl.tensor([[1.0]])),
            TypeError,
            "per_sample_weights is float32, expected float64",
        ),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call(table())


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: nn.Embedding(-1, 3), ValueError, "Embedding: num_embeddings: got -1"),
        (lambda: nn.Embedding(2, 3.0), ValueError, "Embedding: embedding_dim: got 3.0"),
        (lambda: nn.Embedding(2, 3, 2), ValueError, "Embedding: padding_idx: got 2, expected .*-2 <= padding_idx < 2"),
        (lambda: nn.Embedding(2, 3, max_norm=-1.0), ValueError, "Embedding: max_norm: got -1.0"),
        (lambda: nn.Embedding(2, 3, dtype="int64"), TypeError, "Embedding: dtype: got int64"),
        (lambda: nn.EmbeddingBag(2, 3, mode="min"), ValueError, "EmbeddingBag: mode: got 'min'"),
        (lambda: nn.EmbeddingBag(2, 3, padding_idx=-3), ValueError, "EmbeddingBag: padding_idx: got -3"),
        (
            lambda: nn.Embedding.from_pretrained([1.0]),
            ValueError,
            r"Embedding.from_pretrained: embeddings has shape \(1,\)",
        ),
        (lambda: nn.Embedding.from_pretrained([[1]]), TypeError, "Embedding: dtype: got int64"),
    ],
)
def test_bad_layers(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_bad_token_names_the_layer():
    model = nn.ModuleDict({"words": nn.Embedding(5, 3, padding_idx=0)})
    wanted = (
        r"^words: Embedding\(5, 3, padding_idx=0\): input\[0, 1\] is 5, expected 0 <= input < 5 \(the rows of weight\)$"
    )
    with pytest.raises(IndexError, match=wanted):
        model["words"]([[1, 5]])
