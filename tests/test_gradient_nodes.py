"""Wires and gradient noise: what comes back, below a bound, at it, above it, twice, at zero, with Inf and NaN."""

import copy
import math

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim, stabilize

LARGE = (3, 20_000)  # several tiles, the last of them short


def through(function, dy, dtype="float64"):
    """What `function` makes of the gradient `dy`."""
    dy = np.asarray(dy, dtype)
    x = dl.tensor(np.ones(dy.shape, dtype), requires_grad=True)
    function(x).backward(dy)
    return x.grad.numpy().copy()


def normal(shape, scale=1.0):
    return scale * np.random.default_rng(0).standard_normal(shape)


WIRES = {
    "clip": lambda x: F.clip_grad(x, 0.1),
    "clip rows": lambda x: F.clip_grad(x, 0.1, dim=0),
    "clip largest": lambda x: F.clip_grad(x, 0.1, norm_type=np.inf),
    "clip values": lambda x: F.clip_grad(x, max_value=0.1),
    "scale": lambda x: F.scale_grad(x, -0.3),
    "noise": lambda x: F.noise_grad(x, 0.1),
}
each_wire = pytest.mark.parametrize("function", WIRES.values(), ids=WIRES)


@each_wire
def test_values_pass_in_the_same_memory(function):
    x = dl.tensor(normal((3, 4)), requires_grad=True)
    assert np.shares_memory(function(x).numpy(), x.numpy())


# clipping by norm


@pytest.mark.parametrize("order", [1, 2, 2.5, np.inf])
@pytest.mark.parametrize("shape", [(5, 7), (), LARGE])
def test_norm_above_the_bound(order, shape):
    dy = normal(shape)
    norm = np.linalg.norm(dy.ravel(), order)
    clipped = through(lambda x: F.clip_grad(x, norm / 3, norm_type=order), dy)
    np.testing.assert_allclose(clipped, dy / 3, rtol=1e-12)
    twice = through(lambda x: F.clip_grad(F.clip_grad(x, norm / 3, norm_type=order), norm / 3, norm_type=order), dy)
    np.testing.assert_allclose(twice, clipped, rtol=1e-15)


@pytest.mark.parametrize("dim", [None, 0])
def test_norm_at_the_bound_and_below_changes_no_bit(dim):
    dy = np.array([[3.0, 4.0, 12.0]])
    for bound in (13.0, 13.1, np.inf):
        np.testing.assert_array_equal(through(lambda x, bound=bound: F.clip_grad(x, bound, dim=dim), dy), dy)


def test_rows_are_clipped_by_themselves():
    dy = normal((6, 20_000)) * np.array([0.0, 0.01, 0.1, 1.0, 10.0, 1e6])[:, None]
    norms = np.linalg.norm(dy, axis=1, keepdims=True)
    clipped = through(lambda x: F.clip_grad(x, 100.0, dim=0), dy)
    np.testing.assert_allclose(clipped, dy * np.minimum(1, 100 / np.maximum(norms, 1)), rtol=1e-12)
    np.testing.assert_array_equal(clipped[norms[:, 0] < 100], dy[norms[:, 0] < 100])
    few = normal((4, 2, 3, 1))
    clipped = through(lambda x: F.clip_grad(x, 1e-3, norm_type=1, dim=0), few)
    np.testing.assert_allclose(np.abs(clipped).sum((1, 2, 3)), 1e-3)


def test_zero_gradient_stays_zero():
    for function in WIRES.values():
        if function is not WIRES["noise"]:
            assert not through(function, np.zeros((3, 4))).any()


def test_float32_norm_is_accurate():
    dy = normal(LARGE).astype("float32")
    norm = np.linalg.norm(dy.astype(np.float64))
    clipped = through(lambda x: F.clip_grad(x, 1.0), dy, "float32")
    np.testing.assert_allclose(clipped, dy / norm, rtol=3e-7)


# clipping by value


