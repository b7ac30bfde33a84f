"""`clip_grad` of recurrent layers: beside loops in NumPy, off, between replays, threads, exploding networks."""

import numpy as np
import pytest
from ops.recurrent import sigmoid

import minidl as dl
from minidl import functional as F
from minidl import nn

KINDS = {
    "RNN": (nn.RNN, {}),
    "RNN relu": (nn.RNN, {"nonlinearity": "relu"}),
    "LSTM": (nn.LSTM, {}),
    "LSTM peephole": (nn.LSTM, {"peephole": True}),
    "GRU": (nn.GRU, {}),
}
T, B, FEATURES, H = 7, 3, 2, 4


def sample(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def make(kind, dtype="float64", **options):
    """A layer with no parameter at 0."""
    layer = KINDS[kind][0](FEATURES, H, dtype=dtype, **KINDS[kind][1], **options)
    for i, parameter in enumerate(layer.parameters()):
        parameter.array[...] = sample(*parameter.shape, seed=i)
    return layer


def backward(layer, lengths=None, scale=1.0):
    """One step; its input."""
    layer.zero_grad()
    dtype = layer.weight_hh_l0.dtype
    x = dl.tensor((sample(T, B, FEATURES)).astype(dtype), requires_grad=True)
    y, _ = layer(x, lengths=lengths)
    y.backward((scale * sample(*y.shape, seed=9)).astype(dtype))
    return x


def run(layer, lengths=None, scale=1.0):
    """The gradients of a layer's parameters and of its input."""
    x = backward(layer, lengths, scale)
    return {name: p.grad.numpy().copy() for name, p in layer.named_parameters()} | {"x": x.grad.numpy().copy()}


def cell(kind, layer, suffix):
    """One step in NumPy: h, c -> the new ones, and a function from their gradients to those of a, h and c.

    a is what the input adds to the gates, for GRU beside what the state adds to them.
    """
    w = getattr(layer, "weight_hh" + suffix).numpy()
    p = getattr(layer, "weight_peephole" + suffix).numpy() if "peephole" in kind else np.zeros((3, H))
    b = getattr(layer, "bias_hh" + suffix).numpy() if kind == "GRU" else None

    def rnn(a, h, c):
        a = a + h @ w.T
        new = np.maximum(a, 0) if "relu" in kind else np.tanh(a)

        def back(dh, dc):
            da = dh * ((a > 0) if "relu" in kind else 1 - new**2)
            return da, da, da @ w, dc

        return new, c, back

    def lstm(a, h, c):
        ai, af, ag, ao = np.split(a + h @ w.T, 4, -1)
        i, f, g = sigmoid(ai + p[0] * c), sigmoid(af + p[1] * c), np.tanh(ag)
        new = f * c + i * g
        o = sigmoid(ao + p[2] * new)

        def back(dh, dc):
            do = dh * np.tanh(new) * o * (1 - o)
            dc = dc + dh * o * (1 - np.tanh(new) ** 2) + do * p[2]
            di, df, dg = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)
            da = np.concatenate([di, df, dg, do], -1)
            return da, da, da @ w, dc * f + di * p[0] + df * p[1]

        return o * np.tanh(new), new, back

    def gru(a, h, c):
        (ar, az, an), (sr, sz, sn) = np.split(a, 3, -1), np.split(h @ w.T + b, 3, -1)
        r, z = sigmoid(ar + sr), sigmoid(az + sz)
        n = np.tanh(an + r * sn)

        def back(dh, dc):
            dn = dh * (1 - z) * (1 - n**2)
            dz, dr = dh * (h - n) * z * (1 - z), dn * sn * r * (1 - r)
            share = np.concatenate([dr, dz, dn * r], -1)
            return np.concatenate([dr, dz, dn], -1), share, share @ w + dh * z, dc

        return (1 - z) * n + z * h, c, back

    return {"R": rnn, "L": lstm, "G": gru}[kind[0]]


def reference(kind, layer, bound, reverse=False, lengths=None):
    """Gradients of W_hh and of the input, the norms at every step, and how often the bound was exceeded."""
    suffix = "_l0_reverse" if reverse else "_l0"
    step = cell(kind, layer, suffix)
    w_ih, bias = getattr(layer, "weight_ih" + suffix).numpy(), getattr(layer, "bias_ih" + suffix).numpy()
    if kind != "GRU":
        bias = bias + getattr(layer, "bias_hh" + suffix).numpy()
    x, lengths = sample(T, B, FEATURES), np.full(B, T) if lengths is None else lengths
    dy = sample(T, B, H * (1 + reverse), seed=9)[..., -H:]
    dx, dw, norms, clipped = np.zeros_like(x), 0, np.zeros(T), 0
    for b in range(B):
        h, c, tape = np.zeros(H), np.zeros(H), []
        order = range(lengths[b])[::-1] if reverse else range(lengths[b])
        for t in order:
            before = h
            h, c, back = step(x[t, b] @ w_ih.T + bias, h, c)
            tape.append((t, before, back))
        dh, dc = np.zeros(H), np.zeros(H)
        for t, before, back in reversed(tape):
            dh = dh + dy[t, b]
            norm = np.linalg.norm(dh)
            norms[t] += norm**2
            if norm > bound:
                dh, clipped = dh * (bound / norm), clipped + 1
            da, share, dh, dc = back(dh, dc)
            dx[t, b] += da @ w_ih
            dw = dw + np.outer(share, before)
    return dw, dx, np.sqrt(norms), clipped


