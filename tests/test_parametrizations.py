"""Parametrized layers: values, edges, modes, recorded steps, copies, removal, bad input."""

import copy

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.nn.utils.parametrizations import spectral_norm, weight_norm, weight_standardization
from minidl.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations

KINDS = [weight_norm, spectral_norm, weight_standardization]


def data(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def originals(layer, name="weight"):
    return layer.parametrizations[name].originals()


# values


def test_weight_norm_keeps_the_weight_and_parts_it():
    layer = nn.Conv2d(3, 5, 2)
    before = layer.weight.numpy().copy()
    assert weight_norm(layer) is layer
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)
    g, v = originals(layer)
    np.testing.assert_allclose(g.numpy().ravel(), np.linalg.norm(before.reshape(5, -1), axis=1), rtol=1e-6)
    g.array[...] = 2
    v.array *= 7
    np.testing.assert_allclose(np.linalg.norm(layer.weight.numpy().reshape(5, -1), axis=1), 2, rtol=1e-6)


@pytest.mark.parametrize(
    "layer, dim", [(nn.Linear(30, 20), 0), (nn.Conv2d(3, 8, 3), 0), (nn.ConvTranspose1d(4, 6, 3), 1)]
)
def test_spectral_norm_is_the_largest_singular_value(layer, dim):
    spectral_norm(layer, n_power_iterations=200)
    matrix = np.moveaxis(layer.weight.numpy(), dim, 0)
    np.testing.assert_allclose(np.linalg.norm(matrix.reshape(len(matrix), -1), 2), 1, rtol=1e-5)


def test_spectral_norm_of_a_large_matrix_does_not_depend_on_threads():
    results = []
    for threads in (1, 2, 3):
        dl.manual_seed(0)
        dl.set_num_threads(threads)
        layer = spectral_norm(nn.Linear(300, 200), n_power_iterations=3)
        weight = layer.weight
        weight.backward(data(200, 300))
        results.append([weight.numpy(), layer.parametrizations.weight.original.grad.numpy().copy()])
    w = layer.parametrizations.weight.original.numpy().astype("float64")
    u, v = (np.asarray(vector, "float64") for vector in layer.parametrizations.weight[0].buffers())
    np.testing.assert_allclose(results[0][0], w / (u @ w @ v), rtol=1e-4, atol=1e-6)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_weight_norm_of_a_large_matrix_does_not_depend_on_threads():
    layer, results = weight_norm(nn.Linear(300, 200)), []
    for threads in (1, 2, 3):
        dl.set_num_threads(threads)
        layer.zero_grad()
        weight = layer.weight
        weight.backward(data(200, 300))
        results.append([weight.numpy(), *(original.grad.numpy().copy() for original in originals(layer))])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv1d(3, 4, 5), nn.Conv2d(4, 6, 3, groups=2)])
def test_weight_standardization(layer):
    before = layer.weight.numpy().astype("float64")
    weight_standardization(layer, eps=1e-3)
    rows = before.reshape(len(before), -1)
    expected = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(layer.weight.numpy(), expected.reshape(before.shape), rtol=1e-5, atol=1e-5)
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]


def test_gradient_of_weight_standardization():
    layer, x = weight_standardization(nn.Conv2d(2, 3, 2, dtype="float64")), data(2, 2, 4, 4, dtype="float64")
    (weight,) = originals(layer)

    def loss():
        return F.square(layer(x)).sum()

    loss().backward()
    step, numeric = 1e-6, np.empty(weight.shape)
    for i in np.ndindex(weight.shape):
        value = weight.array[i]
        weight.array[i] = value + step
        above = loss().item()
        weight.array[i] = value - step
        numeric[i] = (above - loss().item()) / (2 * step)
        weight.array[i] = value
    np.testing.assert_allclose(weight.grad.numpy(), numeric, rtol=1e-5, atol=1e-6)


# edges


def test_weight_norm_of_zeros_is_zero_with_zero_gradients():
    layer = nn.Linear(3, 2)
    layer.weight.array[0] = 0
    weight_norm(layer)
    weight = layer.weight
    weight.backward(np.ones((2, 3), "float32"))
    g, v = originals(layer)
    for array in (weight.numpy(), g.grad.numpy(), v.grad.numpy()):
        np.testing.assert_array_equal(array[0], 0)
        assert np.isfinite(array).all() and (array[1] != 0).any()


