"""Module: registration, traversal, modes, state_dict, errors, and what all of it means for recorded steps."""

import copy

import numpy as np
import pytest

import minidl as dl
from minidl import nn
from minidl.engine import state


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(3, "float32"))
        self.register_buffer("mean", dl.tensor(np.zeros(3, "float32")))
        self.register_buffer("scratch", dl.tensor([1, 2]), persistent=False)
        self.encoder = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.encoder(x))


class Mode(nn.Module):
    """Does something else in training."""

    def forward(self, x):
        return dl.functional.relu(x) if self.training else dl.functional.relu(dl.functional.relu(x))


X = np.ones((2, 4), "float32")
PATHS = ["scale", "encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias"]


# what is inside


def test_parameters_come_in_order_and_know_their_path():
    net = Net()
    assert [path for path, _ in net.named_parameters()] == PATHS
    assert [parameter.name for parameter in net.parameters()] == PATHS
    assert [path for path, _ in net.named_parameters(prefix="net", recurse=False)] == ["net.scale"]


def test_a_list_that_grows_after_registration_gives_full_names():
    net = nn.Module()
    net.layers = nn.ModuleList()
    net.layers.append(nn.Linear(1, 1))
    assert net.layers[0].weight.name == "layers.0.weight"


def test_a_shared_parameter_comes_once_but_is_saved_under_each_name():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(net.state_dict()) == 4


def test_a_shared_module_comes_once():
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, layer)
    assert len(list(net.modules())) == 2
    assert len(list(net.children())) == 1
    assert len(list(net.named_modules(remove_duplicate=False))) == 3
    assert net(np.ones((1, 3), "float32")).shape == (1, 3)


def test_buffers():
    net = Net()
    assert [name for name, _ in net.named_buffers()] == ["mean", "scratch"]
    assert [buffer.shape for buffer in net.buffers()] == [(3,), (2,)]
    assert "scratch" not in net.state_dict()
    net.mean = None
    assert [name for name, _ in net.named_buffers()] == ["scratch"]


def test_modules_and_children():
    net = Net()
    assert [name for name, _ in net.named_children()] == ["encoder", "head"]
    assert [name for name, _ in net.named_modules()] == ["", "encoder", "encoder.0", "encoder.1", "head"]
    assert net.get_submodule("encoder.0") is net.encoder[0]
    assert net.get_submodule("") is net
    with pytest.raises(AttributeError, match="Sequential has no module '7'"):
        net.get_submodule("encoder.7")


def test_apply_visits_children_first():
    seen = []
    net = Net()
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "ReLU", "Sequential", "Linear", "Net"]


def test_attributes_can_be_deleted_and_replaced():
    net = Net()
    del net.scale, net.mean, net.encoder
    assert list(net.state_dict()) == ["head.weight", "head.bias"]
    net.head = nn.Linear(5, 2, bias=False)
    assert list(net.state_dict()) == ["head.weight"]
    assert "head" in dir(net)
    assert "0" not in dir(nn.Sequential(net))