@pytest.mark.parametrize("shape", [(5, 7), (), LARGE])
def test_values(shape):
    dy = normal(shape)
    clipped = through(lambda x: F.clip_grad(x, max_value=0.5), dy)
    np.testing.assert_array_equal(clipped, np.clip(dy, -0.5, 0.5))
    again = through(lambda x: F.clip_grad(x, max_value=0.5), clipped)
    np.testing.assert_array_equal(again, clipped)


# NaN and Inf


def spoiled(value):
    dy = normal((4, 3))
    dy[1, 2] = value
    return dy


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bound", [{"max_norm": 1.0}, {"max_norm": 1.0, "norm_type": np.inf}, {"max_value": 1.0}])
def test_nonfinite_gradients_raise(value, bound):
    model = nn.Sequential(nn.ClipGrad(**bound))
    with pytest.raises(FloatingPointError, match=r"^0: clip_grad: .* \d NaN and \d Inf among 12 .*record the step"):
        through(model, spoiled(value))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_other_policies(value):
    dy = spoiled(value)
    for order in (2, np.inf):
        skipped = through(lambda x, order=order: F.clip_grad(x, 0.1, norm_type=order, on_nonfinite="skip"), dy)
        np.testing.assert_array_equal(skipped, dy)
        zeroed = through(lambda x, order=order: F.clip_grad(x, 0.1, norm_type=order, on_nonfinite="zero"), dy)
        assert not zeroed.any()
    others = np.delete(dy, 1, 0)
    expected = 0.1 * others / np.linalg.norm(others, axis=1, keepdims=True)
    skipped = through(lambda x: F.clip_grad(x, 0.1, dim=0, on_nonfinite="skip"), dy)
    np.testing.assert_allclose(np.delete(skipped, 1, 0), expected)
    np.testing.assert_array_equal(skipped[1], dy[1])
    zeroed = through(lambda x: F.clip_grad(x, 0.1, dim=0, on_nonfinite="zero"), dy)
    np.testing.assert_allclose(np.delete(zeroed, 1, 0), expected)
    assert not zeroed[1].any()
    inside = np.clip(dy, -0.5, 0.5)
    for policy, stands in (("skip", value), ("zero", 0.0)):
        inside[1, 2] = stands
        clamped = through(lambda x, policy=policy: F.clip_grad(x, max_value=0.5, on_nonfinite=policy), dy)
        np.testing.assert_array_equal(clamped, inside)


def test_the_producer_is_named_in_a_recorded_step():
    weight = dl.Parameter(np.ones(3))
    model = nn.Sequential(nn.Linear(3, 3, dtype="float64"), nn.ClipGrad(1.0))

    @dl.record
    def step(x):
        F.sqrt(model(x) * 0 + x * weight).sum().backward()

    step(np.ones((2, 3)))
    with pytest.raises(FloatingPointError, match=r"1: clip_grad: .*First produced by sqrt, backward"):
        step(np.zeros((2, 3)))
    assert model[1].statistics.nonfinite == 1


@each_wire
def test_nan_is_never_lost_in_silence(function):
    dy = spoiled(np.nan)
    try:
        assert np.isnan(through(function, dy)[1, 2])
    except FloatingPointError:
        assert function not in (WIRES["scale"], WIRES["noise"])


# scaling, stopping


@pytest.mark.parametrize("scale", [0.5, 0.0, -1.0])
@pytest.mark.parametrize("shape", [(5, 7), LARGE])
def test_scale(scale, shape):
    dy = normal(shape)
    np.testing.assert_array_equal(through(lambda x: F.scale_grad(x, scale), dy), scale * dy)


def test_gradient_reversal_in_a_graph():
    x = dl.tensor([1.0, 2.0], requires_grad=True)
    (x * x + F.scale_grad(x, -3.0) * 5.0).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy() - 15)