def test_spectral_norm_of_zeros_is_nan_and_recovers():
    layer = nn.Linear(3, 2)
    values = layer.weight.numpy().copy()
    layer.weight.array[...] = 0
    spectral_norm(layer)
    (weight,) = originals(layer)
    assert np.isnan(layer.weight.numpy()).all()
    with pytest.raises(FloatingPointError, match="spectral_norm, forward: made 6 NaN"):
        layer(data(4, 3)).sum().backward()
    weight.array[...] = values
    assert np.isfinite(layer.weight.numpy()).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_shows_and_passes(kind, bad):
    layer = kind(nn.Linear(4, 3))
    weight = originals(layer)[-1]
    value = weight.array[1, 2]
    weight.array[1, 2] = bad
    assert np.isnan(layer(data(2, 4)).numpy()).any()
    with pytest.raises(FloatingPointError):
        layer(data(2, 4)).sum().backward()
    weight.array[1, 2] = value
    assert np.isfinite(layer(data(2, 4)).numpy()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_size_1(kind):
    layer = kind(nn.Linear(1, 1, bias=False))
    original = originals(layer)[0].numpy().item()
    expected = {"weight_norm": layer.weight.numpy().item(), "spectral_norm": np.sign(original)}.get(kind.__name__, 0)
    np.testing.assert_allclose(layer(np.ones((1, 1), "float32")).numpy(), expected, rtol=1e-6)


# modes


def test_spectral_norm_improves_in_training_only():
    layer = spectral_norm(nn.Linear(30, 20))
    vectors = list(layer.buffers())

    def moved():
        before = [vector.numpy().copy() for vector in vectors]
        layer(data(2, 30))
        return [bool((old != vector.numpy()).any()) for old, vector in zip(before, vectors, strict=True)]

    originals(layer)[0].array[...] = data(20, 30)
    assert moved() == [True, True]
    layer.eval()
    assert moved() == [False, False]
    with dl.no_grad():
        assert layer.train() is layer and moved() == [True, True]


def test_a_parametrization_takes_the_mode_of_its_module():
    assert not spectral_norm(nn.Linear(3, 2).eval()).parametrizations.weight[0].training
    assert spectral_norm(nn.Linear(3, 2)).parametrizations.weight[0].training


# recorded steps


def network():
    spectral, standardized = spectral_norm(nn.Linear(6, 8)), weight_standardization(nn.Linear(8, 8))
    return nn.Sequential(spectral, nn.ReLU(), standardized, nn.ReLU(), weight_norm(nn.Linear(8, 2)))


def test_replay_equals_eager_with_two_uses_in_a_step():
    """Each use improves the singular vectors; the gradients are those of the vectors that it used."""
    runs = []
    for wrap in (dl.record, lambda function: function):
        dl.manual_seed(0)
        model = network()
        opt = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

        def step(x, z, model=model, opt=opt):
            opt.zero_grad()
            loss = F.square(model(x)).mean() - F.square(model(z)).mean() * 0.1
            loss.backward()
            opt.step()
            return loss

        run = wrap(step)
        losses = [run(data(5, 6, seed=i), data(4, 6, seed=i + 100)).item() for i in range(6)]
        runs.append((losses, {name: value.numpy().copy() for name, value in model.state_dict().items()}))
        if wrap is dl.record:
            assert len(run.last.tape) > 0
            run.verify(data(5, 6), data(4, 6))
    assert runs[0][0] == runs[1][0]
    for name, value in runs[0][1].items():
        np.testing.assert_array_equal(value, runs[1][1][name])


def test_a_recorded_step_follows_mode_and_removal():
    layer = spectral_norm(nn.Linear(6, 4))
    step, x = dl.record(lambda x: layer(x)), data(2, 6)
    u = layer.parametrizations.weight[0]._u
    step(x), step(x)
    before = u.numpy().copy()
    step(x)
    assert (u.numpy() != before).any()
    layer.eval()
    before = u.numpy().copy()
    np.testing.assert_array_equal(step(x).numpy(), layer(x).numpy())
    np.testing.assert_array_equal(u.numpy(), before)
    remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(step(x).numpy(), layer(x).numpy())
    weight_norm(layer)
    originals(layer)[0].array *= 2
    np.testing.assert_array_equal(step(x).numpy(), layer(x).numpy())


def test_not_inside_a_recording():
    layer = nn.Linear(3, 2)
    for change in (lambda: weight_norm(layer), lambda: register_parametrization(layer, "bias", nn.Identity())):
        with pytest.raises(RuntimeError, match="register_parametrization: called while recording"):
            dl.record(change)()
    weight_norm(layer)
    with pytest.raises(RuntimeError, match="remove_parametrizations: called while recording"):
        dl.record(lambda: remove_parametrizations(layer, "weight"))()


# what becomes of the module


@pytest.mark.parametrize("kind", KINDS)
def test_the_optimizer_of_before_still_moves_an_original(kind):
    layer = nn.Linear(4, 3)
    weight, opt = layer.weight, optim.SGD(layer.parameters(), lr=0.1)
    kind(layer)
    same = weight in set(layer.parameters())
    assert same == (kind is not weight_norm)
    F.square(layer(data(5, 4))).sum().backward()
    before = weight.numpy().copy()
    opt.step()
    assert bool((weight.numpy() != before).any()) == same


@pytest.mark.parametrize("kind", KINDS)
def test_deepcopy(kind):
    layer, x = kind(nn.Linear(4, 3)).eval(), data(2, 4)
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(twin(x).numpy(), layer(x).numpy())
    before = layer(x).numpy()
    originals(twin)[0].array[...] = 3 * data(*originals(twin)[0].shape)
    np.testing.assert_array_equal(layer(x).numpy(), before)
    assert (twin(x).numpy() != before).any() and is_parametrized(twin, "weight")
    remove_parametrizations(twin, "weight")
    assert is_parametrized(layer) and not is_parametrized(twin)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trained", [True, False])
def test_removed(kind, trained):
    layer, x = nn.Linear(4, 3), data(2, 4)
    layer.weight.requires_grad = trained
    kind(layer).eval()
    assert all(original.requires_grad == trained for original in originals(layer))
    y, names = layer(x).numpy(), sorted(dict(nn.Linear(4, 3).named_parameters()))
    assert remove_parametrizations(layer, "weight") is layer
    np.testing.assert_array_equal(layer(x).numpy(), y)
    assert sorted(layer.state_dict()) == names and not hasattr(layer, "parametrizations")
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.requires_grad == trained
    assert layer.weight.name == "weight"


def test_one_of_two_removed():
    layer = weight_norm(weight_norm(nn.Linear(4, 3)), "bias")
    remove_parametrizations(layer, "bias")
    assert is_parametrized(layer, "weight") and not is_parametrized(layer, "bias")
    assert list(layer.state_dict())[0] == "bias"


def test_other_dtype_and_saved(tmp_path):
    layer = spectral_norm(weight_norm(nn.Linear(4, 3))).double()
    assert layer.eval()(data(2, 4, dtype="float64")).dtype == "float64"
    dl.save(layer.state_dict(), tmp_path / "weights.safetensors")
    other = spectral_norm(weight_norm(nn.Linear(4, 3))).double()
    other.load_state_dict(dl.load(tmp_path / "weights.safetensors"))
    np.testing.assert_array_equal(other.eval().weight.numpy(), layer.weight.numpy())


def test_frozen_originals_get_no_gradient():
    layer = weight_norm(nn.Linear(4, 3))
    g, v = originals(layer)
    g.requires_grad = False
    layer(data(2, 4)).sum().backward()
    assert g.grad is None and v.grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_relu_still_runs_inside(kind):
    model, x = nn.Sequential(kind(nn.Linear(4, 3)), nn.ReLU()).eval(), data(5, 4)
    y = model(x)
    assert y.node.name == "linear"
    np.testing.assert_array_equal(y.numpy(), np.maximum(model[0](x).numpy(), 0))


def test_folded_batch_norm():
    conv, bn, x = spectral_norm(nn.Conv2d(2, 3, 3)), nn.BatchNorm2d(3), data(2, 2, 5, 5)
    bn(conv(x))
    conv.eval(), bn.eval()
    fused = nn.utils.fuse_conv_bn_eval(conv, bn)
    assert not is_parametrized(fused) and is_parametrized(conv)
    np.testing.assert_allclose(fused(x).numpy(), bn(conv(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_initial_values_that_would_be_lost_are_refused():
    layer = weight_norm(nn.Linear(4, 3))
    with pytest.raises(ValueError, match="normal_: tensor: got one that .*weight_norm computed"):
        nn.init.normal_(layer.weight)
    layer.weight = data(3, 4)
    np.testing.assert_allclose(layer.weight.numpy(), data(3, 4), rtol=1e-6)


def test_initial_values_of_a_recurrent_layer_leave_the_originals():
    layer = weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    before = [original.numpy().copy() for original in originals(layer, "weight_hh_l0")]
    ih = layer.weight_ih_l0.numpy().copy()
    layer.reset_parameters()
    layer.reset_parameters_torch()
    assert (layer.weight_ih_l0.numpy() != ih).all()
    for old, original in zip(before, originals(layer, "weight_hh_l0"), strict=True):
        np.testing.assert_array_equal(original.numpy(), old)


def test_assignment_of_what_does_not_fit():
    layer = weight_norm(nn.Linear(4, 3))
    with pytest.raises(
        ValueError, match=r"got shape \(2, 1\) for parametrizations.weight.original0, expected \(3, 1\)"
    ):
        layer.weight = data(2, 4)


class Half(nn.Module):
    def forward(self, original):
        return original[:1]


def test_a_refused_parametrization_changes_nothing():
    layer = nn.Linear(4, 3)
    values = layer.weight.numpy().copy()
    with pytest.raises(ValueError, match=r"'weight' became float32 \(1, 4\), expected float32 \(3, 4\)"):
        register_parametrization(layer, "weight", Half())
    np.testing.assert_array_equal(layer.weight.numpy(), values)
    assert not is_parametrized(layer)
    register_parametrization(layer, "weight", Half(), unsafe=True)
    assert layer.weight.shape == (1, 4)


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wait'"):
        _ = nn.Linear(2, 2).wait
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wait'"):
        _ = weight_norm(nn.Linear(2, 2)).wait


@pytest.mark.parametrize(
    "call, error, text",
    [
        (
            lambda: weight_norm(nn.Linear(2, 2), "wait"),
            ValueError,
            "weight_norm: Linear has no parameter 'wait'; its p",
        ),
        (
            lambda: weight_norm(nn.ReLU()),
            ValueError,
            "weight_norm: ReLU has no parameter 'weight'; its parameters: none",
        ),
        (lambda: weight_norm("layer"), TypeError, "weight_norm: module: got str, expected Module"),
        (lambda: weight_norm(nn.Linear(2, 2), dim=2), IndexError, r"weight_norm: Linear: dim: got 2, out of range"),
        (
            lambda: weight_norm(nn.Linear(2, 2), dim=0.5),
            TypeError,
            "weight_norm: Linear: dim: got 0.5, expected an int",
        ),
        (
            lambda: weight_norm(weight_norm(nn.Linear(2, 2))),
            ValueError,
            r"weight_norm: 'weight' of Linear is parametrized already, by _WeightNorm\(\)",
        ),
        (
            lambda: weight_norm(spectral_norm(nn.Linear(2, 2))),
            ValueError,
            r"weight_norm: 'weight' of Linear is parametrized already, by _SpectralNorm\(\)",
        ),
        (
            lambda: spectral_norm(spectral_norm(nn.Linear(2, 2))),
            ValueError,
            "spectral_norm: 'weight' of Linear is parametrized already",
        ),
        (lambda: spectral_norm(nn.Linear(2, 2), "w"), ValueError, "spectral_norm: Linear has no parameter 'w'"),
        (
            lambda: spectral_norm(nn.Linear(2, 2), dim=-3),
            IndexError,
            "spectral_norm: Linear: dim: got -3, out of range",
        ),
        (
            lambda: spectral_norm(nn.Linear(2, 2), n_power_iterations=0),
            ValueError,
            "spectral_norm: n_power_iterations: got 0, expected an integer >= 1",
        ),
        (lambda: spectral_norm(nn.Linear(2, 2), eps=-1), ValueError, "spectral_norm: eps: got -1"),
        (
            lambda: weight_standardization(nn.Linear(2, 2), "bias"),
            ValueError,
            r"weight_standardization: got 'bias' of Linear, shape \(2,\), expected a matrix",
        ),
        (lambda: weight_standardization(nn.ConvTranspose2d(2, 2, 2)), ValueError, "got 'weight' of ConvTranspose2d"),
        (
            lambda: weight_standardization(weight_standardization(nn.Linear(2, 2))),
            ValueError,
            "weight_standardization: 'weight' of Linear is parametrized already",
        ),
        (
            lambda: remove_parametrizations(nn.Linear(2, 2), "weight"),
            ValueError,
            "remove_parametrizations: tensor_name: Linear has no parametrization of 'weight'",
        ),
        (
            lambda: register_parametrization(nn.Linear(2, 2), "weight", np.sqrt),
            TypeError,
            "register_parametrization: parametrization: got ufunc, expected Module",
        ),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
