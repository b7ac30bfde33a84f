"""Who made the first NaN or Inf: planted faults, in recorded steps and in eager code."""

import contextlib
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim

N, C = 6, 4
INF, NAN = float("inf"), float("nan")
MASK = np.zeros((N, C), bool)
MASK[:, 0] = True


class Middle(nn.Module):
    """The planted fault, between a scale that requires a gradient and the rest."""

    def __init__(self, formula):
        super().__init__()
        self.scale = dl.Parameter(np.ones(C, np.float32))
        self.formula = formula

    def forward(self, x):
        return self.formula(self.scale * x)


class Network(nn.Module):
    def __init__(self, middle, out=2):
        super().__init__()
        self.middle, self.head, self.loss = middle, nn.Linear(C, out), nn.CrossEntropyLoss(np.ones(out, np.float32))

    def forward(self, x):
        return self.head(self.middle(x))


class Recurrent(nn.Module):
    """(T, B, C) to the output of the last step."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0][-1]


class Case:
    """A network, its optimizer, its training step, and arguments that go well."""

    def __init__(self, middle, value=1.0, shape=(N, C), rate=0.01):
        dl.manual_seed(0)
        self.network = Network(middle if isinstance(middle, nn.Module) else Middle(middle))
        self.opt = optim.SGD(self.network.parameters(), lr=rate)
        self.x = np.full(shape, value, np.float32) if np.issubdtype(type(value), np.floating) else value
        self.y = np.arange(self.x.shape[-2] if self.x.ndim == 3 else len(self.x)) % 2

    def train(self, x, y):
        self.opt.zero_grad()
        loss = self.network.loss(self.network(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.opt.step()
        return loss


def bad(value, at=None):
    """Puts `value` into the data."""

    def spoil(case):
        x = case.x.copy()
        x[slice(None) if at is None else at] = value
        return x

    return spoil


def put(path, value):
    """Puts `value` into a parameter or a buffer."""

    def spoil(case):
        owner = case.network
        *names, last = path.split(".")
        for name in names:
            owner = getattr(owner, name)
        getattr(owner, last).array.reshape(-1)[1] = value
        return case.x

    return spoil


def from_file(case):
    """Loads weights, one of which is NaN."""
    with tempfile.TemporaryDirectory() as folder:
        case.network.head.weight.array[1, 2] = NAN
        dl.save(case.network, f"{folder}/weights.safetensors")
        case.network.head.weight.array[1, 2] = 0
        case.network.load_state_dict(dl.load(f"{folder}/weights.safetensors"))
    return case.x


def masked_then(formula):
    """A legal mask of -inf in front of the fault."""
    return lambda z: formula(F.softmax(z.masked_fill(MASK, -INF), -1).sum(-1, keepdim=True) + z)


def additive(z):
    return F.softmax(z + np.where(MASK, np.float32(-INF), np.float32(0)), -1) + F.exp(z)


def mask_and_overflow(z):
    return F.softmax(z.masked_fill(MASK, -INF) + z * 1e38, -1)


def shifted_softmax(z):
    scores = z.masked_fill(z < 0, -INF)
    return F.exp(scores - scores.amax(-1, keepdim=True))


def attend(z):
    weights = np.where(np.tri(N, dtype=bool), np.float32(0), np.float32(-INF))
    return F.scaled_dot_product_attention(z, z, F.exp(z), attn_mask=weights)


def rnn():
    layer = nn.RNN(C, C, nonlinearity="relu")
    for parameter in layer.parameters():
        parameter.array[...] = 0
    np.fill_diagonal(layer.weight_hh_l0.array, 1e10)
    np.fill_diagonal(layer.weight_ih_l0.array, 1)
    return Recurrent(layer)


def lstm(reverse=False):
    return Recurrent(nn.LSTM(C, C // 2 if reverse else C, bidirectional=reverse))


def spike(step, row, value):
    def spoil(case):
        x = np.zeros_like(case.x)
        x[step, row] = value
        return x

    return spoil


RANDOM, SEQUENCE = np.random.default_rng(0).random((N, C), np.float32), np.zeros((7, 3, C), np.float32)

# what; how the network is made, and spoiled; what must be named: layer, operation, phase, source, step in time and row
MADE = [
    ("log of a negative number", lambda: Case(F.log), bad(-1, (2, 1)), ("middle", "log", "forward")),
    ("log of zero", lambda: Case(F.log), bad(0, (2, 1)), ("middle", "log", "forward")),
    ("division by zero", lambda: Case(lambda z: 1 / z), bad(0), ("middle", "div", "forward")),
    ("zero by zero", lambda: Case(lambda z: z / z), bad(0), ("middle", "div", "forward")),
    ("overflow in exp", lambda: Case(F.exp), bad(100), ("middle", "exp", "forward")),
    ("Inf minus Inf", lambda: Case(lambda z: z * 1e38 - z * 1e38), bad(100), ("middle", "mul", "forward")),
    ("power of a negative base", lambda: Case(lambda z: z**1.5), bad(-1), ("middle", "pow", "forward")),
    ("rsqrt of zero", lambda: Case(F.rsqrt), bad(0), ("middle", "reciprocal", "forward")),
    ("overflow in a square", lambda: Case(lambda z: F.relu(z * z)), bad(1e30), ("middle", "mul", "forward")),
    (
        "overflow in matmul",
        lambda: Case(lambda z: F.matmul(z, (z * z).t())[:, :C]),
        bad(1e18),
        ("middle", "matmul", "forward"),
    ),
    ("overflow in a layer", lambda: Case(lambda z: z), bad(3e38), ("head", "linear", "forward")),
    (
        "no key left",
        lambda: Case(lambda z: F.softmax(z.masked_fill(z < 0, -INF), -1)),
        bad(-1, 3),
        ("middle", "softmax", "forward"),
    ),
    ("no key left, by hand", lambda: Case(shifted_softmax), bad(-1, 3), ("middle", "sub", "forward")),
    ("behind a legal mask", lambda: Case(masked_then(F.log)), bad(-3, (1, 2)), ("middle", "log", "forward")),
    ("behind an additive mask", lambda: Case(additive), bad(100), ("middle", "exp", "forward")),
    ("mask and overflow", lambda: Case(mask_and_overflow), bad(100), ("middle", "mul", "forward")),
    ("beside a mask of attention", lambda: Case(attend), bad(100), ("middle", "exp", "forward")),
    (
        "variance of zero, batch",
        lambda: Case(nn.BatchNorm1d(C, eps=0), RANDOM),
        bad(1),
        ("middle", "batch_norm", "forward"),
    ),
    (
        "variance of zero, layer",
        lambda: Case(nn.LayerNorm(C, eps=0), RANDOM),
        bad(1),
        ("middle", "layer_norm", "forward"),
    ),
    (
        "explosion in time",
        lambda: Case(rnn(), SEQUENCE),
        spike(2, 1, 1e10),
        ("middle.layer", "rnn", "forward", None, 5, 1),
    ),
    ("sqrt at zero", lambda: Case(F.sqrt), bad(0), ("middle", "sqrt", "backward")),
    (
        "sqrt behind where",
        lambda: Case(lambda z: F.where(z > 0, F.sqrt(F.abs(z) + z), 0.0)),
        bad(-1),
        ("middle", "sqrt", "backward"),
    ),
    ("power at zero", lambda: Case(lambda z: z**0.5), bad(0), ("middle", "sqrt", "backward")),
    ("overflow on the way back", lambda: Case(lambda z: 1 / z), bad(1e-20), ("middle", "div", "backward")),
]
READ = [
    ("Inf in the data", lambda: Case(F.relu), bad(INF, (2, 1)), ("middle", "mul", "forward", "argument 0")),
    (
        "NaN in a sequence",
        lambda: Case(lstm(), SEQUENCE),
        spike(4, 2, NAN),
        ("middle.layer", "linear", "forward", "argument 0", 4, 2),
    ),
    (
        "NaN in both directions",
        lambda: Case(lstm(True), SEQUENCE),
        spike(4, 2, NAN),
        ("middle.layer", "linear", "forward", "argument 0", 4, 2),
    ),
    (
        "NaN in the weights of the loss",
        lambda: Case(F.relu),
        put("loss.weight", NAN),
        ("loss", "cross_entropy", "forward", "loss.weight"),
    ),
    ("NaN in a weight from a file", lambda: Case(F.relu), from_file, ("head", "linear", "forward", "head.weight")),
    (
        "Inf in a table",
        lambda: Case(nn.Embedding(5, C), np.arange(N) % 5),
        put("middle.weight", INF),
        ("middle", "embedding", "forward", "middle.weight"),
    ),
]


@pytest.mark.parametrize("how", ["recorded", "anomaly", "recorded anomaly", "eager"])
@pytest.mark.parametrize(("what", "make", "spoil", "expected"), MADE + READ, ids=[row[0] for row in MADE + READ])
def test_the_first_producer(what, make, spoil, expected, how):
    """The same finding, in a recorded step and in eager code."""
    case = make()
    step = dl.record(case.train) if "recorded" in how else case.train
    for _ in range(2):
        step(case.x, case.y)
    x = spoil(case)
    before = [parameter.numpy().copy() for parameter in case.network.parameters()]
    with pytest.raises(dl.NonFiniteError) as caught:
        if "anomaly" in how:
            with dl.detect_anomaly():
                step(x, case.y)
        else:
            step(x, case.y)
    for parameter, values in zip(case.network.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.numpy(), values)

    finding, text = caught.value.finding, str(caught.value)
    layer, operation, phase, source, time, row = (*expected, None, None, None)[:6]
    if how == "eager" and phase == "backward":  # the graph is gone when the clip looks
        assert finding is None
        assert "record the step, or run it under minidl.detect_anomaly()" in text
        return
    assert str(finding) in text
    assert (finding.layer, finding.operation, finding.phase) == (layer, operation, phase)
    assert finding.outside == (source is not None)
    assert finding.nan + finding.inf > 0
    if "recorded" in how or source != "argument 0":  # eager code has no numbered arguments
        assert finding.source == source
    if "anomaly" not in how or source is None:  # which stops before a recurrent layer has read it
        assert (finding.step, finding.row) == (time, row)
    if not finding.outside:
        assert finding.ranges
        assert all(low <= high for _, low, high in finding.ranges)
    if source is None or source.startswith("argument"):
        assert np.isfinite(float(step(case.x, case.y)))  # the next good batch trains


@pytest.mark.parametrize("how", ["recorded", "anomaly"])
def test_a_learning_rate_that_explodes(how):
    """An update from finite numbers: seen at once by detect_anomaly, in the next step by a recording."""
    case = Case(F.relu, RANDOM)
    step = dl.record(case.train)
    step(case.x, case.y)
    case.opt.param_groups[0]["lr"] = 1e45
    if how == "anomaly":
        with (
            pytest.raises(dl.NonFiniteError, match="First produced by sgd, update: made .*this is middle.scale"),
            dl.detect_anomaly(),
        ):
            step(case.x, case.y)
        return
    step(case.x, case.y)
    with pytest.raises(dl.NonFiniteError, match="this is middle.scale, which sgd changes in every step") as caught:
        step(case.x, case.y)
    assert (caught.value.finding.source, caught.value.finding.updated_by) == ("middle.scale", "sgd")


@pytest.mark.parametrize("recorded", [False, True])
def test_the_statistics_of_a_batch_norm(recorded):
    """A name for what is no parameter."""
    norm = nn.BatchNorm1d(C)
    case = Case(norm)
    case.network.eval()
    step = dl.record(case.train) if recorded else case.train
    step(case.x, case.y)
    norm.running_var.array[2] = NAN
    with pytest.raises(dl.NonFiniteError, match=r"middle: batch_norm read 1 NaN.*first at \[2\]"):
        step(case.x, case.y)


# Programs in which PyTorch's anomaly mode names another node (pytorch#160016): it looks at gradients only


def test_a_nan_of_the_forward_pass_that_backward_only_passes_on():
    w = dl.tensor(np.ones(3), requires_grad=True)
    with dl.detect_anomaly(), pytest.raises(dl.NonFiniteError, match="First produced by log, forward: made 1 NaN"):
        ((w * np.array([1.0, -1.0, 2.0])).log().exp() * 2).sum().backward()


@pytest.mark.parametrize("anomaly", [False, True])
def test_a_nan_that_is_hidden_in_forward_and_comes_back_in_backward(anomaly):
    w = dl.tensor(np.ones(3), requires_grad=True)

    def train(x):
        w.grad = None
        z = w * x
        F.where(z > 0, (z.sqrt() * z).sqrt(), 0.0).sum().backward()
        nn.utils.clip_grad_norm_([w], 1.0)

    step = dl.record(train)
    step(np.ones(3))
    watch = dl.detect_anomaly() if anomaly else contextlib.nullcontext()
    with watch, pytest.raises(dl.NonFiniteError, match="First produced by sqrt, forward: made 1 NaN"):
        step(np.array([1.0, -1.0, 2.0]))


def test_legal_infinities_pass_under_detect_anomaly():
    case = Case(masked_then(F.log))
    with dl.detect_anomaly():
        assert np.isfinite(float(case.train(case.x, case.y)))
        assert F.where(np.array([True, False]), np.array([1.0, NAN]), 0.0).sum().item() == 1


def test_an_error_can_be_sent_to_another_process():
    p = dl.Parameter(np.ones(3, np.float32))
    step = dl.record(lambda x: (p * x).log().sum().backward())
    with pytest.raises(dl.NonFiniteError) as caught:
        step(np.array([1.0, -1.0, 1.0], np.float32))
    sent = pickle.loads(pickle.dumps(caught.value))
    assert str(sent) == str(caught.value) and sent.finding.operation == "log"
    with pytest.raises(ValueError, match="dump: the error does not come from a recorded step"):
        sent.dump("nowhere")


def test_a_bare_error_has_no_finding():
    p = dl.Parameter(np.ones(3, np.float32))
    p.grad = np.array([0, NAN, 0], np.float32)
    with pytest.raises(dl.NonFiniteError) as caught:
        optim.SGD([p]).step()
    assert caught.value.finding is None
    with pytest.raises(ValueError, match=r"dump: the error does not come from a recorded step"):
        caught.value.dump("nowhere.npz")


# A failed step as a file

SCRIPT = """
import sys
import numpy as np
import minidl as dl
from minidl import functional as F, nn, optim