def test_stop():
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(first, nn.StopGrad(), second)
    x = dl.tensor(np.ones((5, 3), "float32"), requires_grad=True)
    model(x).sum().backward()
    assert first.weight.grad is None and x.grad is None  # none, not zeros: an optimizer leaves them alone
    np.testing.assert_array_equal(second.bias.grad.numpy(), [5, 5])
    y = F.stop_grad(first(x))
    assert not y.requires_grad and y.is_leaf
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        y.sum().backward()
    z = dl.tensor([3.0], requires_grad=True)
    (z * F.stop_grad(z * z)).backward()
    assert z.grad.item() == 9


def test_stop_has_a_place_in_the_listing():
    model = nn.Sequential(nn.Linear(3, 4), nn.StopGrad(), nn.Linear(4, 2))

    @dl.record
    def step(x):
        model.zero_grad()
        model(x).sum().backward()

    step(np.ones((2, 3), "float32"))
    rows = [(row.phase, row.layer, row.node) for row in step.listing(1)]
    assert ("forward", "1", "stop_grad") in rows
    assert not any(phase == "backward" and layer == "0" for phase, layer, _ in rows)


# noise


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_is_normal(dtype):
    dy = np.full((1001, 101), 5.0)
    z = (through(lambda x: F.noise_grad(x, 2.0), dy, dtype).astype(np.float64) - 5) / 2
    assert abs(z.mean()) < 0.012  # 4 standard errors
    assert abs(z.std() - 1) < 0.01
    assert abs((z**4).mean() - 3) < 0.15
    flat = z.ravel()
    assert abs((flat[1:] * flat[:-1]).mean()) < 0.013  # neighbours; tiles, which begin at multiples of 16384
    assert abs((flat[16384:] * flat[:-16384]).mean()) < 0.013


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_noise_is_normal_in_its_tails_too(dtype):
    count = 400 * 1024
    dl.manual_seed(11)
    z = noise_of(count, dtype).astype(np.float64)
    normal_cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in np.sort(z)])
    ranks = np.arange(count + 1) / count  # Kolmogorov and Smirnov: 1 of 1000 normal samples is farther off
    assert max(np.abs(normal_cdf - ranks[1:]).max(), np.abs(normal_cdf - ranks[:-1]).max()) < 1.95 / np.sqrt(count)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 4 * np.sqrt(variance / count)
    for bound in (3.0, 4.0):
        for tail in (z > bound).sum(), (z < -bound).sum():
            expected = count * 0.5 * math.erfc(bound / math.sqrt(2))
            assert abs(tail - expected) < 4 * np.sqrt(expected)
    one, other = z.reshape(-1, 2, 512).swapaxes(0, 1).reshape(2, -1)  # those that share a radius
    for a, b in ((z[1:], z[:-1]), (one, other)):
        assert abs((a * b).mean()) < 4 / np.sqrt(a.size)
        assert abs(((a * a - 1) * (b * b - 1)).mean()) < 8 / np.sqrt(a.size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_noise_of_an_element_does_not_depend_on_how_many_there_are(dtype):
    def drawn(count):
        dl.manual_seed(4)
        return noise_of(count, dtype)

    most = drawn(1500)
    for count in (1, 17, 511, 513, 1024, 1031):  # the last of a loop are not computed as vectors
        np.testing.assert_array_equal(drawn(count), most[:count])


def noise_of(count, dtype):
    parameter = dl.Parameter(np.zeros(count, dtype))
    parameter.grad = np.zeros(count, dtype)
    stabilize.GradientNoise([parameter], eta=1.0)()
    return parameter.grad.numpy()


def test_gradient_noise_shrinks_with_the_steps():
    a, b = dl.Parameter(np.zeros(30_001)), dl.Parameter(np.zeros((100, 100), "float32"))
    a.grad, b.grad = np.zeros(a.shape), np.zeros(b.shape, "float32")
    noise = stabilize.GradientNoise([a, b], eta=0.3, gamma=0.55)
    for t in range(4):
        dl.Tensor.zero_(a.grad), dl.Tensor.zero_(b.grad)
        noise()
        std = np.sqrt(0.3 / (1 + t) ** 0.55)
        for gradient in (a.grad.numpy(), b.grad.numpy()):
            assert abs(gradient.mean()) < 4 * std / np.sqrt(gradient.size)
            assert abs(gradient.std() / std - 1) < 4 / np.sqrt(2 * gradient.size)
    assert noise.clock[0] == 4 and noise.statistics.calls == 8  # two dtypes, each with a call of its own
    noise.clock[0] = 10_000
    dl.Tensor.zero_(a.grad)
    noise()
    assert abs(a.grad.numpy().std() / np.sqrt(0.3 / 10_001**0.55) - 1) < 0.02


def test_gradient_noise_does_not_depend_on_where_parameters_lie():
    def made(gap):
        parameters = []
        for shape in ((5, 3), (17,), ()):
            parameters.append(dl.Parameter(np.zeros(shape)))
            parameters[-1].grad = np.ones(shape)
            gap and dl.Parameter(np.zeros(3)).gradient_buffer()
        dl.manual_seed(5)
        stabilize.GradientNoise(parameters)()
        return np.concatenate([p.grad.numpy().ravel() for p in parameters])

    np.testing.assert_array_equal(made(False), made(True))


def test_gradient_noise_leaves_what_has_no_gradient():
    a, b = dl.Parameter(np.zeros(3)), dl.Parameter(np.zeros(3))
    a.grad = np.zeros(3)
    stabilize.GradientNoise([a, b])()
    assert a.grad.numpy().all() and b.grad is None


# recording


@each_wire
def test_replay_equals_eager(function):
    x = dl.tensor(np.ones((20, 30)), requires_grad=True)

    def step(v):
        x.grad = None
        (function(F.tanh(x)) * v).sum().backward()
        return x.grad

    def run(step):
        dl.manual_seed(7)
        return [step(normal((20, 30), scale)).numpy().copy() for scale in (1e-3, 1.0, 1.0)]

    recorded = dl.record(step)
    replayed = run(recorded)
    for one, other in zip(replayed, run(lambda v: step(dl.tensor(v))), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (replayed[1] != replayed[2]).any() == (function is WIRES["noise"])  # every replay draws anew
    recorded.verify(normal((20, 30)))


def test_gradient_noise_in_replays():
    def run(wrap):
        dl.manual_seed(3)
        model = nn.Linear(4, 3)
        optimizer, noise = optim.SGD(model.parameters(), 0.1), stabilize.GradientNoise(model.parameters(), 0.3)

        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2.0).sum().backward()
            noise()
            optimizer.step()

        step = wrap(step)
        for _ in range(5):
            step(np.ones((2, 4), "float32"))
        return model, noise, step

    (eager, _, _), (model, noise, step) = run(lambda step: step), run(dl.record)
    np.testing.assert_array_equal(model.weight.numpy(), eager.weight.numpy())
    assert noise.clock[0] == noise.statistics.calls == 5
    step.verify(np.ones((2, 4), "float32"))
    assert noise.clock[0] == noise.statistics.calls == 5
    assert "GradientNoise" in str(step) and "5 calls, 100.0% noised" in str(step)
    noise.eta = 0.0
    before = noise.statistics.last_before
    step(np.ones((2, 4), "float32"))
    assert noise.statistics.last_after == noise.statistics.last_before != before


def test_noise_behind_a_clip_is_looked_at_by_the_optimizer():
    x = dl.Parameter(np.ones(3, "float32"))
    optimizer, noise = optim.SGD([x]), stabilize.GradientNoise([x])

    @dl.record
    def step():
        optimizer.zero_grad()
        (x * x).sum().backward()
        nn.utils.clip_grad_norm_([x], 1.0)
        noise()
        optimizer.step()

    step()
    noise.eta = 1e90  # more than float32 holds
    with pytest.raises(FloatingPointError, match="sgd: NaN or Inf"):
        step()


def layer_step(layer):
    """A recorded step that sends an array back through `layer`."""
    x = dl.tensor(np.zeros((2, 2)), requires_grad=True)

    @dl.record
    def step(dy):
        x.grad = None
        (layer(x) * dy).sum().backward()
        return x.grad

    return step


def test_settings_change_between_replays():
    dy = np.array([[3.0, 0.0], [0.0, 4.0]])
    for layer, changes in (
        (nn.ClipGrad(1.0), {"max_norm": (2.5, dy / 2), "norm_type": (np.inf, dy * 2.5 / 4)}),
        (nn.ClipGrad(max_value=1.0), {"max_value": (3.5, np.minimum(dy, 3.5))}),
        (nn.ScaleGrad(2.0), {"scale": (-0.5, -dy / 2)}),
        (nn.NoiseGrad(2.0), {"std": (0.0, dy)}),
    ):
        step = layer_step(layer)
        step(dy)
        for name, (value, expected) in changes.items():
            setattr(layer, name, value)
            assert getattr(layer, name) == value
            np.testing.assert_allclose(step(dy).numpy(), expected)
        assert sum(map(len, step.recordings.values())) == 1
        with pytest.raises(RuntimeError, match=f"{name}: changed: called while recording"):
            dl.record(lambda layer=layer, name=name: setattr(layer, name, 1.0))()


def test_statistics_in_replays():
    rows, whole, scale = nn.ClipGrad(1.0, dim=0, on_nonfinite="skip"), nn.ClipGrad(10.0), nn.ScaleGrad(-0.5)
    value, noise = nn.ClipGrad(max_value=2.0, on_nonfinite="zero"), nn.NoiseGrad(0.0)
    step = layer_step(nn.Sequential(value, rows, noise, scale, whole))
    for dy in ([[3.0, 4.0], [0.3, 0.4]], [[6.0, 8.0], [0.0, 0.0]], [[9.0, 12.0], [0.0, 0.0]]):
        step(np.array(dy))
    s = whole.statistics  # the first on the way back: norms 5.02, 10 and 15
    assert (s.calls, s.acted, s.nonfinite) == (3, 1, 0)
    assert s.last_before == pytest.approx(15) and s.last_after == 10
    assert s.mean_before == pytest.approx((np.hypot(5, 0.5) + 10 + 15) / 3)
    assert (scale.statistics.acted, scale.statistics.last_after) == (3, pytest.approx(5))
    assert (noise.statistics.calls, noise.statistics.acted) == (3, 0)
    s = rows.statistics  # halves of them, by row
    assert (s.calls, s.acted) == (6, 3)
    assert s.mean_before == pytest.approx((2.5 + 0.25 + 5 + 5) / 6) and s.mean_after == pytest.approx(3.25 / 6)
    s = value.statistics
    assert (s.calls, s.acted, s.last_before) == (3, 0, pytest.approx(0.8))
    assert repr(rows) == f"ClipGrad(max_norm=1.0, norm_type=2.0, dim=0, on_nonfinite='skip': {rows.statistics})"
    assert str(whole.statistics) in str(step)


def test_statistics_of_what_is_not_finite():
    for layer, acted in (
        (nn.ClipGrad(1.0, on_nonfinite="skip"), 0),
        (nn.ClipGrad(1.0, on_nonfinite="zero"), 1),
        (nn.ClipGrad(max_value=1.0, on_nonfinite="skip"), 0),
        (nn.ClipGrad(max_value=1.0, on_nonfinite="zero"), 1),
        (nn.ScaleGrad(2.0), 1),
        (nn.NoiseGrad(2.0), 1),
    ):
        through(layer, [np.inf, 0.5])
        through(layer, [np.nan, 0.5])
        s = layer.statistics
        assert (s.calls, s.nonfinite, s.acted, s.mean_before) == (2, 2, 2 * acted, 0)


def test_all_calls_of_a_module_share_its_statistics():
    clip = nn.ClipGrad(1.0)
    through(lambda x: clip(clip(x) * 2.0), [3.0, 4.0])
    assert (clip.statistics.calls, clip.statistics.acted) == (2, 2)
    other = copy.deepcopy(clip)
    other.max_norm = 3.0
    through(other, [3.0, 4.0])
    assert (clip.statistics.calls, clip.max_norm) == (2, 1)


@each_wire
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_bits(function, dtype):
    results = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        dl.manual_seed(3)
        results.append(through(function, normal((301, 303)), dtype))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_gradient_noise(dtype):
    results = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        dl.manual_seed(3)
        parameters = [dl.Parameter(np.zeros(40_000, dtype)), dl.Parameter(np.zeros(30_001, dtype))]
        for p in parameters:
            p.grad = np.ones(p.shape, dtype)
        noise = stabilize.GradientNoise(parameters)
        noise()
        results.append(np.concatenate([*(p.grad.numpy() for p in parameters), noise.statistics.cells]))
    np.testing.assert_array_equal(*results)


# bad values


@pytest.mark.parametrize("function, name", [(F.clip_grad, "clip_grad"), (nn.ClipGrad, "ClipGrad")])
def test_bad_clips(function, name):
    first = [np.ones((2, 2))] if function is F.clip_grad else []
    for bad in (0, -1.0, float("nan")):
        for argument in ("max_norm", "max_value"):
            with pytest.raises(ValueError, match=f"^{name}: {argument}: got {bad}, expected"):
                function(*first, **{argument: bad})
        with pytest.raises(ValueError, match=f"^{name}: norm_type: got {bad}"):
            function(*first, max_norm=1.0, norm_type=bad)
    with pytest.raises(ValueError, match="max_value: got inf"):
        function(*first, max_value=np.inf)
    for bounds in ({}, {"max_norm": 1.0, "max_value": 1.0}):
        with pytest.raises(ValueError, match="expected exactly one"):
            function(*first, **bounds)
    with pytest.raises(ValueError, match="dim: got 1, expected None or 0"):
        function(*first, max_norm=1.0, dim=1)
    with pytest.raises(ValueError, match="dim: got 0, expected None"):
        function(*first, max_value=1.0, dim=0)
    with pytest.raises(ValueError, match="on_nonfinite: got 'ignore'"):
        function(*first, max_norm=1.0, on_nonfinite="ignore")


def test_rows_of_a_number():
    with pytest.raises(ValueError, match=r"dim: got 0 for an input of shape \(\)"):
        F.clip_grad(1.0, 1.0, dim=0)


def test_bad_settings():
    parameter = dl.Parameter(np.zeros(3))
    for bad in (float("nan"), np.inf):
        with pytest.raises(ValueError, match=f"^scale_grad: scale: got {bad}, expected a finite number"):
            F.scale_grad([1.0], bad)
        with pytest.raises(ValueError, match=f"^ScaleGrad: scale: got {bad}"):
            nn.ScaleGrad(bad)
    for bad in (-0.1, float("nan"), np.inf):
        with pytest.raises(ValueError, match=f"^noise_grad: std: got {bad}"):
            F.noise_grad([1.0], bad)
        with pytest.raises(ValueError, match=f"^NoiseGrad: std: got {bad}"):
            nn.NoiseGrad(bad)
        for name in ("eta", "gamma"):
            with pytest.raises(ValueError, match=f"^GradientNoise: {name}: got {bad}"):
                stabilize.GradientNoise([parameter], **{name: bad})
    with pytest.raises(ValueError, match="GradientNoise: parameters: got none"):
        stabilize.GradientNoise([])
    clip, noise = nn.ClipGrad(1.0), nn.NoiseGrad(0.5)
    with pytest.raises(ValueError, match="^ClipGrad: max_norm: got 0"):
        clip.max_norm = 0
    with pytest.raises(ValueError, match="^ClipGrad: max_value: got 2.0, expected None, as it has a max_norm"):
        clip.max_value = 2.0
    with pytest.raises(ValueError, match="^NoiseGrad: std: got -1"):
        noise.std = -1
    assert (clip.max_norm, clip.max_value, noise.std) == (1, None, 0.5)  # what was refused changed nothing
