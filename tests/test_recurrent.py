"""Recurrent layers and cells: gradients through time, recording, threads, padding, norms, memory, bad input.

The functions are checked from the declarations in `ops/recurrent.py`, the layers beside PyTorch's in `parity`.
"""

import copy
import gc
import math
import os
import tracemalloc
import weakref

import numpy as np
import pytest
from ops.recurrent import lstm, through

import minidl as dl
from minidl import engine, nn, optim
from minidl import functional as F
from minidl.functional.embedding import embedding

NAN = float("nan")
KINDS = {
    "RNN": (nn.RNN, {}),
    "RNN relu": (nn.RNN, {"nonlinearity": "relu"}),
    "LSTM": (nn.LSTM, {}),
    "LSTM peephole": (nn.LSTM, {"peephole": True}),
    "GRU": (nn.GRU, {}),
}
CELLS = {"RNN": nn.RNNCell, "RNN relu": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
DEEP = {"num_layers": 2, "bidirectional": True}


def sample(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def make(kind, *sizes, dtype="float64", **options):
    """A layer with no parameter at 0, and none so large that numbers explode."""
    make_layer, settings = KINDS[kind]
    layer = make_layer(*sizes, dtype=dtype, **settings, **options)
    for i, parameter in enumerate(layer.parameters()):
        parameter.array[...] = sample(*parameter.shape, seed=i) / math.sqrt(layer.hidden_size)
    return layer


def flat(result):
    """The outputs, and the last states behind them."""
    return [x for part in result for x in flat(part)] if isinstance(result, tuple) else [result]


def hx(states):
    """A state as a layer takes it."""
    return tuple(states) if len(states) > 1 else states[0]


def leaves(*arrays):
    return [dl.tensor(array, requires_grad=True) for array in arrays]


def objective(result):
    """A scalar to which every number of a result contributes its own share."""
    return sum((y * sample(*y.shape, seed=i, dtype=y.dtype)).sum() for i, y in enumerate(flat(result)))


def gradients(layer, *tensors):
    """Copies of the gradients of a layer's parameters and of tensors."""
    return [x.grad.numpy().copy() for x in (*layer.parameters(), *tensors)]


def assert_same(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_close(ones, others, rtol=1e-11):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


def states_of(layer, batch, seed=10):
    """Random states to start from."""
    count = layer.num_layers * (1 + layer.bidirectional)
    return [sample(count, batch, layer.hidden_size, seed=seed + i) for i in range(len(layer.states))]


# Gradients -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [None, [2, 3, 1]])
@pytest.mark.parametrize("options", [{}, DEEP, {"bias": False, "batch_first": True, "bidirectional": True}])
@pytest.mark.parametrize("kind", KINDS)
def test_central_differences(kind, options, lengths):
    layer = make(kind, 2, 2, **options)
    x, *states = leaves(sample(3, 3, 2), *states_of(layer, 3))
    lengths = None if lengths is None else np.array(lengths)

    def run():
        return objective(layer(x, hx(states), lengths))

    run().backward()
    step = 1e-5
    for tensor in (x, *states, *layer.parameters()):
        numeric = np.empty(tensor.shape)
        for i in np.ndindex(tensor.shape):
            value, ends = tensor.array[i], []
            for changed in (value + step, value - step):
                tensor.array[i] = changed
                with dl.no_grad():
                    ends.append(run().item())
            tensor.array[i] = value
            numeric[i] = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(tensor.grad.numpy(), numeric, rtol=1e-6, atol=1e-8)


def test_peepholes_step_by_step():
    layer = make("LSTM peephole", 3, 4)
    x, (h, c) = sample(5, 2, 3), states_of(layer, 2)
    w_ih, w_hh, b_ih, b_hh, p = (parameter.numpy() for parameter in layer.parameters())
    y, (h_n, c_n) = layer(x, (h, c))
    expected = through(lstm, x @ w_ih.T + b_ih + b_hh, [h[0], c[0]], w_hh, p)
    np.testing.assert_allclose(np.concatenate([y.numpy(), h_n.numpy(), c_n.numpy()]), expected, rtol=1e-12)
    assert layer.weight_peephole_l0.shape == (3, 4)


def unrolled(cell, x, states, nudges, lengths, reverse):
    """Cells one after the other; the gradient of nudges[t] is dE/dh_t."""
    T = len(x)
    y = [None] * T
    for t in reversed(range(T)) if reverse else range(T):
        after = cell(x[t], hx(states))
        h, *rest = after if isinstance(after, tuple) else (after,)
        inside = (t < lengths)[:, None]
        states = [F.where(inside, new, old) for new, old in zip((h + nudges[t], *rest), states, strict=True)]
        y[t] = F.where(inside, states[0], 0.0)
    return F.stack(y), *states


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [[5, 5, 5], [2, 5, 1]])
@pytest.mark.parametrize("kind", CELLS)
def test_cells_and_norms(kind, lengths, reverse):
    """A layer equals its cell, unrolled, with the gradients; its norms are those of dE/dh_t that autograd finds."""
    layer, lengths = make(kind, 3, 4, bidirectional=reverse), np.array(lengths)
    cell = CELLS[kind](3, 4, dtype="float64", **KINDS[kind][1])
    suffix = "_l0_reverse" if reverse else "_l0"
    cell.load_state_dict({name: getattr(layer, name + suffix) for name, _ in cell.named_parameters()})
    arrays = [sample(5, 3, 3), *(state[0] for state in states_of(layer, 3))]
    a, *first = leaves(*arrays)
    nudges = leaves(*np.zeros((5, 3, 4)))
    expected = unrolled(cell, a, first, nudges, lengths, reverse)

    b, *others = leaves(*arrays)
    states = [F.stack([state * 0.0, state] if reverse else [state]) for state in others]
    y, last = layer(b, hx(states), None if lengths.min() == 5 else lengths)
    computed = [y[..., -4:], *(state[-1] for state in flat(last))]
    assert_close([x.numpy() for x in computed], [x.numpy() for x in expected])
    objective(expected).backward()
    objective(tuple(computed)).backward()
    parameters = [getattr(layer, name + suffix) for name, _ in cell.named_parameters()]
    assert_close(gradients(cell, a, *first), [x.grad.numpy() for x in (*parameters, b, *others)])
    norms = [math.sqrt((nudge.grad.numpy() ** 2).sum()) for nudge in nudges]
    np.testing.assert_allclose(layer.gradient_norms()[suffix[1:]], norms, rtol=1e-12)


def test_a_batch_of_one_is_a_single_sequence():
    layer = make("LSTM", 3, 4, **DEEP)
    x, states = sample(5, 3), states_of(layer, 1)
    y, last = layer(x, tuple(state[:, 0] for state in states))
    batched, last_batched = layer(x[:, None], tuple(states))
    assert_same([y.numpy(), *(s.numpy() for s in last)], [z.numpy()[:, 0] for z in flat((batched, last_batched))])


# How graphs use layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_last_state_is_used(kind):
    """The gradient is that of an output of zeros beside it."""
    layer = make(kind, 3, 4, **DEEP)
    found = []
    for lengths in (None, np.array([2, 5, 1])):
        for share in (None, 0.0):
            (x,) = leaves(sample(5, 3, 3))
            layer.zero_grad()
            y, state = layer(x, None, lengths)
            loss = objective(state)
            (loss if share is None else loss + (y * share).sum()).backward()
            found.append(gradients(layer, x))
        assert_same(found[-1], found[-2])
        assert np.abs(found[-1][0]).max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_twice_in_a_graph(kind):
    """The weights' gradients are the sum of those of both runs."""
    layer = make(kind, 3, 3)
    (x,) = leaves(sample(5, 2, 3))
    middle, state = layer(x)
    objective(layer(middle, state)).backward()
    both = gradients(layer, x)
    layer.zero_grad()
    first, second = layer, copy.deepcopy(layer)
    x.grad = None
    middle, state = first(x)
    objective(second(middle, state)).backward()
    parts = zip(gradients(first, x), [*gradients(second), 0.0], strict=True)
    assert_close(both, [one + other for one, other in parts], 1e-13)


def test_tied_weights():
    layer, apart = make("GRU", 3, 4, num_layers=2), make("GRU", 3, 4, num_layers=2)
    layer.weight_hh_l1 = layer.weight_hh_l0
    apart.weight_hh_l1.array[...] = apart.weight_hh_l0.array
    for model in (layer, apart):
        objective(model(sample(5, 2, 3))).backward()
    total = apart.weight_hh_l0.grad.numpy() + apart.weight_hh_l1.grad.numpy()
    np.testing.assert_allclose(layer.weight_hh_l0.grad.numpy(), total, rtol=1e-13)
    assert len(list(layer.parameters())) == len(list(apart.parameters())) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_weights(kind):
    layer = make(kind, 3, 4, **DEEP)
    (x,) = leaves(sample(5, 2, 3))
    objective(layer(x)).backward()
    wanted = gradients(layer, x)
    for names in (("weight_hh",), ("weight_ih", "bias_hh"), ("bias", "weight_peephole"), ("weight", "bias")):
        layer.zero_grad()
        x.grad = None
        for name, parameter in layer.named_parameters():
            parameter.requires_grad = not name.startswith(names)
        objective(layer(x)).backward()
        for parameter, gradient in zip([*layer.parameters(), x], wanted, strict=True):
            if parameter.requires_grad:
                np.testing.assert_array_equal(parameter.grad.numpy(), gradient)
            else:
                assert parameter.grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_backward_twice(kind):
    layer = make(kind, 3, 4, **DEEP)
    (x,) = leaves(sample(5, 2, 3))
    loss = objective(layer(x, None, np.array([3, 5])))
    loss.backward(retain_graph=True)
    once, norms = gradients(layer, x), layer.gradient_norms()
    loss.backward()
    assert_same(gradients(layer, x), [2 * gradient for gradient in once])
    assert_same(layer.gradient_norms().values(), norms.values())
    with pytest.raises(RuntimeError, match="was freed by an earlier backward"):
        loss.backward()


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_back_propagation(kind):
    """The parts of a long sequence have its values; gradients stop where the state was detached."""
    layer = make(kind, 3, 4, num_layers=2)
    x = sample(9, 2, 3)
    whole = flat(layer(x))
    first, second = leaves(x[:4], x[4:])
    y, state = layer(first)
    state = hx([s.detach() for s in flat(state)])
    z, last = layer(second, state)
    assert_close([F.cat([y, z]).numpy(), *(s.numpy() for s in flat(last))], [w.numpy() for w in whole], 1e-13)
    objective((z, last)).backward()
    assert first.grad is None
    truncated = gradients(layer, second)
    layer.zero_grad()
    second.grad = None
    objective(layer(second, hx([s.numpy().copy() for s in flat(state)]))).backward()
    assert_same(truncated, gradients(layer, second))


def test_outputs_cannot_be_changed_while_the_graph_needs_them():
    """y shares memory with what backward reads."""
    layer = make("GRU", 3, 4)
    objective(layer(sample(5, 2, 3))).backward()
    wanted = gradients(layer)
    layer.zero_grad()
    y, h = layer(sample(5, 2, 3))
    with pytest.raises(RuntimeError, match=r"mul_: the tensor was made by GRU: gru, and backward needs that"):
        y.mul_(2)
    z = y
    z *= 2  # another tensor
    z = nn.ReLU(inplace=True)(y)
    assert z is not y
    objective((y, h)).backward()
    assert_same(gradients(layer), wanted)
    with dl.no_grad():
        y, h = layer(sample(5, 2, 3))
        before = h.numpy().copy()
        y.zero_()
    np.testing.assert_array_equal(h.numpy(), before)


def test_without_gradients_there_is_no_graph():
    layer = make("LSTM", 3, 4)
    x = sample(5, 2, 3)
    expected = flat(layer(x))
    with dl.no_grad():
        found = flat(layer(x))
    assert_same([y.numpy() for y in found], [y.numpy() for y in expected])
    assert not any(y.requires_grad or y.node is not None for y in found)
    layer.requires_grad_(False)
    assert not any(y.requires_grad for y in flat(layer(x)))
    assert layer.gradient_norms()["l0"].size == 0


def test_the_graph_goes_without_the_garbage_collector():
    gc.disable()
    try:
        layer = make("LSTM", 3, 4)
        y, _ = layer(sample(5, 2, 3))
        edge = weakref.ref(y.edge)
        del y, _
        assert edge() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("function, gates", [(F.rnn, 1), (F.lstm, 4), (F.gru, 3)])
def test_what_backward_does_not_need_goes_at_once(function, gates):
    (x, h), w = leaves(sample(5, 2, 4 * gates), sample(2, 4)), sample(4 * gates, 4)
    names = ["h_0", "c_0"] if function is F.lstm else ["h_0"]
    inputs = [x * 1.0, *(h * 1.0 for _ in names)]
    references = [weakref.ref(tensor) for tensor in inputs]
    y = function(inputs.pop(0), w, **dict(zip(names, inputs, strict=True)))[0]
    inputs.clear()
    assert all(reference() is None for reference in references)
    objective(y).backward()
    assert x.grad.numpy().any() and h.grad.numpy().any()


def test_deepcopy():
    layer = make("LSTM peephole", 3, 4)
    objective(layer(sample(5, 2, 3))).backward()
    other = copy.deepcopy(layer)
    norms = layer.gradient_norms()
    (2 * objective(other(sample(5, 2, 3)))).backward()
    assert_same(layer.gradient_norms().values(), norms.values())
    np.testing.assert_allclose(other.gradient_norms()["l0"], 2 * norms["l0"], rtol=1e-14)


def test_another_dtype():
    layer = make("GRU", 3, 4, dtype="float32", **DEEP)
    x = sample(5, 2, 3, dtype="float32")
    y, h = layer(x)
    assert y.dtype == h.dtype == np.float32
    assert layer.double() is layer
    z, h = layer(x.astype("float64"))
    assert z.dtype == h.dtype == np.float64
    np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-5, atol=1e-6)
    objective((z, h)).backward()
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype("float64")}


