"""Update nodes next to NumPy: below their threshold, at it, above it, twice, at zero, with Inf and NaN, in replays."""

import numpy as np
import pytest
from gradients import gradients, parameters, weights

import minidl as dl
from minidl import functional as F
from minidl import nn, optim, stabilize

# references: from gradients and weights to new gradients, in float64


def parameter_norm(limit, order=2.0):
    def clipped(g, x):
        return g * min(1, limit / (np.linalg.norm(g.ravel(), order) + 1e-6))

    return lambda gs, xs: [clipped(g, x) for g, x in zip(gs, xs, strict=True)]


def units(x):
    """As rows, one for each unit."""
    return x.reshape(1, -1) if sum(size > 1 for size in x.shape) <= 1 else x.reshape(len(x), -1)


def adaptive(clipping, eps=1e-3, last=2):
    def clipped(g, x):
        norm = np.linalg.norm(units(g), axis=1, keepdims=True)
        bound = clipping * np.maximum(np.linalg.norm(units(x), axis=1, keepdims=True), eps)
        return (units(g) * np.where(norm > bound, bound / np.maximum(norm, 1e-300), 1)).reshape(g.shape)

    def reference(gs, xs):
        count = len(gs) - last
        return [clipped(g, x) for g, x in zip(gs[:count], xs[:count], strict=True)] + gs[count:]

    return reference


def centralized(gs, xs):
    return [
        g - g.mean(tuple(range(1, g.ndim)), keepdims=True) if g[0:1].size > 1 and g.ndim > 1 else g
        for g in map(np.atleast_1d, gs)
    ]


NODES = {
    "parameter norm": (lambda ps: stabilize.ClipParameterNorm(ps, 2.0), parameter_norm(2.0)),
    "parameter norm 1": (lambda ps: stabilize.ClipParameterNorm(ps, 2.0, 1.0), parameter_norm(2.0, 1)),
    "parameter norm 3": (lambda ps: stabilize.ClipParameterNorm(ps, 2.0, 3.0), parameter_norm(2.0, 3)),
    "parameter norm inf": (lambda ps: stabilize.ClipParameterNorm(ps, 2.0, np.inf), parameter_norm(2.0, np.inf)),
    "adaptive": (lambda ps: stabilize.AdaptiveClip(ps, 1.01), adaptive(1.01)),
    "adaptive all": (lambda ps: stabilize.AdaptiveClip(ps, 0.5, 1.0, exclude_last=False), adaptive(0.5, 1.0, 0)),
    "centralize": (lambda ps: stabilize.CentralizeGradient(ps), centralized),
    "l1": (
        lambda ps: stabilize.L1Decay(ps, 0.1),
        lambda gs, xs: [g + 0.1 * np.sign(x) for g, x in zip(gs, xs, strict=True)],
    ),
    "l2": (lambda ps: stabilize.L2Decay(ps, 0.1), lambda gs, xs: [g + 0.1 * x for g, x in zip(gs, xs, strict=True)]),
}


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.03, 1.0, 1e6])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("name", NODES)
def test_one_call(name, dtype, tolerance, scale):
    make, reference = NODES[name]
    ps = parameters(dtype, scale)
    expected = reference(gradients(ps), weights(ps))
    before = weights(ps)
    make(ps)()
    for p, want, x in zip(ps, expected, before, strict=True):
        np.testing.assert_allclose(
            p.buffer, want.reshape(p.shape), rtol=tolerance, atol=tolerance * max(scale, 1e-6), err_msg=p.name
        )
        np.testing.assert_array_equal(p.numpy(), x)


@pytest.mark.parametrize("name", [name for name in NODES if name not in ("l1", "l2")])
def test_twice_in_a_row_is_as_good_as_once(name):
    ps = parameters()
    node = NODES[name][0](ps)
    node()
    once = gradients(ps)
    node()
    for p, want in zip(ps, once, strict=True):
        np.testing.assert_allclose(p.buffer, want, rtol=1e-6, atol=1e-15)


# NaN and Inf in one element


def spoil(ps, value):
    ps[0].buffer[3, 17] = value
    return gradients(ps)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["ClipParameterNorm", "AdaptiveClip", "CentralizeGradient", "L1Decay", "L2Decay"])