dl.manual_seed(int(sys.argv[1]))
model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
opt = optim.Adam(model.parameters(), lr=0.01)


@dl.record
def step(x, y, factor):
    opt.zero_grad()
    loss = F.cross_entropy(F.log(model(x).exp() - 1) * factor, y)
    loss.backward()
    opt.step()
    return loss


def state():
    arrays = [p.numpy().tolist() for p in (*model.parameters(), *model.buffers())]
    return arrays, dl.engine.generator.counter.tolist()


rng = np.random.default_rng(0)
if sys.argv[2] == "make":
    for _ in range(100):
        before = state()
        try:
            step(rng.standard_normal((8, 4)).astype(np.float32), np.arange(8) % 2, 2.0)
        except dl.NonFiniteError as error:
            error.dump(sys.argv[3])
            print(error, before, state()[0] == before[0])
            break
        before = state()
else:
    from minidl.engine import dump
    try:
        step.reproduce(sys.argv[3])
    except dl.NonFiniteError as error:
        print(error, end=" ")
        counter = dump.read(sys.argv[3])[2].tolist()
        print((state()[0], counter), True)
"""


def run(folder, *args):
    """What the script prints; elsewhere than in the repository, whose own `minidl` may not be compiled."""
    command = [sys.executable, "-c", SCRIPT, *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout


def test_a_dumped_step_fails_alike_in_another_process(tmp_path):
    path = str(tmp_path / "fault.npz")
    made = run(tmp_path, "1", "make", path)
    assert "First produced by log, forward: made" in made
    assert made == run(tmp_path, "2", "reproduce", path)


def test_a_step_that_fails_leaves_no_traces():
    norm = nn.BatchNorm1d(C)
    case = Case(norm, RANDOM)
    step, reference = dl.record(case.train), [b.array for b in norm.buffers()]
    for good in (False, True):  # while recording, and in a replay
        before = [array.copy() for array in reference]
        with pytest.raises(dl.NonFiniteError, match="this is argument 0"):
            step(case.x * NAN, case.y)
        for array, values in zip(reference, before, strict=True):
            np.testing.assert_array_equal(array, values)
        if not good:
            step(case.x, case.y)
    step.verify(case.x, case.y)


def test_files_and_scripts_that_do_not_fit(tmp_path):
    case = Case(F.log)
    step = dl.record(case.train)
    with pytest.raises(dl.NonFiniteError) as caught:
        step(-case.x, case.y)
    path = tmp_path / "fault.npz"
    caught.value.dump(path)
    assert [file.name for file in tmp_path.iterdir()] == ["fault.npz"]
    with pytest.raises(dl.NonFiniteError, match="First produced by middle: log, forward"):
        step.reproduce(path)
    assert np.isfinite(float(step(case.x, case.y)))

    other = Case(nn.Sequential(nn.Linear(C, C), Middle(F.log)))
    with pytest.raises(ValueError, match=r"reproduce: .* reads float32 \(4, 4\), where the step in the file read"):
        dl.record(other.train).reproduce(path)
    case = Case(F.relu)
    assert np.isfinite(float(dl.record(case.train).reproduce(path)))  # no longer fails
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"other.npz is no step"):
        step.reproduce(tmp_path / "other.npz")


def test_an_argument_that_fits_into_no_file(tmp_path):
    w = dl.tensor(np.ones(3), requires_grad=True)

    @dl.record
    def step(x, function):
        function(w * x).sum().backward()

    with pytest.raises(dl.NonFiniteError) as caught:
        step(-np.ones(3), F.log)
    with pytest.raises(TypeError, match=r"dump: the step's arguments are"):
        caught.value.dump(tmp_path / "fault.npz")
    assert not list(tmp_path.iterdir())