def test_no_constructor_call_is_needed():
    class Bare(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

    assert Bare().training
    assert len(list(Bare().parameters())) == 2


@pytest.mark.parametrize(
    "name, value", [("scale", dl.tensor([1.0])), ("mean", np.zeros(3)), ("head", "a string"), ("encoder", print)]
)
def test_a_registered_name_keeps_its_kind(name, value):
    with pytest.raises(TypeError, match=f"Net.{name}: got .*, expected"):
        setattr(Net(), name, value)


@pytest.mark.parametrize(
    "method, value", [("register_parameter", dl.tensor([1.0])), ("register_buffer", 1.0), ("add_module", print)]
)
def test_registering_something_else(method, value):
    with pytest.raises(TypeError, match=f"{method}: thing: got"):
        getattr(Net(), method)("thing", value)


@pytest.mark.parametrize("name", ["", "a.b", "forward", 3])
def test_registering_under_a_bad_name(name):
    with pytest.raises((ValueError, TypeError), match="register_buffer: name"):
        Net().register_buffer(name, dl.tensor([1.0]))


def test_registering_none_reserves_the_name():
    net = nn.Module()
    net.register_parameter("bias", None)
    assert net.bias is None
    net.bias = nn.Parameter([1.0])
    assert list(net.state_dict()) == ["bias"]


def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (encoder): Sequential(\n"
        "    (0): Linear(in_features=4, out_features=5, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=5, out_features=3, bias=True)\n"
        ")"
    )


def test_forward_is_for_subclasses():
    with pytest.raises(NotImplementedError, match=r"Module: forward\(\)"):
        nn.Module()(1)


def test_deep_copy_is_independent():
    net = Net()
    twin = copy.deepcopy(net)
    twin.head.weight.array[...] = 0
    assert net.head.weight.array.any()
    assert list(twin.state_dict()) == list(net.state_dict())
    twin(X).backward(np.ones((2, 3), "float32"))
    assert twin.head.weight.grad is not None and net.head.weight.grad is None


# gradients and types


def test_requires_grad():
    net = Net().requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not net(X).requires_grad


def test_zero_grad():
    net = Net()
    net(X).backward(np.ones((2, 3), "float32"))
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is None
    np.testing.assert_array_equal(net.head.weight.grad.numpy(), 0)
    net(X).backward(np.ones((2, 3), "float32"))
    assert net.head.bias.grad.numpy().tolist() == [2, 2, 2]
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    nn.Module().zero_grad()


def test_zero_grad_in_a_recorded_step():
    net = Net()

    @dl.record
    def step(x):
        net.zero_grad()
        net(x).backward(np.ones((2, 3), "float32"))

    for _ in range(3):
        step(X)
    assert net.head.bias.grad.numpy().tolist() == [2, 2, 2]
    assert len(step.recordings) == 1


@pytest.mark.parametrize("convert", [nn.Module.double, lambda net: net.to("float64")])
def test_to(convert):
    net = Net()
    net(X).backward(np.ones((2, 3), "float32"))
    before = net.head.weight.grad.numpy().copy()
    assert convert(net) is net
    assert net.head.weight.dtype == net.mean.dtype == net.head.weight.grad.dtype == "float64"
    assert net.scratch.dtype == "int64"
    np.testing.assert_array_equal(net.head.weight.grad.numpy(), before)
    assert net(X.astype("float64")).dtype == "float64"
    assert net.float()(X).dtype == "float32"


@pytest.mark.parametrize("dtype", ["int64", "float16", bool])
def test_to_a_bad_type(dtype):
    with pytest.raises(TypeError, match="to: dtype: got"):
        Net().to(dtype)


# state_dict


def test_state_dict_shares_memory_and_loads_in_place():
    net, other = Net(), Net()
    memory = [parameter.array for parameter in net.parameters()]
    result = net.load_state_dict(other.state_dict())
    assert result == ([], [])
    assert result.missing_keys == [] and result.unexpected_keys == []
    for parameter, array, twin in zip(net.parameters(), memory, other.parameters(), strict=True):
        assert parameter.array is array
        np.testing.assert_array_equal(array, twin.array)
    net.state_dict()["scale"].array[0] = 7
    assert net.scale.array[0] == 7
    assert not net.state_dict()["scale"].requires_grad


def test_loading_arrays_of_another_precision():
    net = Net()
    net.load_state_dict({path: np.full(t.shape, 0.5) for path, t in net.state_dict().items()})
    assert net.head.weight.dtype == "float32"
    np.testing.assert_array_equal(net.head.weight.array, 0.5)


def test_loading_what_does_not_fit_lists_all_and_changes_nothing():
    net = Net()
    before = {path: t.numpy().copy() for path, t in net.state_dict().items()}
    state = dict(Net().state_dict(), extra=np.zeros(1), scale=np.zeros(4), mean=np.zeros(3, "complex128"))
    del state["head.bias"]
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "load_state_dict: Net:",
        "  missing: head.bias",
        "  unexpected: extra",
        "  scale: got shape (4,), expected (3,)",
        "  mean: got dtype complex128, expected float32",
    ]
    for path, t in net.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[path])