def test_nonfinite_gradients(kind, value):
    def make(ps, policy):
        numbers = [] if kind in ("AdaptiveClip", "CentralizeGradient") else [0.0 if "Decay" in kind else 1e9]
        more = {"clipping": 1e9} if kind == "AdaptiveClip" else {}
        return getattr(stabilize, kind)(ps, *numbers, **more, on_nonfinite=policy)

    ps = parameters()
    spoil(ps, value)
    node = make(ps, "raise")
    with pytest.raises(FloatingPointError, match=r"gradient of a.weight \(1 values, shape \(40, 700\)\)"):
        node()
    assert node.statistics.nonfinite == 1

    ps = parameters()
    spoiled = spoil(ps, value)
    make(ps, "skip")()
    np.testing.assert_array_equal(ps[0].buffer[3], spoiled[0][3])  # its unit is as it was
    assert sum(not np.isfinite(p.buffer).all() for p in ps) == 1

    ps = parameters()
    spoiled = spoil(ps, value)
    make(ps, "zero")()
    assert not ps[0].buffer[3].any() and all(np.isfinite(p.buffer).all() for p in ps)
    rest_too = {"ClipParameterNorm": [True, False], "L1Decay": [True, True], "L2Decay": [True, True]}
    zeroed = [not ps[0].buffer[4].any(), not ps[2].buffer.any()]
    assert zeroed == rest_too.get(kind, [False, False])


def test_nan_in_the_middle_of_the_largest():
    ps = parameters()
    spoil(ps, np.nan)
    with pytest.raises(FloatingPointError, match="a.weight"):
        stabilize.ClipGradNorm(ps, 1.0, np.inf)()


def test_nan_in_the_weights():
    ps = parameters()
    ps[0].array[2, 5] = np.nan
    with pytest.raises(FloatingPointError, match=r"NaN or Inf in a.weight \(1 values"):
        stabilize.AdaptiveClip(ps)()
    with pytest.raises(FloatingPointError, match=r"NaN or Inf in a.weight \(1 values"):
        stabilize.MaxNorm(ps, 1e9)()
    stabilize.MaxNorm(ps, 1e9, on_nonfinite="skip")()
    assert np.isnan(ps[0].array).sum() == 1
    stabilize.MaxNorm(ps, 1e9, on_nonfinite="zero")()
    assert not ps[0].array[2].any() and ps[0].array[3].all()


# thresholds


def test_at_the_threshold():
    p = dl.Parameter(np.array([[3.0, 4.0], [6.0, 8.0]]))
    p.grad = np.array([[0.3, 0.4], [1.2, 1.6]])
    stabilize.AdaptiveClip(p, 0.1, exclude_last=False)()  # ratios 0.1 and 0.2
    np.testing.assert_allclose(p.grad.numpy(), [[0.3, 0.4], [0.6, 0.8]], rtol=1e-15)
    node = stabilize.MaxNorm(p, 5.0)
    node()
    np.testing.assert_array_equal(p.numpy(), [[3, 4], [3, 4]])
    assert (node.statistics.last_before, node.statistics.last_after) == (10, 5)
    p.grad = np.array([[1.0, -1.0], [0.0, 0.0]])
    node = stabilize.CentralizeGradient(p)
    node()
    np.testing.assert_array_equal(p.grad.numpy(), [[1, -1], [0, 0]])
    assert node.statistics.acted == 0
    p.grad = np.array([[3.0, 0.0], [0.0, 4.0]])
    stabilize.ClipParameterNorm(p, 5.0)()
    np.testing.assert_allclose(p.grad.numpy(), [[3, 0], [0, 4]], rtol=1e-6)  # as PyTorch: times 5 / (5 + 1e-6)