# Dropout --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
def test_dropout_between_layers(bidirectional):
    layer = make("GRU", 3, 4, num_layers=2, dropout=0.5, bidirectional=bidirectional)
    x = sample(5, 2, 3)
    lower = make("GRU", 3, 4, bidirectional=bidirectional)
    upper = make("GRU", 4 * (1 + bidirectional), 4, bidirectional=bidirectional)
    own = dict(layer.named_parameters())
    for i, part in enumerate((lower, upper)):
        part.load_state_dict({name: own[name.replace("_l0", f"_l{i}")] for name, _ in part.named_parameters()})
    for _ in range(2):
        dl.manual_seed(3)
        y, _ = layer(x)
        dl.manual_seed(3)
        np.testing.assert_array_equal(y.numpy(), upper(F.dropout(lower(x)[0], 0.5))[0].numpy())
    assert np.any(layer(x)[0].numpy() != y.numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].numpy(), upper(lower(x)[0])[0].numpy())


def test_dropout_with_one_layer():
    with pytest.warns(UserWarning, match="LSTM: dropout acts between layers, but num_layers is 1") as caught:
        layer = nn.LSTM(3, 4, dropout=0.5)
    assert caught[0].filename == __file__
    x = sample(5, 2, 3, dtype="float32")
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())