@pytest.mark.parametrize("lengths", [None, np.array([3, 7, 1])])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bound", [0.3, 2.5, None])
@pytest.mark.parametrize("kind", KINDS)
def test_beside_numpy(kind, bound, reverse, lengths):
    layer = make(kind, clip_grad=bound, bidirectional=reverse)
    found = run(layer, lengths)
    suffix = "_l0_reverse" if reverse else "_l0"
    dw, dx, norms, clipped = reference(kind, layer, np.inf if bound is None else bound, reverse, lengths)
    if reverse:  # the other direction has no part in it
        forward = run(make_forward(layer, kind), lengths)["x"]
        found["x"] -= forward
    np.testing.assert_allclose(found["weight_hh" + suffix], dw, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found["x"], dx, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(layer.gradient_norms()[suffix[1:]], norms, rtol=1e-10)
    assert layer.clipped_steps()[suffix[1:]] == clipped
    assert bound is None or clipped > 0


def make_forward(layer, kind):
    """The forward direction of a layer in both; its gradient of the output is cut to the first half."""
    one = make(kind, clip_grad=layer.clip_grad)
    one.load_state_dict({name: getattr(layer, name) for name, _ in one.named_parameters()})
    forward = one.forward

    def padded(x, hx=None, lengths=None):
        y, last = forward(x, hx, lengths)
        return F.cat([y, y.detach()], -1), last

    vars(one)["forward"] = padded
    return one


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bound_that_is_not_reached_changes_no_bit(kind, dtype):
    off, far = make(kind, dtype), make(kind, dtype, clip_grad=1e9)
    for one, other in zip(run(off).values(), run(far).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert far.clipped_steps() == off.clipped_steps() == {"l0": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_changes_between_replays(kind):
    layer, eager = make(kind, num_layers=2), make(kind, num_layers=2)
    step = dl.record(lambda: backward(layer))
    for bound in (None, 0.5, 0.05, None, 1.0):
        layer.clip_grad = eager.clip_grad = bound
        assert layer.clip_grad == bound
        step()
        run(eager)
        for one, other in zip(layer.parameters(), eager.parameters(), strict=True):
            np.testing.assert_array_equal(one.grad.numpy(), other.grad.numpy())
        assert layer.clipped_steps() == eager.clipped_steps()
        assert (layer.clipped_steps()["l1"] > 0) == (bound is not None)
    assert len(step.recordings) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads(kind):
    found = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        layer = KINDS[kind][0](8, 64, clip_grad=0.5, **KINDS[kind][1])
        for i, parameter in enumerate(layer.parameters()):
            parameter.array[...] = sample(*parameter.shape, seed=i) / 8
        y, _ = layer(sample(20, 16, 8).astype("float32"))
        y.backward(sample(*y.shape).astype("float32"))
        found.append([*(p.grad.numpy() for p in layer.parameters()), *layer.gradient_norms().values()])
        assert layer.clipped_steps()["l0"] > 0
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("clip_grad", [None, 1.0])
def test_a_network_that_explodes(clip_grad):
    """Weights 1.3 times orthogonal: over 100 steps gradients grow by 1.3^100, or by 1.3 a step from the bound."""
    layer = nn.RNN(3, 16, nonlinearity="relu", clip_grad=clip_grad, dtype="float64")
    layer.weight_hh_l0.array[...] = 1.3 * np.eye(16)  # orthogonal, and every unit stays on
    layer.weight_ih_l0.array[...] = np.abs(layer.weight_ih_l0.array)
    y, _ = layer(np.abs(sample(100, 2, 3)))
    y[-1].backward(0.1 * np.abs(sample(2, 16)))
    norms = layer.gradient_norms()["l0"]
    if clip_grad is None:
        assert norms[0] > 1e9
    else:
        assert norms.max() <= 1.3 * np.sqrt(2) * (1 + 1e-12)
        assert norms[:80].min() > 1 and layer.clipped_steps()["l0"] > 150


def test_nan_is_not_clipped_away():
    layer = make("LSTM", clip_grad=1.0)
    for value in (np.nan, np.inf):
        assert np.isnan(run(layer, scale=value)["weight_hh_l0"]).any()
        assert layer.clipped_steps() == {"l0": 0}


def test_an_array_is_shared():
    x, w, bound = sample(5, 2, 4), dl.tensor(sample(4, 4), requires_grad=True), np.array([0.1])

    def step():
        w.grad = None
        F.rnn(x, w, clip_grad=bound)[0].sum().backward()

    recorded, found = dl.record(step), []
    for value in (0.1, 0.2, np.inf):
        bound[0] = value
        recorded()
        found.append(w.grad.numpy().copy())
        w.grad = None
        F.rnn(x, w, clip_grad=float(value))[0].sum().backward()
        np.testing.assert_array_equal(found[-1], w.grad.numpy())
    assert np.abs(found[0]).max() < np.abs(found[1]).max() < np.abs(found[2]).max()


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_bad_bounds(value):
    layer = nn.GRU(3, 4)
    for name, call in (
        ("LSTM", lambda: nn.LSTM(3, 4, clip_grad=value)),
        ("RNN", lambda: nn.RNN(3, 4, clip_grad=value)),
        ("GRU", lambda: setattr(layer, "clip_grad", value)),
        ("rnn", lambda: F.rnn(sample(2, 2, 3), sample(3, 3), clip_grad=value)),
        ("gru", lambda: F.gru(sample(2, 2, 9), sample(9, 3), clip_grad=np.array([value]))),
    ):
        with pytest.raises(ValueError, match=rf"{name}: clip_grad: got {value:g}, expected None or a number > 0"):
            call()
    assert layer.clip_grad is None and "clip_grad" not in repr(layer)
    assert "clip_grad=0.5" in repr(nn.LSTM(3, 4, clip_grad=0.5))
