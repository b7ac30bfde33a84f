"""Attention: masks that leave no key, dropout, layers with several heads, errors. Values are in ops and parity."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn

N, H, L, S, E = 2, 3, 5, 7, 6


def normal(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def inputs(dtype="float64", grad=False, batch=(N, H), length=L, size=S):
    """A query, a key and a value."""
    shapes = ((*batch, length, E), (*batch, size, E), (*batch, size, 4))
    return [dl.tensor(normal(*s, seed=i, dtype=dtype), requires_grad=grad) for i, s in enumerate(shapes)]


def gradients(y, tensors):
    y.backward(normal(*y.shape, seed=9, dtype=y.dtype))
    return [x.grad.numpy().copy() for x in tensors]


# masks


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [[0], [1, 4], range(L)])
@pytest.mark.parametrize("numbers", [False, True])
def test_a_query_that_sees_no_key_gets_zeros_and_gives_none(rows, numbers, dtype):
    tensors = inputs(dtype, grad=True)
    shown = np.ones((L, S), bool)
    shown[list(rows)] = False
    mask = np.where(shown, 0, -np.inf).astype(dtype) if numbers else shown
    y = F.scaled_dot_product_attention(*tensors, mask)
    full = F.scaled_dot_product_attention(*tensors).numpy()
    for i in range(L):
        np.testing.assert_array_equal(y.numpy()[..., i, :], 0 if i in rows else full[..., i, :])
    dq, dk, dv = gradients(y, tensors)
    assert (dq[:, :, list(rows)] == 0).all()
    assert all(np.isfinite(g).all() for g in (dk, dv))
    if len(rows) == L:
        assert not dk.any() and not dv.any()


def test_causality_and_a_mask_together_may_leave_no_key():
    q, k, v = tensors = inputs(grad=True)
    mask = np.arange(S) >= 2  # behind what the queries 0 and 1 may see
    y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=True)
    assert not y.numpy()[..., :2, :].any() and y.numpy()[..., 2:, :].all()
    np.testing.assert_array_equal(y.numpy()[..., 2, :], v.numpy()[..., 2, :])
    assert all(np.isfinite(g).all() for g in gradients(y, tensors))


def test_nan_and_overflow_stay_visible():
    q, k, v = inputs("float32")
    q.array[0, 0, 1, 0] = np.nan
    y = F.scaled_dot_product_attention(q, k, v).numpy()
    assert np.isnan(y[0, 0, 1]).all() and np.isnan(y).sum() == 4
    q.array[:], k.array[:] = 1e30, -1e30  # all scores are -inf, but no mask said so
    shown = np.arange(S) < 3
    for mask in (None, shown, np.where(shown, 0, -np.inf).astype("float32")):
        assert np.isnan(F.scaled_dot_product_attention(q, k, v, mask).numpy()).all()


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("numbers", [False, True])
def test_a_hidden_key_counts_for_nothing_whatever_its_score(score, numbers):
    q, k, v = inputs()
    shown = np.arange(S) != 4
    mask = np.where(shown, 0, -np.inf) if numbers else shown
    before = F.scaled_dot_product_attention(q, k, v, mask).numpy()
    k.array[..., 4, :] = score
    np.testing.assert_array_equal(F.scaled_dot_product_attention(q, k, v, mask).numpy(), before)


@pytest.mark.parametrize("size", [(L, S), (70, 80)])
def test_all_ways_to_hide_give_the_same_bits(size):
    tensors = inputs("float32", length=size[0], size=size[1])
    causal = F.scaled_dot_product_attention(*tensors, is_causal=True).numpy()
    shown = np.tri(*size, dtype=bool)
    numbers = np.where(shown, 0, -np.inf).astype("float32")
    for mask in (shown, numbers, np.broadcast_to(shown, (N, H, *size)), np.broadcast_to(numbers, (H, *size))):
        np.testing.assert_array_equal(F.scaled_dot_product_attention(*tensors, mask).numpy(), causal)


@pytest.mark.parametrize(
    "shape", [(), (S,), (1,), (L, S), (L, 1), (1, S), (H, 1, S), (N, 1, 1, S), (N, 1, L, S), (1, H, L, S), (N, H, L, S)]
)
@pytest.mark.parametrize("numbers", [False, True])
def test_masks_of_all_shapes_broadcast(shape, numbers):
    tensors = inputs()
    mask = normal(*shape, seed=5) if numbers else normal(*shape, seed=5) < 0.5
    full = np.broadcast_to(mask, (N, H, L, S)).copy()
    wanted = F.scaled_dot_product_attention(*tensors, full).numpy()
    np.testing.assert_array_equal(F.scaled_dot_product_attention(*tensors, np.asarray(mask)).numpy(), wanted)


def test_a_learned_mask_gets_the_sum_of_its_copies_gradients():
    tensors = inputs()
    shared, own = (dl.tensor(np.zeros(s), requires_grad=True) for s in ((H, 1, S), (N, H, L, S)))
    for mask in (shared, own):
        gradients(F.scaled_dot_product_attention(*tensors, mask, scale=0.0), [])
    np.testing.assert_allclose(shared.grad.numpy(), own.grad.numpy().sum((0, 2))[:, None], rtol=1e-12)
    assert own.grad.numpy().any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", ["none", "causal", "bools", "numbers"])
def test_same_bits_for_any_number_of_threads(mask, dtype):
    shape = {"bools": (8, 1, 1, 65), "numbers": (4, 63, 65)}.get(mask)
    given = None if shape is None else normal(*shape, seed=5, dtype=dtype)
    given = given > -1 if mask == "bools" else given
    results = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        tensors = inputs(dtype, True, (8, 4), 63, 65)
        y = F.scaled_dot_product_attention(*tensors, given, is_causal=mask == "causal")
        results.append([y.numpy(), *gradients(y, tensors)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


# dropout


def test_dropout_hits_the_weights():
    q, k, _ = inputs("float32", batch=(4, 5), length=40, size=50)
    eye = np.broadcast_to(np.eye(50, dtype="float32"), (4, 5, 50, 50))
    full = F.scaled_dot_product_attention(q, k, eye).numpy()
    y = F.scaled_dot_product_attention(q, k, eye, dropout_p=0.25).numpy()
    assert abs((y == 0).mean() - 0.25) < 0.01
    np.testing.assert_allclose(y[y != 0], full[y != 0] / 0.75, rtol=1e-6)
    assert not F.scaled_dot_product_attention(q, k, eye, dropout_p=1.0).numpy().any()


@pytest.mark.parametrize("options", [{}, {"dropout_p": 0.3}, {"is_causal": True}, {"attn_mask": np.arange(S) < 4}])
def test_replay_equals_eager(options):
    tensors = inputs("float32", grad=True)

    def step(x):
        for t in tensors:
            t.grad = None
        y = F.scaled_dot_product_attention(tensors[0] + x, *tensors[1:], **options)
        y.backward(np.ones(y.shape, "float32"))
        return y

    dl.record(step).verify(normal(N, H, L, E, dtype="float32"))


def test_a_mask_is_an_argument_like_any_other():
    q, k, v = inputs()
    step = dl.record(lambda mask: F.scaled_dot_product_attention(q, k, v, mask))
    for seed in range(3):
        mask = normal(N, 1, 1, S, seed=seed) < 0.3
        np.testing.assert_array_equal(step(mask).numpy(), F.scaled_dot_product_attention(q, k, v, mask).numpy())
    assert len(step.recordings) == 1


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    "arguments, options, error, text",
    [
        ((zeros(3), zeros(4, 3), zeros(4, 3)), {}, ValueError, r"query has shape \(3,\), expected at least 2 dim"),
        ((zeros(2, 3), zeros(4, 3), zeros(4)), {}, ValueError, r"value has shape \(4,\), expected at least 2 dim"),
        ((zeros(2, 3), zeros(4, 5), zeros(4, 5)), {}, ValueError, r"key has shape \(4, 5\), expected 3 features"),
        ((zeros(2, 3), zeros(4, 3), zeros(5, 3)), {}, ValueError, r"value has shape \(5, 3\), expected length 4"),
        ((zeros(2, 2, 3), zeros(3, 4, 3), zeros(3, 4, 3)), {}, ValueError, r"\(3, 4, 3\), whose batches do not broa"),
        ((zeros(2, 2, 3), zeros(4, 3), zeros(3, 4, 3)), {}, ValueError, "whose batches do not broadcast"),
        ((zeros(2, 3), zeros(4, 3, dtype="float64"), zeros(4, 3)), {}, TypeError, "key is float64, query float32"),
        ((zeros(2, 3, dtype=int),) * 3, {}, TypeError, "query is int64.*expected one float dtype"),
        (
            (zeros(2, 3),) * 3,
            {"attn_mask": zeros(2, 3)},
            ValueError,
            r"\(2, 3\), expected one that broadcasts to \(2, 2\)",
        ),
        ((zeros(2, 3),) * 3, {"attn_mask": zeros(1, 2, 2)}, ValueError, r"mask has shape \(1, 2, 2\)"),
        (
            (zeros(2, 3),) * 3,
            {"attn_mask": zeros(2, 2, dtype=int)},
            TypeError,
            "attn_mask is int64, expected bool",
        ),
        ((zeros(2, 3),) * 3, {"attn_mask": zeros(2, 2, dtype=float)}, TypeError, "attn_mask is float64"),
        ((zeros(2, 3),) * 3, {"dropout_p": 1.5}, ValueError, "p: got 1.5, expected 0 <= p <= 1"),
    ],
)
def test_what_is_refused(arguments, options, error, text):
    with pytest.raises(error, match="^scaled_dot_product_attention: .*" + text):
        F.scaled_dot_product_attention(*arguments, **options)


# layers


def layer(*arguments, **options):
    return nn.MultiheadAttention(*(arguments or (E, H)), dtype="float64", **options)


def linears(model, *arguments):
    """How many products with weights the model makes."""
    step = dl.record(lambda: model(*arguments)[0])
    step()
    return sum(call.kernel.name == "linear" for call in step.last.calls)


def by_hand(model, query, key, value, bias):
    """The output and the weights (N, H, L, S), head by head, for the batch first; `bias` is added to the scores."""
    W, b = np.split(model.in_proj_weight.numpy(), 3), np.split(model.in_proj_bias.numpy(), 3)
    q, k, v = (x @ w.T + c for x, w, c in zip((query, key, value), W, b, strict=True))
    D = E // H
    heads, weights = [], []
    for h in range(H):
        part = slice(h * D, h * D + D)
        scores = q[..., part] @ np.swapaxes(k[..., part], 1, 2) / np.sqrt(D) + bias
        e = np.exp(scores)
        weights.append(e / e.sum(-1, keepdims=True))
        heads.append(weights[-1] @ v[..., part])
    output = np.concatenate(heads, -1) @ model.out_proj.weight.numpy().T + model.out_proj.bias.numpy()
    return output, np.stack(weights, 1)


def test_layer_by_hand():
    model = layer(batch_first=True)
    model.in_proj_bias.array[...] = normal(3 * E, seed=3)
    query, key, value = normal(N, L, E), normal(N, S, E, seed=1), normal(N, S, E, seed=2)
    hide = normal(L, S, seed=4) > 0.8
    y, weights = model(query, key, value, attn_mask=hide)
    output, by_head = by_hand(model, query, key, value, np.where(hide, -np.inf, 0))
    np.testing.assert_allclose(y.numpy(), output, rtol=1e-12)
    np.testing.assert_allclose(weights.numpy(), by_head.mean(1), rtol=1e-12)
    heads = model(query, key, value, attn_mask=hide, average_attn_weights=False)[1]
    np.testing.assert_allclose(heads.numpy(), by_head, rtol=1e-12)
    y, none = model(query, key, value, need_weights=False)
    assert none is None
    np.testing.assert_allclose(y.numpy(), by_hand(model, query, key, value, 0)[0], rtol=1e-12)


@pytest.mark.parametrize("make", [dl.tensor, np.asarray])
def test_one_product_for_what_is_one_tensor(make):
    model = layer(batch_first=True)
    a, b, c = (make(x) for x in (normal(N, L, E), normal(N, L, E, seed=1), normal(N, L, E, seed=2)))
    assert linears(model, a, a, a) == 2  # one of them is out_proj
    assert linears(model, a, b, b) == linears(model, a, a, b) == 3
    assert linears(model, a, b, a) == linears(model, a, b, c) == 4
    wide = layer(E, H, kdim=4)
    assert linears(wide, a, make(normal(N, L, 4)), a) == 4


def test_the_number_of_products_does_not_change_the_result():
    model = layer()
    x = dl.tensor(normal(L, N, E), requires_grad=True)
    results = []
    for arguments in ((x, x, x), (x, x, x.clone()), (x, x.clone(), x), (x.clone(), x, x)):
        x.grad = None
        model.zero_grad()
        y = model(*arguments)[0]
        results.append([y.numpy(), *gradients(y, [x, *model.parameters()])])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_allclose(same, one, rtol=1e-11, atol=1e-13)


def test_layouts():
    first, second = layer(batch_first=True), layer()
    second.load_state_dict(first.state_dict())
    query, key, value = normal(N, L, E), normal(N, S, E, seed=1), normal(N, S, E, seed=2)
    hide = normal(N, S, seed=3) > 1
    y, weights = first(query, key, value, hide)
    turned, same = second(*(x.swapaxes(0, 1) for x in (query, key, value)), hide)
    np.testing.assert_array_equal(turned.numpy().swapaxes(0, 1), y.numpy())
    np.testing.assert_array_equal(same.numpy(), weights.numpy())
    for model in (first, second):  # without a batch they are the same
        for i in range(N):
            one, own = model(query[i], key[i], value[i], hide[i])
            np.testing.assert_allclose(one.numpy(), y.numpy()[i], rtol=1e-13)
            np.testing.assert_allclose(own.numpy(), weights.numpy()[i], rtol=1e-13)


@pytest.mark.parametrize("size", [L, S])  # L = S = N: no shape of a mask tells what it is
def test_masks_of_a_layer_are_joined(size):
    model = layer(batch_first=True)
    x = normal(size, size, E)
    padding, mask = normal(size, size, seed=1) > 0.9, normal(size, size, seed=2) > 0.9
    for each in (padding, mask):
        each[:, 0] = False
    numbers = [np.where(each, -np.inf, 0.0) for each in (padding, mask)]
    full = padding[:, None, None, :] | mask[None, None]
    wanted = model(x, x, x, attn_mask=np.repeat(full, H, 1).reshape(-1, size, size))
    for one in (padding, numbers[0]):
        for other in (mask, numbers[1]):
            for y, same in zip(model(x, x, x, one, attn_mask=other), wanted, strict=True):
                np.testing.assert_allclose(y.numpy(), same.numpy(), rtol=1e-14, atol=1e-16)
    causal = model(x, x, x, padding, is_causal=True)[1].numpy()
    np.testing.assert_array_equal(
        causal != 0, np.broadcast_to(~padding[:, None] & np.tri(size, dtype=bool), causal.shape)
    )


def test_training_with_a_sample_that_is_padding_only():
    model = layer(batch_first=True, dropout=0.2)
    hide = np.array([[False] * 3 + [True] * (S - 3), [True] * S])
    x = dl.tensor(normal(N, S, E), requires_grad=True)

    def step(hide):
        model.zero_grad()
        x.grad = None
        y, weights = model(x, x, x, hide)
        ((y * y).sum() + weights.sum()).backward()
        return y, weights

    recorded = dl.record(step)
    y, weights = recorded(hide)
    assert not weights.numpy()[1].any()
    np.testing.assert_array_equal(y.numpy()[1], np.broadcast_to(model.out_proj.bias.numpy(), (S, E)))
    assert not x.grad.numpy()[1].any() and x.grad.numpy()[0].any()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())
    recorded.verify(hide)


def test_dropout_is_for_training_and_shows_in_the_weights():
    model = layer(E, H, 0.5)
    x = normal(L, N, E)
    assert (model(x, x, x, average_attn_weights=False)[1].numpy() == 0).any()
    model.eval()
    weights = model(x, x, x)[1].numpy()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-12)


def test_initial_values():
    model = nn.MultiheadAttention(64, 4)
    for weight, fans in ((model.in_proj_weight, 4 * 64), (model.out_proj.weight, 2 * 64)):
        bound = np.sqrt(6 / fans)
        assert 0.98 * bound < np.abs(weight.numpy()).max() < bound
        assert weight.numpy().std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    assert not model.in_proj_bias.numpy().any() and not model.out_proj.bias.numpy().any()
    before = model.in_proj_weight.numpy().copy()
    model.out_proj.bias.array[...] = 1
    nn.init.torch_(model)
    assert 0.98 / 8 < np.abs(model.out_proj.weight.numpy()).max() < 1 / 8
    assert not model.out_proj.bias.numpy().any()
    assert (model.in_proj_weight.numpy() != before).any()
    other = nn.MultiheadAttention(64, 4, bias=False, kdim=32, vdim=16)
    for weight, size in ((other.q_proj_weight, 64), (other.k_proj_weight, 32), (other.v_proj_weight, 16)):
        assert weight.shape == (64, size)
        assert 0.97 * np.sqrt(6 / (64 + size)) < np.abs(weight.numpy()).max() < np.sqrt(6 / (64 + size))


def test_in_a_model():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(E, H, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x)[0]

    model = Model()
    assert [name for name, _ in model.named_parameters()] == [
        f"attention.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    ]
    assert "(attention): MultiheadAttention(\n    6, 3, dropout=0.0, batch_first=True" in repr(model)
    with pytest.raises(ValueError, match=r"attention: MultiheadAttention: query has 5 features \(shape \(2, 5, 5\)\)"):
        model(normal(N, L, 5, dtype="float32"))
    assert model.double()(normal(N, L, E)).dtype == "float64"


@pytest.mark.parametrize(
    "arguments, options, text",
    [
        ((6, 4), {}, "num_heads: got 4, expected a divisor of embed_dim=6"),
        ((0, 1), {}, "embed_dim"),
        ((6, 0), {}, "num_heads"),
        ((6, 2), {"kdim": 0}, "kdim"),
        ((6, 2), {"vdim": -1}, "vdim"),
        ((6, 2, 1.5), {}, "dropout: got 1.5"),
        ((6, 2), {"add_bias_kv": True}, "add_bias_kv: got True, but only False"),
        ((6, 2), {"add_zero_attn": True}, "add_zero_attn: got True, but only False"),
    ],
)
def test_layers_that_cannot_be(arguments, options, text):
    with pytest.raises(ValueError, match="^MultiheadAttention: " + text):
        nn.MultiheadAttention(*arguments, **options)


Q, K = zeros(L, N, E), zeros(S, N, E)


@pytest.mark.parametrize(
    "arguments, options, error, text",
    [
        ((Q[..., :4], K, K), {}, ValueError, r"query has 4 features \(shape \(5, 2, 4\)\), expected 6"),
        ((Q, K[..., :4], K), {}, ValueError, "key has 4 features"),
        ((Q, K, K[..., :4]), {}, ValueError, "value has 4 features"),
        ((Q[0, 0], K, K), {}, ValueError, r"query has shape \(6,\).*expected 3 dimensions, or 2"),
        ((Q, K[0], K[0]), {}, ValueError, r"key has shape \(2, 6\), query \(5, 2, 6\)"),
        ((Q, K, Q), {}, ValueError, r"value has shape \(5, 2, 6\), expected length and batch of key \(7, 2, 6\)"),
        ((Q, K[:, :1], K[:, :1]), {}, ValueError, r"key has shape \(7, 1, 6\), expected batch 2 as query"),
        ((Q.astype(float), K, K), {}, TypeError, "float64"),
        ((Q, K, K, zeros(S, N)), {}, ValueError, r"key_padding_mask has shape \(7, 2\), expected \(2, 7\)"),
        ((Q, K, K, zeros(N, S, dtype=int)), {}, TypeError, "key_padding_mask is int64, expected bool or float32"),
        (
            (Q, K, K),
            {"attn_mask": zeros(S, L)},
            ValueError,
            r"attn_mask has shape \(7, 5\), expected \(5, 7\) or",
        ),
        ((Q, K, K), {"attn_mask": zeros(N, L, S)}, ValueError, r"expected \(5, 7\) or \(6, 5, 7\)"),
        (
            (Q, K, K),
            {"attn_mask": zeros(L, S, dtype=float)},
            TypeError,
            "attn_mask is float64, expected bool or float32",
        ),
        (
            (Q[:, 0], K[:, 0], K[:, 0], zeros(1, S)),
            {},
            ValueError,
            r"mask has shape \(1, 7\), expected \(7,\)",
        ),
    ],
)
def test_what_a_layer_refuses(arguments, options, error, text):
    with pytest.raises(error, match="^MultiheadAttention: .*" + text):
        nn.MultiheadAttention(E, H)(*arguments, **options)


@pytest.mark.parametrize("shape", [(0, N, E), (L, 0, E), (0, E)])
def test_empty(shape):
    model = layer()
    x = dl.tensor(zeros(*shape, dtype=float), requires_grad=True)
    y, weights = model(x, x, x)
    gradients(y, [x])
    assert y.shape == shape and weights.shape == (*shape[1:-1], shape[0], shape[0])
    assert not model.in_proj_weight.grad.numpy().any()