# Lengths --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_the_padding(kind, batch_first):
    """Neither NaN in the padding of the input, nor in that of the output's gradient, reaches anything."""
    layer, lengths = make(kind, 3, 4, batch_first=batch_first, **DEEP), np.array([2, 5, 1])
    inside = (np.arange(5)[:, None] < lengths)[..., None]
    inside = inside.swapaxes(0, 1) if batch_first else inside
    found = []
    for padding in (0.0, NAN, np.inf):
        (x,) = leaves(np.where(inside, sample(*inside.shape[:2], 3), padding))
        layer.zero_grad()
        y, state = layer(x, None, lengths)
        y.backward(np.where(inside, sample(*y.shape), padding))
        objective(layer(x, None, lengths)[1]).backward()
        np.testing.assert_array_equal(y.numpy()[~inside[..., 0]], 0)
        np.testing.assert_array_equal(x.grad.numpy()[~inside[..., 0]], 0)
        found.append([y.numpy(), *(s.numpy() for s in flat(state)), *gradients(layer, x)])
    for array in found[0]:
        assert np.isfinite(array).all()
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


@pytest.mark.parametrize("function, gates", [(F.rnn, 1), (F.lstm, 4), (F.gru, 3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_nan_in_the_padding_of_a_function(function, gates, reverse):
    lengths = np.array([2, 5, 1])
    inside = (np.arange(5)[:, None] < lengths)[..., None]
    found = []
    for padding in (0.0, NAN):
        x, w = leaves(np.where(inside, sample(5, 3, 4 * gates), padding), sample(4 * gates, 4))
        y, *last = function(x, w, reverse=reverse, lengths=lengths)
        objective(tuple(last)).backward()
        y, *_ = function(x, w, reverse=reverse, lengths=lengths)
        y.backward(np.where(inside, sample(*y.shape), padding))
        found.append([y.numpy(), *(s.numpy() for s in last), x.grad.numpy(), w.grad.numpy()])
    assert_same(*found)
    assert np.isfinite(found[1][-1]).all()


def test_sequences_of_a_padded_batch_are_independent():
    """Each has the numbers that it has alone, without padding."""
    layer, lengths = make("LSTM", 3, 4, **DEEP), np.array([2, 5, 1])
    x, states = sample(5, 3, 3), states_of(layer, 3)
    y, last = layer(x, tuple(states), lengths)
    for b, length in enumerate(lengths):
        alone, alone_last = layer(x[:length, b], tuple(s[:, b] for s in states))
        np.testing.assert_array_equal(y.numpy()[:length, b], alone.numpy())
        assert_same([s.numpy()[:, b] for s in last], [s.numpy() for s in alone_last])


def test_a_packed_batch_equals_lengths():
    layer, lengths = make("LSTM", 3, 4, **DEEP), np.array([2, 5, 1])
    states = tuple(states_of(layer, 3))
    packed = nn.utils.rnn.pack_padded_sequence(sample(5, 3, 3), lengths, enforce_sorted=False)
    y, last = layer(packed, states)
    wanted, wanted_last = layer(sample(5, 3, 3), states, lengths)
    assert_same([s.numpy() for s in last], [s.numpy() for s in wanted_last])
    np.testing.assert_array_equal(nn.utils.rnn.pad_packed_sequence(y)[0].numpy(), wanted.numpy())


# Recording ------------------------------------------------------------------------------------------------------------


def trained(layer, record):
    """A training step with carried state; alike but for the recording."""
    optimizer = optim.SGD(layer.parameters(), 0.1)

    def step(x, lengths, *states):
        optimizer.zero_grad()
        y, last = layer(x, hx(states), lengths)
        F.tanh(objective((y, last)) * 0.1).backward()
        optimizer.step()
        return y, *(state.detach() for state in flat(last))

    return dl.record(step) if record else step


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_replay_equals_eager_bit_for_bit(kind, dtype):
    """With lengths that change, a state that is carried on, and two numbers of steps that alternate."""
    layers = [make(kind, 3, 5, dtype=dtype, **DEEP) for _ in range(2)]
    steps = [trained(layer, record) for layer, record in zip(layers, (False, True), strict=True)]
    states = [[s.astype(dtype) for s in states_of(layer, 4)] for layer in layers]
    for i in range(8):
        T = (3, 7)[i % 2]
        x, lengths = sample(T, 4, 3, seed=i, dtype=dtype), np.random.default_rng(i).integers(1, T + 1, 4)
        results = [step(x, lengths, *state) for step, state in zip(steps, states, strict=True)]
        assert_same(*([y.numpy() for y in result] for result in results))
        states = [[s.numpy().copy() for s in last] for _, *last in results]
        assert_same(*(layer.gradient_norms().values() for layer in layers))
        assert_same(*([p.numpy() for p in layer.parameters()] for layer in layers))
    steps[1].verify(x, lengths, *states[1])
    assert [len(recordings) for recordings in steps[1].recordings.values()] == [1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_verify(kind):
    """What no kernel needs to write would otherwise differ: ends of packed weights, gates behind ends."""
    layer = make(kind, 3, 5, dtype="float32")

    def step(x, lengths):
        layer.zero_grad()
        objective(layer(x, None, lengths)).backward()
        objective(layer(x)).backward()

    dl.record(step).verify(sample(6, 4, 3, dtype="float32"), np.array([2, 6, 1, 3]))


def test_lengths_out_of_range_in_replay():
    layer = make("LSTM", 3, 4)
    step = dl.record(lambda gates, lengths: F.lstm(gates, layer.weight_hh_l0, lengths=lengths)[0])
    for function in (dl.record(lambda x, lengths: layer(x, None, lengths)[0]), step):
        x = sample(5, 2, 3 if function is not step else 16)
        before = function(x, np.array([5, 2])).numpy().copy()
        for lengths, text in (([5, 0], r"lengths\[1\] is 0"), ([6, 2], r"lengths\[0\] is 6")):
            with pytest.raises(IndexError, match=rf"{text}, expected 1 <= length <= 5 \(the steps of the input\)"):
                function(x, np.array(lengths))
        np.testing.assert_array_equal(function(x, np.array([5, 2])).numpy(), before)


def test_tokens_out_of_range_in_replay():
    weight = sample(8, 2)
    step = dl.record(lambda table, tokens: F.lstm(table, weight, tokens=tokens)[0])
    table, tokens = sample(3, 8), np.array([[0, 1], [2, 2]])
    before = step(table, tokens).numpy().copy()
    for token in (3, -1, 2**62):
        with pytest.raises(IndexError, match=rf"lstm: tokens\[1, 0\] is {token}, expected 0 <= token < 3"):
            step(table, np.array([[0, 1], [token, 2]]))
    np.testing.assert_array_equal(step(table, tokens).numpy(), before)


def test_tokens_may_change_before_backward():
    """As where a loader fills one buffer again and again; the gradient must not go where they point now."""
    found = []
    for change in (0, 2**40):
        (table,), tokens = leaves(sample(3, 8)), np.array([[0, 1], [2, 2]])
        y, *_ = F.lstm(table, sample(8, 2), tokens=tokens)
        tokens += change
        objective(y).backward()
        found.append(table.grad.numpy())
    np.testing.assert_array_equal(*found)


def test_a_recorded_packed_batch():
    layer = make("GRU", 3, 4)
    (weight,) = leaves(np.ones(3))

    def run(x):
        layer.zero_grad()
        weight.grad = None
        packed = nn.utils.rnn.pack_padded_sequence(x * weight, [2, 5, 1], enforce_sorted=False)
        y, h = layer(packed)
        objective((y.data, h)).backward()
        return h

    step = dl.record(run)
    for seed in range(3):
        h = step(sample(5, 3, 3, seed=seed)).numpy().copy()
        found = gradients(layer, weight)
        np.testing.assert_array_equal(run(sample(5, 3, 3, seed=seed)).numpy(), h)
        assert_same(found, gradients(layer, weight))
    assert len(step.recordings) == 1


def test_recorded_cells():
    cell = nn.LSTMCell(3, 4)
    step = dl.record(lambda x, h, c: cell(x, (h, c)))
    state = recorded = [np.zeros((2, 4), "float32")] * 2
    for i in range(4):
        x = sample(2, 3, seed=i, dtype="float32")
        state = [s.numpy() for s in cell(x, tuple(state))]
        recorded = [s.numpy().copy() for s in step(x, *recorded)]
        assert_same(state, recorded)


def test_an_embedding_in_a_recorded_step():
    """Whether its table is multiplied, or its rows, depends on shapes alone; the bits depend on nothing."""
    layer = make("LSTM", 3, 4, batch_first=True)
    for rows in (5, 200):
        (table,) = leaves(sample(rows, 3))

        def run(tokens, lengths, function):
            layer.zero_grad()
            table.grad = None  # noqa: B023
            y, _ = layer(function(tokens), None, lengths)
            objective(y).backward()
            return y

        def look_up(tokens):
            return embedding(tokens, table)  # noqa: B023

        step = dl.record(lambda tokens, lengths: run(tokens, lengths, look_up))  # noqa: B023
        for seed in range(3):
            rng = np.random.default_rng(seed)
            tokens, lengths = rng.integers(0, rows, (4, 6)), rng.integers(1, 7, 4)
            y, found = step(tokens, lengths).numpy().copy(), gradients(layer, table)
            np.testing.assert_array_equal(run(tokens, lengths, look_up).numpy(), y)
            assert_same(found, gradients(layer, table))
            np.testing.assert_allclose(run(tokens, lengths, lambda t: table[t]).numpy(), y, rtol=1e-13)  # noqa: B023
            assert_close(found, gradients(layer, table))


def test_replay_allocates_nothing():
    layer = make("LSTM peephole", 8, 16, dtype="float32", **DEEP)
    step = trained(layer, record=True)
    arguments = [sample(10, 4, 8, dtype="float32"), np.array([3, 10, 1, 7])]
    arguments += [s.astype("float32") for s in states_of(layer, 4)]
    for _ in range(20):
        step(*arguments)
    tracemalloc.start()
    step(*arguments)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(100):
        step(*arguments)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100  # not one byte per step
    assert peak - before < 1000


def test_outputs_of_a_step_outlive_its_graph():
    """y lies in the memory of the states, which the graph lets go of before the step ends."""
    layer = make("GRU", 3, 4)

    def run(x):
        y, h = layer(x)
        layer.zero_grad()
        objective(h).backward()
        for _ in range(5):
            F.exp(dl.tensor(np.zeros((6, 2, 4)))).sum()
        return y

    step = dl.record(run)
    for seed in range(3):
        x = sample(5, 2, 3, seed=seed)
        np.testing.assert_array_equal(step(x).numpy(), layer(x)[0].numpy())


# Threads --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads(kind, ragged):
    """Rows that threads share evenly, unevenly, and one each."""
    for B in (37, 4, 2):
        layer = make(kind, 9, 70, dtype="float32", bidirectional=True)
        lengths = np.random.default_rng(0).integers(1, 41, B) if ragged else None
        (x,) = leaves(sample(40, B, 9, dtype="float32"))
        found = []
        for threads in (1, 2, 3):
            dl.set_num_threads(threads)
            layer.zero_grad()
            x.grad = None
            result = layer(x, None, lengths)
            objective(result).backward()
            numbers = [y.numpy() for y in flat(result)]
            found.append([*numbers, *gradients(layer, x), *layer.gradient_norms().values()])
        assert_same(found[0], found[1])
        assert_same(found[0], found[2])


def test_a_forked_child_trains():
    """It may enter no parallel region: GNU OpenMP would end it."""

    def train():
        layer = make("LSTM peephole", 9, 70, dtype="float32")
        objective(layer(sample(10, 37, 9, dtype="float32"))).backward()
        return gradients(layer)

    expected = train()
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(one, other) for one, other in zip(train(), expected, strict=True))
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


# Norms of gradients ---------------------------------------------------------------------------------------------------


def run(layer, T, scale=1.0):
    """One step of T outputs, all of which have a gradient."""
    layer.zero_grad()
    y, _ = layer(sample(T, 2, 3, dtype=layer.weight_hh_l0.dtype))
    y.backward(sample(*y.shape, dtype=y.dtype) * np.array(scale, y.dtype))


def norms(layer):
    return next(iter(layer.gradient_norms().values()))


def test_norms_of_all_layers_and_directions():
    layer = make("GRU", 3, 4, **DEEP)
    assert list(layer.gradient_norms()) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert all(found.size == 0 for found in layer.gradient_norms().values())
    run(layer, 6)
    assert all(found.shape == (6,) and (found > 0).all() for found in layer.gradient_norms().values())
    kept = layer.gradient_norms()
    run(layer, 6, 2.0)
    assert_same([2 * one for one in kept.values()], layer.gradient_norms().values())


def test_norms_after_replay_and_in_turns():
    """Recordings of few steps and of many, and eager code, all leave their norms in the same place."""
    layer, other = make("GRU", 3, 4), make("GRU", 3, 4)
    first, second = (dl.record(lambda T: run(layer, T)) for _ in range(2))
    for T in (4, 20, 4, 100, 20, 4):
        for function, steps in ((first, T), (lambda T: run(layer, T), 3 * T), (first, T), (second, 4)):
            function(steps)
            run(other, steps)
            np.testing.assert_array_equal(norms(layer), norms(other))
    kept = first.last
    run(layer, 100)
    first(4)
    assert first.last is kept


def test_room_for_norms_keeps_what_is_there():
    layer = make("GRU", 3, 4)
    run(layer, 4)
    before = norms(layer)
    layer(sample(300, 2, 3))
    np.testing.assert_array_equal(norms(layer), before)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_norms_of_gradients_that_vanish_or_explode(scale):
    """The square of a float32 number need not be one."""
    layer = make("RNN", 3, 4, dtype="float32")
    run(layer, 3)
    expected = norms(layer)
    with dl.detect_anomaly():
        run(layer, 3, scale)
    np.testing.assert_allclose(norms(layer) / scale, expected, rtol=1e-5)


def test_norms_of_a_failure_are_no_anomaly_later():
    layer = make("RNN", 3, 4)
    run(layer, 9, NAN)
    assert np.isnan(norms(layer)).all()
    with dl.detect_anomaly():
        run(layer, 4)
    assert np.isfinite(norms(layer)).all()


def test_products_of_gradients_flush_denormals():
    x, w, h = leaves(
        *(np.full(shape, value, "float32") for shape, value in [((1, 1, 4), 0), ((4, 4), 1e-20), ((1, 4), 0)])
    )
    y, _ = F.rnn(x, w, h)
    y.backward(np.full(y.shape, 1e-20, "float32"))
    assert x.grad.numpy().all() and not h.grad.numpy().any()


# NaN and Inf ----------------------------------------------------------------------------------------------------------


class Model(nn.Module):
    """A recurrence between other layers."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.memory, self.last = nn.Linear(3, 3), make(kind, 3, 4, dtype="float32"), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(self.memory(self.first(x))[0])


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_errors_name_the_layer_that_made_a_nan(kind, recorded):
    model = Model(kind)

    def train(x):
        model.zero_grad()
        model(x).sum().backward()

    name = kind.split()[0].lower()
    step, x = dl.record(train) if recorded else train, sample(5, 2, 3, dtype="float32")
    step(x)
    model.memory.weight_hh_l0.array[1, 2] = NAN
    found = rf"It came in from outside: memory: {name} read 1 NaN and 0 Inf.*this is memory.weight_hh_l0"
    with pytest.raises(dl.NonFiniteError, match=found):
        step(x)
    with dl.detect_anomaly(), pytest.raises(dl.NonFiniteError, match=found):
        step(x)


@pytest.mark.parametrize("recorded", [False, True])
def test_numbers_that_explode_in_time(recorded):
    """Products of finite numbers: forwards from one step to the next, or only backwards."""
    model = Model("RNN relu")

    def train(x):
        model.zero_grad()
        model(x)[-1].sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    for parameter in model.parameters():
        parameter.array[...] = 1e-30
    model.last.weight.array[...] = 1
    step, x = dl.record(train) if recorded else train, np.ones((3, 2, 3), "float32")
    step(x)
    model.memory.weight_hh_l0.array[...] = 1e25
    found = "First produced by memory: rnn, backward: made" if recorded else "run it under minidl.detect_anomaly"
    with pytest.raises(FloatingPointError, match=found):
        step(x)
    with dl.detect_anomaly(), pytest.raises(FloatingPointError, match="memory: rnn, backward: made"):
        step(x)
    model.memory.weight_hh_l0.array[...] = 1e38
    with pytest.raises(FloatingPointError, match="First produced by memory: rnn, forward: made"):
        step(x)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_stays_nan(kind):
    """A NaN in one sequence reaches its later steps, and no other sequence."""
    layer, x = make(kind, 3, 4), sample(5, 3, 3)
    clean = layer(x)[0].numpy()
    x[2, 1] = NAN
    y = layer(x)[0].numpy()
    assert np.isnan(y[2:, 1]).all()
    np.testing.assert_array_equal(y[:2, 1], clean[:2, 1])
    np.testing.assert_array_equal(y[:, [0, 2]], clean[:, [0, 2]])


# Initial values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make_layer, gates, forget", [(nn.RNN, 1, None), (nn.LSTM, 4, 1), (nn.GRU, 3, None), (nn.LSTMCell, 4, 1)]
)
def test_initial_values(make_layer, gates, forget):
    options = {} if make_layer is nn.LSTMCell else {"num_layers": 2}
    layer = make_layer(60, 40, **options)
    for name, parameter in layer.named_parameters():
        blocks = parameter.numpy().reshape(gates, 40, -1)
        if name.startswith("weight_ih"):
            bound = math.sqrt(6 / (blocks.shape[2] + 40))
            for block in blocks:
                assert bound * 0.97 < np.abs(block).max() <= bound * (1 + 1e-6)
                assert abs(block.mean()) < 5 * bound / math.sqrt(3 * block.size)
        elif name.startswith("weight_hh"):
            for block in blocks:
                np.testing.assert_allclose(block @ block.T, np.eye(40), atol=1e-5)
            assert gates == 1 or np.abs(blocks[0] - blocks[1]).max() > 0.1
        else:
            wanted = np.zeros(gates)
            if forget is not None and name.startswith("bias_ih"):
                wanted[forget] = 1
            np.testing.assert_array_equal(blocks[..., 0], np.repeat(wanted[:, None], 40, 1))


def test_peepholes_start_at_0():
    layer = nn.LSTM(3, 4, peephole=True, **DEEP)
    names = [name for name, _ in layer.named_parameters() if "peephole" in name]
    assert names == [f"weight_peephole{suffix}" for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse")]
    assert not any(getattr(layer, name).numpy().any() for name in names)


@pytest.mark.parametrize("make_layer", [nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_torch_initial_values(make_layer):
    layer = nn.init.torch_(make_layer(50, 100))
    for parameter in layer.parameters():
        values = np.abs(parameter.numpy())
        assert 0.9 * 0.1 < values.max() <= 0.1 and abs(values.mean() - 0.05) < 0.01


def test_a_seed_decides_initial_values():
    first, again, other = [], [], []
    for seed, found in ((1, first), (1, again), (2, other)):
        dl.manual_seed(seed)
        found += [p.numpy() for p in nn.LSTM(3, 4).parameters()]
    assert_same(first, again)
    assert np.any(first[0] != other[0])


# Bad input ------------------------------------------------------------------------------------------------------------

X, H = np.ones((4, 2, 3), "float32"), np.zeros((1, 2, 5), "float32")
GATES = {name: np.zeros((4, 2, 5 * gates)) for name, gates in (("rnn", 1), ("lstm", 4), ("gru", 3))}
W = {name: np.zeros((5 * gates, 5)) for name, gates in (("rnn", 1), ("lstm", 4), ("gru", 3))}
RNN, LSTM, GRU = nn.RNN(3, 5), nn.LSTM(3, 5), nn.GRU(3, 5, batch_first=True)
CELL = nn.LSTMCell(3, 5)


def packed(x, lengths=(4, 2)):
    return nn.utils.rnn.pack_padded_sequence(x, list(lengths))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: LSTM(X[0, 0]), ValueError, r"LSTM\(3, 5\): input has shape \(3,\), expected 3 or 2 dimensions"),
        (lambda: LSTM(X[None]), ValueError, r"input has shape \(1, 4, 2, 3\), expected 3 or 2 dimensions"),
        (lambda: LSTM(X[..., :2]), ValueError, r"input has shape \(4, 2, 2\), expected .*, the last 3"),
        (lambda: LSTM(packed(X[..., :2])), ValueError, r"input has shape \(4, 2, 2\), expected .*, the last 3"),
        (lambda: LSTM(packed(X[..., 0])), ValueError, r"input has shape \(4, 2\), expected 3 dimensions"),
        (lambda: LSTM(X.astype("float64")), TypeError, "input is float64, but weight is float32"),
        (lambda: LSTM(X.astype(int)), TypeError, "input is int64, but weight is float32"),
        (lambda: LSTM(X[:0]), ValueError, r"LSTM\(3, 5\): got a sequence of 0 steps, expected at least one"),
        (lambda: LSTM(X[:0, 0]), ValueError, "got a sequence of 0 steps"),
        (lambda: GRU(X[:, :0]), ValueError, "got a sequence of 0 steps"),
        (lambda: GRU(X, H), ValueError, r"GRU\(3, 5, batch_first=True\): h_0 has shape \(1, 2, 5\), expected \(1, 4"),
        (lambda: GRU(X, (H,)), TypeError, "hx: got a tuple of 1, expected h_0"),
        (lambda: GRU(X, [H, H]), TypeError, "hx: got a list of 2, expected h_0"),
        (lambda: LSTM(X, H), TypeError, r"hx: got a ndarray, expected \('h_0', 'c_0'\)"),
        (lambda: LSTM(X, (H,)), TypeError, r"hx: got a tuple of 1, expected \('h_0', 'c_0'\)"),
        (lambda: LSTM(X, (H, H, H)), TypeError, "hx: got a tuple of 3"),
        (lambda: LSTM(X, (H, H[0])), ValueError, r"c_0 has shape \(2, 5\), expected \(1, 2, 5\)"),
        (lambda: LSTM(X, (H[:, :1], H)), ValueError, r"h_0 has shape \(1, 1, 5\), expected \(1, 2, 5\)"),
        (lambda: LSTM(X, (H, H[..., :3])), ValueError, r"c_0 has shape \(1, 2, 3\), expected \(1, 2, 5\)"),
        (lambda: LSTM(X[:, 0], (H, H)), ValueError, r"h_0 has shape \(1, 2, 5\), expected \(1, 5\)"),
        (lambda: LSTM(packed(X), (H[0], H[0])), ValueError, r"h_0 has shape \(2, 5\), expected \(1, 2, 5\)"),
        (lambda: RNN(X, H.astype("float64")), TypeError, "x is float32, but h_0 is float64"),
        (lambda: RNN(X, H.astype(int)), TypeError, "x is float32, but h_0 is int64"),
        (lambda: RNN(X, None, [0, 1]), IndexError, r"lengths\[0\] is 0, expected 1 <= length <= 4"),
        (lambda: RNN(X, None, [1, -3]), IndexError, r"lengths\[1\] is -3"),
        (lambda: GRU(X, None, [1, 2, 3, 1]), IndexError, r"lengths\[2\] is 3, expected 1 <= length <= 2"),
        (lambda: RNN(X, None, [1, 2, 3]), ValueError, r"lengths: got shape \(3,\), expected \(2,\)"),
        (lambda: RNN(X, None, 3), ValueError, r"lengths: got shape \(\), expected \(2,\)"),
        (lambda: RNN(X, None, [1.0, 2.0]), TypeError, "lengths: got dtype float32, expected int64"),
        (lambda: RNN(X[:, 0], None, [4]), ValueError, r"lengths: got some for one sequence, input of shape \(4, 3\)"),
        (lambda: RNN(packed(X), None, [4, 2]), ValueError, "lengths: a PackedSequence has its own"),
        (lambda: CELL(X), ValueError, r"LSTMCell\(3, 5\): input has shape \(4, 2, 3\), expected 2 or 1 dimensions"),
        (lambda: CELL(X[0, :, :2]), ValueError, r"input has shape \(2, 2\), expected .*, the last 3"),
        (lambda: CELL(X[0], (H, H)), ValueError, r"h_0 has shape \(1, 2, 5\), expected \(2, 5\)"),
        (lambda: CELL(X[0], (H[0], H[0, 0])), ValueError, r"c_0 has shape \(5,\), expected \(2, 5\)"),
        (lambda: CELL(X[0], H[0]), TypeError, "hx: got a ndarray"),
        (lambda: nn.GRUCell(3, 5)(X[0, 0], H[0]), ValueError, r"h_0 has shape \(2, 5\), expected \(5,\)"),
        (lambda: nn.LSTM(0, 5), ValueError, "LSTM: input_size: got 0, expected an integer >= 1"),
        (lambda: nn.GRU(3, 2.5), ValueError, "GRU: hidden_size: got 2.5, expected an integer >= 1"),
        (lambda: nn.GRUCell(3, -1), ValueError, "GRUCell: hidden_size: got -1"),
        (lambda: nn.RNN(3, 5, 0), ValueError, "RNN: num_layers: got 0, expected an integer >= 1"),
        (lambda: nn.LSTM(3, 5, 2, dropout=1.5), ValueError, "LSTM: dropout: got 1.5, expected 0 <= dropout <= 1"),
        (lambda: nn.LSTM(3, 5, 2, dropout=NAN), ValueError, "LSTM: dropout: got nan"),
        (lambda: nn.LSTM(3, 5, proj_size=2), ValueError, "LSTM: proj_size: got 2, expected 0; projections are not"),
        (lambda: nn.RNN(3, 5, nonlinearity="sin"), ValueError, "RNN: nonlinearity: got 'sin', expected 'tanh' or"),
        (lambda: nn.RNNCell(3, 5, nonlinearity=None), ValueError, "RNNCell: nonlinearity: got None"),
        (lambda: nn.LSTM(3, 5, dtype="int64"), TypeError, "LSTM: dtype: got int64, expected float32 or float64"),
        (lambda: F.rnn(GATES["rnn"], W["rnn"], None, "sin"), ValueError, "rnn: activation: got 'sin'"),
        (lambda: F.lstm(GATES["lstm"], W["gru"]), ValueError, r"lstm: weight has shape \(15, 5\), expected \(4 \* "),
        (lambda: F.rnn(GATES["rnn"], W["rnn"][0]), ValueError, r"rnn: weight has shape \(5,\)"),
        (lambda: F.gru(GATES["rnn"], W["gru"]), ValueError, r"gru: x has shape \(4, 2, 5\), expected \(T, B, 15\)"),
        (lambda: F.gru(GATES["gru"][0], W["gru"]), ValueError, r"gru: x has shape \(2, 15\), expected \(T, B, 15\)"),
        (lambda: F.gru(GATES["gru"], W["gru"], H[0]), ValueError, r"gru: bias has shape \(2, 5\), expected \(15,\)"),
        (lambda: F.rnn(GATES["rnn"], W["rnn"], H), ValueError, r"rnn: h_0 has shape \(1, 2, 5\), expected \(2, 5\)"),
        (lambda: F.lstm(GATES["lstm"], W["lstm"], peephole=H[0]), ValueError, r"peephole has shape .*\(3, 5\)"),
        (lambda: F.rnn(GATES["rnn"], X[0]), ValueError, r"rnn: weight has shape \(2, 3\)"),
        (lambda: F.rnn(GATES["rnn"], np.zeros((5, 5), "float32")), TypeError, "x is float64, but weight is float32"),
        (lambda: F.gru(GATES["gru"], W["gru"], lengths=[4.0, 2.0]), TypeError, "gru: lengths: got dtype float32"),
        (lambda: F.gru(GATES["gru"], W["gru"], lengths=[4]), ValueError, r"lengths has shape \(1,\), expected \(2,\)"),
        (lambda: F.gru(GATES["gru"], W["gru"], lengths=[4, 5]), IndexError, r"gru: lengths\[1\] is 5"),
        (lambda: F.gru(GATES["gru"][0], W["gru"], tokens=[0, 1]), ValueError, r"gru: tokens has shape \(2,\)"),
        (lambda: F.gru(GATES["gru"][0], W["gru"], tokens=[[0.5]]), TypeError, "gru: tokens: got dtype float32"),
        (lambda: F.gru(GATES["gru"], W["gru"], tokens=[[0]]), ValueError, r"x has shape .*, expected \(tokens, 15\)"),
        (lambda: F.gru(GATES["gru"][0], W["gru"], tokens=[[0, 1, 2]]), IndexError, r"gru: tokens\[0, 2\] is 2, .* < 2"),
        (lambda: F.rnn(GATES["rnn"], W["rnn"], norms=np.zeros(5)), ValueError, r"norms: got float64 \(5,\), .* \(6,\)"),
        (lambda: F.rnn(GATES["rnn"], W["rnn"], norms=X[:, 0, 0]), ValueError, "norms: got float32"),
    ],
)  # fmt: skip
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
    assert engine.state.scope == () and engine.state.recording is None
    for layer in (RNN, LSTM, GRU):  # the engine is none the worse for it
        layer.zero_grad()
        layer(X)[0].sum().backward()
        assert np.isfinite(layer.weight_hh_l0.grad.numpy()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_no_sequences(kind):
    layer = make(kind, 3, 4, **DEEP)
    x, *states = leaves(np.zeros((5, 0, 3)), *states_of(layer, 0))
    for lengths in (None, np.zeros(0, int)):
        y, last = layer(x, hx(states), lengths)
        assert [z.shape for z in flat((y, last))] == [(5, 0, 8), *[(4, 0, 4)] * len(layer.states)]
        objective((y, last)).backward()
        assert not any(gradient.any() for gradient in gradients(layer))
        assert_same(layer.gradient_norms().values(), [np.zeros(5)] * 4)


def test_repr():
    assert repr(nn.LSTM(3, 4, 2, peephole=True)) == "LSTM(3, 4, num_layers=2, peephole=True)"
    assert repr(nn.RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4, nonlinearity=relu)"


def test_what_a_recurrent_layer_returns_is_no_input():
    model = nn.Sequential(nn.LSTM(5, 7), nn.Linear(7, 2))
    with pytest.raises(ValueError, match=r"a tuple of Tensor, tuple, whose shapes differ.* the first is the output"):
        model(np.zeros((4, 3, 5), np.float32))


def test_lengths_in_the_place_of_the_state():
    with pytest.raises(ValueError, match="lengths are given as lengths="):
        nn.GRU(5, 7)(np.zeros((4, 2, 5), np.float32), np.array([4, 2]))