def test_loading_a_part():
    net = Net()
    result = net.load_state_dict({"scale": np.full(3, 9.0), "extra": np.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["extra"]
    assert result.missing_keys == ["mean", "encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias"]
    assert net.scale.array.tolist() == [9, 9, 9]
    with pytest.raises(ValueError, match="scale: got shape"):
        net.load_state_dict({"scale": np.zeros(4)}, strict=False)


@pytest.mark.parametrize("state_dict", [3, [1, 2], None])
def test_loading_no_mapping(state_dict):
    with pytest.raises(TypeError, match="load_state_dict: got"):
        Net().load_state_dict(state_dict)


# errors name the layer


def test_an_error_names_the_innermost_layer_once():
    outer = nn.Sequential(Net())
    with pytest.raises(ValueError) as caught:
        outer(np.ones((8, 2), "float32"))
    assert str(caught.value) == (
        "0.encoder.0: Linear(in_features=4, out_features=5, bias=True): input has 2 features (shape (8, 2)), expected 4"
    )
    assert outer(X).shape == (2, 3)
    assert state.scope == ()


def test_an_error_of_a_model_without_a_path_names_its_class():
    class Picky(Net):
        def forward(self, x):
            raise IndexError("no")

    with pytest.raises(IndexError, match=r"^Picky: no$"):
        Picky()(X)


def test_an_error_with_other_arguments_is_left_alone():
    class Decoder(nn.Module):
        def forward(self, x):
            return b"\xff".decode()

    with pytest.raises(UnicodeDecodeError, match="can't decode"):
        Decoder()(X)


# recorded steps


def paths(step):
    return [str(call.node) for call in step.last.tape.calls]


def test_nodes_know_their_layer():
    net = Net()
    step = dl.record(lambda x: dl.functional.relu(net(x)))
    step(X)
    assert paths(step) == ["encoder.0: linear", "head: linear", "relu"]
    direct = dl.record(lambda x: net.encoder(x))
    direct(X)
    assert paths(direct) == ["encoder.0: linear"]  # the ReLU behind it runs inside
    root = dl.record(nn.Linear(4, 4))
    root(X)
    assert paths(root) == ["Linear: linear"]


def test_train_and_eval_have_one_recording_each():
    net = nn.Sequential(Mode())
    step = dl.record(lambda x: net(x))
    for mode in [True, False] * 4:
        net.train(mode)
        step(X)
        assert len(step.last.tape.calls) == (1 if mode else 2)
    assert [len(variants) for variants in step.recordings.values()] == [2]


def test_train_within_a_step():
    net = Mode()

    @dl.record
    def step(x):
        net.train()
        return net(x)

    for _ in range(3):
        net.eval()
        step(X)
        assert len(step.last.tape.calls) == 1
        net.train()
        step(X)
        assert len(step.last.tape.calls) == 1
    assert [len(variants) for variants in step.recordings.values()] == [2]


def test_train_sets_the_modules_below():
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.encoder.train()
    assert net.encoder[0].training and not net.head.training
    with pytest.raises(TypeError, match="train: mode: got 1"):
        net.train(1)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "head", nn.Linear(5, 3)),
        lambda net: setattr(net.head, "weight", nn.Parameter(np.ones((3, 5), "float32"))),
        lambda net: setattr(net.head, "bias", None),
        lambda net: net.encoder.append(nn.Linear(5, 5)),
        lambda net: net.encoder.__delitem__(1),
        lambda net: net.double().float(),
    ],
)
def test_a_changed_model_is_recorded_again(change):
    net = Net()
    step = dl.record(lambda x: net(x))
    step(X)
    change(net)
    for _ in range(2):
        np.testing.assert_array_equal(step(X).numpy(), net(X).numpy())
        net.head.weight.array += 1
    assert [len(variants) for variants in step.recordings.values()] == [1]  # the first can never hold again


def test_loaded_values_reach_a_recorded_step():
    net, other = Net(), Net()
    step = dl.record(lambda x: net(x))
    step(X)
    net.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(step(X).numpy(), other(X).numpy())
    assert [len(variants) for variants in step.recordings.values()] == [1]


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "mean", dl.tensor(np.ones(3, "float32"))),
        lambda net: setattr(net, "head", nn.Linear(5, 3)),
        lambda net: delattr(net, "scale"),
        lambda net: net.double(),
        lambda net: nn.init.zeros_(net.scale),
    ],
)
def test_changes_that_a_replay_would_not_repeat(change):
    net = Net()
    with pytest.raises(RuntimeError, match="while recording"):
        dl.record(lambda x: change(net))(X)
    assert net(X).shape == (2, 3)


def test_settings_and_recorded_steps():
    net, calls = Net(), []
    net.factor = 2.0

    def forward(x):
        calls.append(1)
        net.calls = len(calls)  # not a setting that the step has read
        return net(x) * net.factor

    step = dl.record(forward)
    one = step(X).numpy().copy()
    net.factor = 2.0
    np.testing.assert_array_equal(step(X).numpy(), one)
    assert len(calls) == 1
    net.factor = 4.0
    np.testing.assert_allclose(step(X).numpy(), 2 * one)


def test_deepcopy_of_a_trained_model_with_buffers():
    """After a recorded step its running statistics belong to a recording, which cannot be copied."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    step = dl.record(lambda x: model(x).sum().backward())
    step(x)
    step(x)
    twin = copy.deepcopy(model)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
        assert q.name == p.name and q.array.ctypes.data % 64 == 0 and not np.shares_memory(p.array, q.array)
    for one, other in zip(model.buffers(), twin.buffers(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    step(x)
    assert (twin[1].running_mean.numpy() != model[1].running_mean.numpy()).any()
    with pytest.raises(RuntimeError, match="only leaves"):
        copy.deepcopy(model(x))