@pytest.mark.parametrize("dim", [0, 1, -1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_norm(dim, dtype):
    rng = np.random.default_rng(0)
    ps = [dl.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in ((5, 7, 300), (30, 2, 40, 10), (4,))]
    before = weights(ps)
    units = np.concatenate([np.sqrt((x**2).sum(tuple(set(range(x.ndim)) - {dim % x.ndim}))) for x in before[:2]])
    limit = float(np.median(units))
    node = stabilize.MaxNorm(ps, limit, dim)
    node()
    for p, x in zip(ps[:2], before, strict=False):
        norm = np.sqrt((x**2).sum(tuple(set(range(x.ndim)) - {dim % x.ndim}), keepdims=True))
        np.testing.assert_allclose(p.numpy(), x * np.minimum(1, limit / norm), rtol=1e-6)
    np.testing.assert_array_equal(ps[2].numpy(), before[2])
    assert node.statistics.last_before == pytest.approx(units.max(), rel=1e-6)
    once = weights(ps)
    node()
    for p, x in zip(ps, once, strict=True):
        np.testing.assert_allclose(p.numpy(), x, rtol=1e-6)


def test_the_last_layer_is_excluded():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert [p.name for p in stabilize.AdaptiveClip(model.parameters()).parameters] == ["0.weight", "0.bias"]
    assert len(stabilize.AdaptiveClip(model.parameters(), exclude_last=False).parameters) == 4
    unnamed = [dl.Parameter(np.ones(2)), dl.Parameter(np.ones(2))]
    assert stabilize.AdaptiveClip(unnamed).parameters == unnamed[:1]
    with pytest.raises(ValueError, match="AdaptiveClip: parameters: all belong to the last layer"):
        stabilize.AdaptiveClip(nn.Linear(3, 4).parameters())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_squares_of_all_sizes(dtype):
    p = dl.Parameter(np.zeros(5000, dtype))
    values = np.random.default_rng(0).standard_normal(5000)
    for scale in (1e-30, 1e-18, 1e-12, 1.0, 1e12, 1e18, 1e25):
        for size in (1, 63, 64, 65, 511, 513, 5000):
            g = np.where(np.arange(5000) < size, values * scale, 0).astype(dtype)
            p.grad = g
            found = nn.utils.get_total_norm(p.grad)
            assert float(found) == pytest.approx(np.linalg.norm(g.astype(np.float64)), rel=1e-7, abs=0)


def test_total_norm_and_clip_with_it():
    ps = parameters()
    flat = np.concatenate([g.ravel() for g in gradients(ps)])
    for order in (1, 2, 3.5, np.inf):
        found = nn.utils.get_total_norm([p.grad for p in ps], order)
        assert float(found) == pytest.approx(np.linalg.norm(flat, order), rel=1e-12)
    assert float(nn.utils.get_total_norm([])) == 0
    ps[0].buffer[0, 0] = np.nan
    assert np.isnan(float(nn.utils.get_total_norm(p.grad for p in ps)))
    with pytest.raises(FloatingPointError, match="get_total_norm: NaN or Inf"):
        nn.utils.get_total_norm([p.grad for p in ps], error_if_nonfinite=True)
    with pytest.raises(FloatingPointError, match="clip_grads_with_norm_: total_norm"):
        nn.utils.clip_grads_with_norm_(ps, 1.0, np.nan)
    with pytest.raises(ValueError, match=r"total_norm: got shape \(2,\)"):
        nn.utils.clip_grads_with_norm_(ps, 1.0, [1.0, 2.0])
    ps = parameters()
    norm = nn.utils.get_total_norm([p.grad for p in ps])
    nn.utils.clip_grads_with_norm_(ps, 0.5, norm)
    again = parameters()
    nn.utils.clip_grad_norm_(again, 0.5)
    for p, q in zip(ps, again, strict=True):
        np.testing.assert_array_equal(p.buffer, q.buffer)


# recording, threads, missing gradients, dtypes


def every_node(ps, optimizer):
    return [
        stabilize.CentralizeGradient(ps),
        stabilize.L1Decay(ps, 1e-3),
        stabilize.L2Decay(ps, 1e-2),
        stabilize.AdaptiveClip(ps, 0.05),
        stabilize.ClipParameterNorm(ps, 0.5),
        stabilize.AutoClip(ps, 40, 5),
        stabilize.ZClip(ps, 0.5, 0.9, 3),
        stabilize.ClipGradNorm(ps, 0.8),
        stabilize.WeightDecay(optimizer, 0.01),
        optimizer.step,
        stabilize.MaxNorm(ps, 1.1),
    ]


def training(recorded, dtype="float32"):
    dl.manual_seed(0)
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(300, 200), nn.Tanh(), nn.Linear(200, 100), nn.Tanh(), nn.Linear(100, 5)).to(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    nodes = every_node(list(model.parameters()), optimizer)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        for node in nodes:
            node()
        return loss

    run = dl.record(step) if recorded else step
    losses = []
    for i in range(12):
        if i == 8:
            nodes[3].clipping, nodes[4].max_norm, nodes[5].percentile, nodes[6].alpha = 0.02, 0.3, 80, 0.5
            nodes[1].rate, nodes[8].rate, nodes[10].max_norm = 0.01, 0.1, 0.9
        scale = 5.0 if i in (4, 6) else 1.0
        x = scale * rng.standard_normal((16, 300)).astype(dtype)
        losses.append(float(run(x, rng.integers(0, 5, 16))))
    if recorded:
        run.verify(x, rng.integers(0, 5, 16))
        text = str(run)
        for name in ("CentralizeGradient", "L1Decay", "AdaptiveClip", "AutoClip", "ZClip", "WeightDecay", "MaxNorm"):
            assert name in text
    counts = [(n.statistics.calls, n.statistics.acted) for n in nodes if hasattr(n, "statistics") and n.statistics]
    return losses, [p.numpy().copy() for p in model.parameters()], counts


def test_replay_equals_eager_with_settings_that_change():
    eager, replayed = training(False), training(True)
    assert eager[0] == replayed[0] and eager[2] == replayed[2]
    for x, y in zip(eager[1], replayed[1], strict=True):
        np.testing.assert_array_equal(x, y)
    assert all(calls == 12 and acted > 0 for calls, acted in eager[2])


def test_two_threads_give_the_same_bits():
    before = dl.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            dl.set_num_threads(count)
            found.append(training(True))
    finally:
        dl.set_num_threads(before)
    assert found[0][0] == found[1][0]
    for x, y in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(x, y)


def test_nodes_check_for_the_optimizer():
    ps = parameters()
    optimizer = optim.SGD(ps, lr=0.1)
    clip = stabilize.AdaptiveClip(ps, exclude_last=False)

    @dl.record
    def step():
        clip()
        optimizer.step()

    step()
    assert not any(call.kernel.name == "guard" for call in step.last.calls)
    ps[2].buffer[0, 0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="AdaptiveClip: NaN or Inf in the gradient of conv.weight"):
        step()


def test_parameters_without_gradients_are_left_out():
    ps = parameters()
    ps[0].grad = None
    ps[0].buffer[...] = np.nan
    optimizer = optim.SGD(ps, lr=0.1)
    before = weights(ps)
    for node in every_node(ps, optimizer)[:9]:
        node()
    assert np.isnan(ps[0].buffer).all()
    np.testing.assert_array_equal(ps[0].numpy(), before[0])
    for p in ps:
        p.grad = None
    for node in every_node(ps, optimizer)[:9]:
        node()


def test_mixed_dtypes():
    ps = [parameters()[0], parameters("float32")[0], parameters()[5]]
    ps[2].grad = None
    for node in every_node(ps, optim.SGD(ps)):
        if isinstance(node, (stabilize.AutoClip, stabilize.ZClip, stabilize.ClipGradNorm)):
            with pytest.raises(TypeError, match="got parameters of dtypes float64, float32, expected one dtype"):
                node()
        else:
            node()
    np.testing.assert_allclose(ps[0].grad.numpy(), ps[1].grad.numpy(), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(ps[0].numpy(), ps[1].numpy(), rtol=1e-5, atol=1e-7)


BAD = [
    ("ClipParameterNorm", {"max_norm": 1.0}, {"max_norm": (0, -1, np.nan), "norm_type": (0, -2, np.nan)}),
    ("AdaptiveClip", {}, {"clipping": (0, -1, np.nan, np.inf), "eps": (0, -1, np.nan)}),
    ("AutoClip", {}, {"percentile": (-1, 100.5, np.nan), "history": (0, -3, 2.5)}),
    ("ZClip", {}, {"z_threshold": (0, -1, np.nan), "alpha": (-0.1, 1, np.nan), "warmup": (0, -1, 1.5)}),
    ("L1Decay", {"rate": 1.0}, {"rate": (-1, np.nan, np.inf)}),
    ("L2Decay", {"rate": 1.0}, {"rate": (-1, np.nan, np.inf)}),
    ("MaxNorm", {"max_norm": 1.0}, {"max_norm": (0, -1, np.nan), "dim": (5, -3)}),
    ("CentralizeGradient", {}, {}),
]


@pytest.mark.parametrize(("kind", "good", "bad"), BAD)
def test_bad_arguments(kind, good, bad):
    make = getattr(stabilize, kind)
    ps = [parameters()[0]]
    ps[0].name = None
    ps = [*ps, parameters()[0]]
    node = make(ps, **good)
    for argument, values in {**bad, "on_nonfinite": ("ignore",)}.items():
        for value in values:
            with pytest.raises(ValueError, match=f"{kind}: {argument}: got {value!r}".replace(".", r"\.")):
                make(ps, **{**good, argument: value})
            if argument in ("history", "dim", "on_nonfinite"):
                continue
            before = getattr(node, argument)
            with pytest.raises(ValueError, match=f"{kind}: {argument}: got"):
                setattr(node, argument, value)
            assert getattr(node, argument) == before
    with pytest.raises(ValueError, match=f"{kind}: parameters: got none"):
        make([], **good)


def test_other_bad_arguments():
    ps = parameters()
    for kind in (stabilize.CentralizeGradient, lambda ps: stabilize.MaxNorm(ps, 1.0)):
        with pytest.raises(ValueError, match=r"parameters: got shape \(40,\), expected more than one dimension"):
            kind(ps[1])
    with pytest.raises(TypeError, match="WeightDecay: optimizer: got list, expected an Optimizer"):
        stabilize.WeightDecay(ps, 0.1)
    with pytest.raises(ValueError, match="WeightDecay: parameters: got some that the optimizer does not have"):
        stabilize.WeightDecay(optim.SGD(ps[:2]), 0.1, ps)
    with pytest.raises(ValueError, match="WeightDecay: rate: got -1"):
        stabilize.WeightDecay(optim.SGD(ps), -1)
    with pytest.raises(ValueError, match="WeightDecay: parameters: got none"):
        stabilize.WeightDecay(optim.SGD(ps), 0.1, [])
    with pytest.raises(ValueError, match="norm_type: got 0"):
        nn.utils.get_total_norm([ps[0].grad], 0)
    with pytest.raises(ValueError, match="max_norm: got -1"):
        nn.utils.clip_grads_with_norm_(ps, -1, 1.0)
    clip = stabilize.AutoClip(ps)
    with pytest.raises(RuntimeError, match="recording"):
        dl.record(lambda: clip.load_state_dict({"norms": [1.0]}))()
    with pytest.raises(RuntimeError, match="AutoClip.percentile: changed"):
        dl.record(lambda: setattr(clip, "percentile", 20))()


def test_printed_with_settings_and_statistics():
    w = nn.Parameter(np.ones(3, np.float32))
    clip, optimizer = stabilize.ClipGradNorm([w], 0.5), optim.SGD([w])
    assert str(clip) == "ClipGradNorm(max_norm=0.5, norm_type=2): no calls"
    (w * w).sum().backward()
    clip()
    assert repr(clip) == "ClipGradNorm(max_norm=0.5, norm_type=2)"
    assert "1 calls, 100.0% clipped" in str(clip)
    guard = stabilize.SpikeGuard(optimizer, "gradient")
    assert repr(guard).startswith("SpikeGuard(watch='gradient', on_spike='skip', threshold=6, ")


def test_refuses_what_is_no_model_no_optimizer_and_no_parameters():
    model = nn.Linear(2, 2)
    for make, wrong, message in (
        (stabilize.AdaptiveClip, model, "AdaptiveClip: parameters: got Linear"),
        (stabilize.ZClip, nn.Sequential(model), "ZClip: parameters: got Sequential"),
        (stabilize.SpikeGuard, model.parameters(), "SpikeGuard: optimizer: got generator"),
        (stabilize.WeightAverage, model.parameters(), "WeightAverage: model: got generator"),
        (stabilize.Probe, model.parameters(), "Probe: model: got generator"),
    ):
        with pytest.raises(TypeError, match=message):
            make(wrong)
