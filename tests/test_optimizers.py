"""What holds for every optimizer, the formulas of Lion and LAMB, and L-BFGS; see also tests/parity."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim

KINDS = {
    "sgd": (optim.SGD, {"momentum": 0.9}),
    "adam": (optim.Adam, {"amsgrad": True}),
    "adamw": (optim.AdamW, {}),
    "adadelta": (optim.Adadelta, {}),
    "adagrad": (optim.Adagrad, {}),
    "adamax": (optim.Adamax, {}),
    "lamb": (optim.LAMB, {}),
    "lion": (optim.Lion, {}),
    "nadam": (optim.NAdam, {}),
    "radam": (optim.RAdam, {"betas": (0.9, 0.9)}),  # adapts from the seventh step on
    "rmsprop": (optim.RMSprop, {}),
    "rmsprop momentum centered": (optim.RMSprop, {"momentum": 0.9, "centered": True}),
}
SHAPES = [(5,), (230, 200), (3, 2), (17000,)]  # two parameters of several segments
STEPS = 10


class Training:
    """An optimizer of two groups, and a loss whose gradients are different in every step."""

    def __init__(self, kind, settings, dtype="float64", shapes=SHAPES):
        rng = np.random.default_rng(0)
        self.parameters = [dl.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
        groups = [{"params": self.parameters[:-1]}, {"params": self.parameters[-1:], "lr": 0.002}]
        self.optimizer = kind(groups, **{"lr": 0.01, **settings})
        self.factors = rng.standard_normal((STEPS, 1)).astype(dtype)

    def step(self, factor):
        self.optimizer.zero_grad()
        loss = sum((((p - factor) * factor) ** 2).sum() for p in self.parameters)
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, recorded=False, between=lambda i: None):
        """All parameters, joined, after all steps."""
        step = dl.record(self.step) if recorded else self.step
        for i, factor in enumerate(self.factors):
            between(i)
            step(factor)
        self.recordings = sum(map(len, step.recordings.values())) if recorded else 0
        return np.concatenate([p.numpy().ravel() for p in self.parameters])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", KINDS)
def test_replay_equals_eager_for_any_number_of_threads(name, dtype):
    expected = Training(*KINDS[name], dtype).run()
    for threads in (1, 2, 3):
        dl.set_num_threads(threads)
        recorded = Training(*KINDS[name], dtype)
        np.testing.assert_array_equal(recorded.run(recorded=True), expected)
        assert recorded.recordings == 1


def other(setting, value):
    """A value that leads elsewhere."""
    if isinstance(value, bool):
        return not value
    return {"betas": (0.7, 0.8), "eps": 30.0}.get(setting, 0.3)


@pytest.mark.parametrize(
    "name, setting",
    [
        (name, setting)
        for name, (kind, settings) in KINDS.items()
        for setting in kind([dl.Parameter(np.zeros(1))], **settings).defaults
        if setting not in ("initial_accumulator_value", "nesterov")
    ],
)
def test_settings_changed_between_replays(name, setting):
    kind, settings = KINDS[name]
    settings = {**settings, "weight_decay": 0.1}

    def run(recorded, change):
        training = Training(kind, settings, shapes=SHAPES[::2])

        def between(i):
            if i == STEPS // 2 and change:
                for group in training.optimizer.param_groups:
                    group[setting] = other(setting, group[setting])

        return training.run(recorded, between)

    changed = run(True, True)
    np.testing.assert_array_equal(changed, run(False, True))
    assert (changed != run(False, False)).any()


@pytest.mark.parametrize("name", KINDS)
def test_a_state_dict_goes_on_where_it_stopped(name):
    kind, settings = KINDS[name]
    whole = Training(kind, settings).run(recorded=True)
    parts = Training(kind, settings)

    def reload(i):
        if i == STEPS // 2:
            state = parts.optimizer.state_dict()
            parts.optimizer = kind(parts.optimizer.param_groups, lr=7.0)
            parts.optimizer.load_state_dict(state)

    np.testing.assert_array_equal(parts.run(between=reload), whole)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("policy", ["raise", "skip", "zero"])
def test_nonfinite_gradients(name, policy):
    kind, settings = KINDS[name]
    p, q = dl.Parameter(np.ones(4)), dl.Parameter(np.ones(4))
    mine, clean = kind([p], on_nonfinite=policy, **settings), kind([q], **settings)
    gradients = [[1.0, 2.0, 3.0, 4.0], [1.0, np.nan, np.inf, 4.0], [4.0, 3.0, 2.0, 1.0]]
    for gradient in gradients:
        p.grad = np.array(gradient)
        finite = np.isfinite(gradient).all()
        if policy == "raise" and not finite:
            with pytest.raises(FloatingPointError, match=f"{mine.name}: NaN or Inf in the gradient"):
                mine.step()
        else:
            mine.step()
        if finite or policy == "zero":
            q.grad = np.nan_to_num(gradient, nan=0.0, posinf=0.0)
            clean.step()
        np.testing.assert_array_equal(p.numpy(), q.numpy())


BAD = [
    ("lr", -1.0, [*KINDS, "lbfgs"]),
    ("lr", float("nan"), [*KINDS, "lbfgs"]),
    ("weight_decay", -0.1, KINDS),
    ("eps", -1e-8, ["adadelta", "adagrad", "adamax", "lamb", "nadam", "radam", "rmsprop"]),
    ("betas", (1.0, 0.9), ["adamax", "lamb", "lion", "nadam", "radam"]),
    ("betas", (0.9, -0.1), ["adamax", "lamb", "lion", "nadam", "radam"]),
    ("momentum_decay", -1.0, ["nadam"]),
    ("alpha", 1.0, ["rmsprop"]),
    ("momentum", -0.5, ["rmsprop"]),
    ("rho", 1.5, ["adadelta"]),
    ("lr_decay", -1.0, ["adagrad"]),
    ("initial_accumulator_value", -1.0, ["adagrad"]),
    ("max_iter", 0, ["lbfgs"]),
    ("max_iter", 2.5, ["lbfgs"]),
    ("max_eval", -3, ["lbfgs"]),
    ("tolerance_grad", -1.0, ["lbfgs"]),
    ("tolerance_change", float("inf"), ["lbfgs"]),
    ("history_size", 0, ["lbfgs"]),
    ("line_search_fn", "armijo", ["lbfgs"]),
]


@pytest.mark.parametrize(
    "name, setting, value", [(name, setting, value) for setting, value, names in BAD for name in names]
)
def test_bad_settings(name, setting, value):
    kind, settings = KINDS.get(name, (optim.LBFGS, {}))
    p = dl.Parameter(np.ones(1))
    wrong = next((v for v in value if not 0 <= v < 1), None) if setting == "betas" else value
    message = rf"{kind.__name__}: {setting}.*got {wrong!r}, expected"
    with pytest.raises(ValueError, match=message):
        kind([p], **{**settings, setting: value})
    optimizer = kind([p], **settings)
    before = dict(optimizer.param_groups[0])
    with pytest.raises(ValueError, match=message):
        optimizer.param_groups[0][setting] = value
    assert optimizer.param_groups[0] == before


# formulas


def run(kind, settings, dtype="float64"):
    """Where ours goes in five steps, and the start and the gradients for a reference in float64."""
    rng = np.random.default_rng(0)
    shapes = [(5,), (230, 200), (3, 2)]
    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    gradients = [[rng.standard_normal(shape).astype(dtype) for shape in shapes] for _ in range(5)]
    parameters = [dl.Parameter(values) for values in start]
    optimizer = kind(parameters, **settings)
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = g
        optimizer.step()
    histories = [[step[i].astype("float64") for step in gradients] for i in range(len(shapes))]
    return zip([p.numpy() for p in parameters], start, histories, strict=True)


@pytest.mark.parametrize("settings", [{}, {"lr": 0.1, "betas": (0.7, 0.8), "weight_decay": 0.3}])
@pytest.mark.parametrize("maximize", [False, True])
def test_lion(settings, maximize):
    lr, (beta1, beta2), decay = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0, **settings}.values()
    for result, x, gradients in run(optim.Lion, {**settings, "maximize": maximize}):
        m = np.zeros_like(x)
        for g in gradients:
            g = -g if maximize else g
            update = np.sign(beta1 * m + (1 - beta1) * g)
            x = x - lr * (update + decay * x)
            m = beta2 * m + (1 - beta2) * g
        np.testing.assert_allclose(result, x, rtol=1e-12, atol=1e-14)


def test_lion_leaves_what_has_no_gradient():
    p = dl.Parameter(np.array([1.0, -2.0]))
    p.grad = np.array([0.0, 3.0])
    optim.Lion([p], lr=0.5).step()
    assert p.tolist() == [1.0, -2.5]


@pytest.mark.parametrize("settings", [{}, {"lr": 0.1, "betas": (0.7, 0.8), "eps": 0.01, "weight_decay": 0.3}])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-10), ("float32", 1e-4)])
def test_lamb(settings, maximize, dtype, rtol):
    defaults = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.01}
    lr, (beta1, beta2), eps, decay = {**defaults, **settings}.values()
    for result, x, gradients in run(optim.LAMB, {**settings, "maximize": maximize}, dtype):
        x = x.astype("float64")
        m = v = np.zeros_like(x)
        for t, g in enumerate(gradients, 1):
            g = -g if maximize else g
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            r = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
            u = r + decay * x
            x = x - lr * np.linalg.norm(x) / np.linalg.norm(u) * u
        np.testing.assert_allclose(result, x, rtol=rtol, atol=rtol)


def test_lamb_has_no_ratio_where_a_norm_is_zero():
    p, q = dl.Parameter(np.zeros(3)), dl.Parameter(np.ones(3))
    p.grad, q.grad = np.ones(3), np.zeros(3)
    optim.LAMB([p, q], lr=0.5, eps=0.01, weight_decay=0.0).step()
    np.testing.assert_allclose(p.numpy(), -0.5 / 1.01, rtol=1e-12)
    assert q.tolist() == [1, 1, 1]


def test_centered_rmsprop_where_gradients_hardly_vary():
    rng = np.random.default_rng(0)
    p = dl.Parameter(np.zeros(1000, np.float32))
    opt = optim.RMSprop([p], lr=1e-6, alpha=0.9, centered=True)
    below = 0
    for _ in range(200):
        p.grad = (1 + 1e-5 * rng.standard_normal(1000)).astype("float32")
        opt.step()
        state = opt.state[p].buffers
        below += (state["square_avg"] < state["grad_avg"] ** 2).sum()
    assert below  # the root of the difference would be NaN
    assert np.isfinite(p.numpy()).all()


# L-BFGS


def rosenbrock():
    """A parameter, and what computes the loss and its gradient."""
    x = dl.Parameter(np.array([-1.0, 1.5]))

    def closure():
        x.grad = None
        loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        loss.backward()
        return loss

    return x, closure


def test_lbfgs_finds_the_minimum_with_a_recorded_closure():
    x, closure = rosenbrock()
    first = float(closure())
    opt = optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=100, max_eval=1000)
    loss = opt.step(dl.record(closure))
    assert float(loss) == first  # not what the last replay left
    np.testing.assert_allclose(x.numpy(), [1, 1], atol=1e-5)
    same, closure = rosenbrock()
    optim.LBFGS([same], line_search_fn="strong_wolfe", max_iter=100, max_eval=1000).step(closure)
    np.testing.assert_array_equal(same.numpy(), x.numpy())


def test_lbfgs_in_float32_over_a_model():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    x = np.random.default_rng(0).standard_normal((40, 4)).astype("float32")
    opt = optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")

    @dl.record
    def closure():
        opt.zero_grad()
        loss = F.mse_loss(model(dl.tensor(x)), dl.tensor(x[:, :1] * x[:, 1:2]))
        loss.backward()
        return loss

    first = float(opt.step(closure))
    for _ in range(5):
        opt.step(closure)
    assert float(closure()) < 0.05 * first


def test_lbfgs_cannot_be_recorded():
    x, closure = rosenbrock()
    opt = optim.LBFGS([x])
    with pytest.raises(RuntimeError, match="LBFGS.step: called while recording.*record the closure instead"):
        dl.record(lambda: opt.step(closure))()


def test_lbfgs_goes_on_from_a_state_dict():
    x, closure = rosenbrock()
    opt = optim.LBFGS([x], lr=0.1, max_iter=5)
    opt.step(closure)
    y, other_closure = rosenbrock()
    y.array[...] = x.array
    again = optim.LBFGS([y])
    again.load_state_dict(opt.state_dict())
    opt.step(closure)
    again.step(other_closure)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    assert again.state["n_iter"] == 10


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda state: state[0].pop("H_diag"), "H_diag: got none"),
        (lambda state: state[0].update(d=np.zeros(3)), r"d: got shape \(3,\), expected \(2,\)"),
        (lambda state: state[0]["old_dirs"].append(np.zeros(1)), r"old_dirs: got shape \(1,\), expected \(2,\)"),
        (lambda state: state.update({1: {}}), "state of parameter 1"),
    ],
)
def test_a_state_dict_that_does_not_fit_lbfgs(spoil, message):
    x, closure = rosenbrock()
    opt = optim.LBFGS([x], lr=0.1, max_iter=5)
    opt.step(closure)
    saved = opt.state_dict()
    spoil(saved["state"])
    with pytest.raises(ValueError, match=message):
        opt.load_state_dict(saved)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_leaves_everything_as_it_was_when_something_is_raised(search):
    x, closure = rosenbrock()
    opt = optim.LBFGS([x], lr=0.1, line_search_fn=search)
    opt.step(closure)
    before, saved = x.numpy().copy(), opt.state_dict()
    calls = []

    def interrupted():
        calls.append(closure())
        if len(calls) == 3:
            raise KeyboardInterrupt
        return calls[-1]

    with pytest.raises(KeyboardInterrupt):
        opt.step(interrupted)
    np.testing.assert_array_equal(x.numpy(), before)
    assert repr(opt.state_dict()) == repr(saved)


def barrier(x, slope):
    """-log(1 - x) - slope x: NaN from 1 on."""
    x.grad = None
    loss = -((1 - x).log() + slope * x).sum()
    loss.backward()
    return loss


@pytest.mark.parametrize("wrapped", [lambda closure: closure, dl.record])
def test_lbfgs_returns_from_where_the_loss_is_not_finite(wrapped):
    x = dl.Parameter(np.array([-3.0]))
    opt = optim.LBFGS([x], lr=10.0, line_search_fn="strong_wolfe")
    closure = wrapped(lambda: barrier(x, 5.0))
    for _ in range(3):
        opt.step(closure)
    np.testing.assert_allclose(x.numpy(), 0.8, atol=1e-5)  # 1 / (1 - x) = 5


@pytest.mark.parametrize(
    "search, message", [(None, "NaN or Inf"), ("strong_wolfe", "lbfgs: NaN or Inf at all 3 points .*by log")]
)
def test_lbfgs_says_that_the_loss_is_not_finite(search, message):
    x = dl.Parameter(np.array([-3.0]))
    opt = optim.LBFGS([x], lr=1e6, max_eval=3, line_search_fn=search)
    with pytest.raises(FloatingPointError, match=message):
        opt.step(lambda: barrier(x, 5.0))
    assert x.tolist() == [-3.0] and not opt.state


def test_lbfgs_says_which_gradient_is_not_finite():
    x = dl.Parameter(np.zeros(2))
    x.name = "x"

    def closure(gradient, loss):
        x.grad = np.array(gradient)
        return loss

    with pytest.raises(FloatingPointError, match=r"lbfgs: NaN or Inf in the gradient of x \(1 values, shape \(2,\)\)"):
        optim.LBFGS([x]).step(lambda: closure([np.nan, 1.0], 1.0))
    with pytest.raises(FloatingPointError, match="lbfgs: the loss is inf"):
        optim.LBFGS([x]).step(lambda: closure([1.0, 1.0], float("inf")))


def test_lbfgs_says_what_it_is_not():
    x, closure = rosenbrock()
    with pytest.raises(ValueError, match="LBFGS: params: got several groups, expected one"):
        optim.LBFGS([{"params": [x]}, {"params": [dl.Parameter(np.zeros(1))]}])
    with pytest.raises(TypeError, match="LBFGS.step: closure: got None"):
        optim.LBFGS([x]).step()
    with pytest.raises(TypeError, match="LBFGS.step: closure: returned None"):
        optim.LBFGS([x]).step(lambda: None)
