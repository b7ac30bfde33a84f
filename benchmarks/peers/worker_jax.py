"""JAX's worker: the whole step under one jit, buffers donated.

Options: pin (to one core), sync (no asynchronous dispatch), flat (all parameters in one vector: fewer buffers to pass),
last (images with the channels last), unroll (as many steps of a recurrent layer in one turn of its loop).
"""

import os

import layers
import numpy as np
import protocol
from workloads import BETA1, BETA2, EPS, LR, MAX_NORM, is_running

MOMENTUM, NORM_EPS = 0.1, 1e-5


def start(options):
    """Import jax; see `protocol.serve`."""
    if options.get("pin"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    if options.get("sync"):
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    last = options.get("last", False)
    order = "NHWC" if last else "NCHW"
    channels, space = (-1, (1, 2)) if last else (1, (2, 3))

    def conv(layer, p, x):
        pads, strides = ((layer.padding,) * 2,) * 2, (layer.stride,) * 2
        y = jax.lax.conv_general_dilated(x, p("weight"), strides, pads, dimension_numbers=(order, "OIHW", order))
        return y + jnp.expand_dims(p("bias"), () if last else (1, 2)) if layer.bias else y

    def norm(layer, p, x):
        axis = channels if layer.dims else 1
        axes = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        p("running_mean", (1 - MOMENTUM) * p("running_mean") + MOMENTUM * mean.ravel())
        unbiased = x.size / (x.size - layer.channels)
        p("running_var", (1 - MOMENTUM) * p("running_var") + MOMENTUM * unbiased * var.ravel())
        weight, bias = (p(name).reshape(mean.shape) for name in ("weight", "bias"))
        return (x - mean) * (jax.lax.rsqrt(var + NORM_EPS) * weight) + bias

    def max_pool(layer, p, x):
        first = space[0]
        shape = [n for i, size in enumerate(x.shape) for n in ((size // 2, 2) if i in space else (size,))]
        return x.reshape(shape).max((first + 1, first + 3))

    def flatten(layer, p, x):
        return (jnp.moveaxis(x, -1, 1) if last else x).reshape(len(x), -1)

    def block(layer, p, x):
        def apply(name, x):
            part = layer.parts()[name]
            return functions[type(part)](part, lambda key, *value: p(f"{name}.{key}", *value), x)

        h = jax.nn.relu(apply("norm1", apply("conv1", x)))
        h = apply("norm2", apply("conv2", h))
        return jax.nn.relu(h + (apply("shortcut.1", apply("shortcut.0", x)) if layer.projects else x))

    def rnn_cell(a, b, h, c):
        return jnp.tanh(a + b), c

    def lstm_cell(a, b, h, c):
        i, f, g, o = jnp.split(a + b, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def gru_cell(a, b, h, c):
        (ar, az, an), (br, bz, bn) = jnp.split(a, 3, axis=-1), jnp.split(b, 3, axis=-1)
        r, z = jax.nn.sigmoid(ar + br), jax.nn.sigmoid(az + bz)
        return (1 - z) * jnp.tanh(an + r * bn) + z * h, c

    cells = {"RNN": rnn_cell, "LSTM": lstm_cell, "GRU": gru_cell}

    def recurrent(layer, p, x):
        weight, bias, cell = p("weight_hh_l0"), p("bias_hh_l0"), cells[layer.kind]

        def step(state, a):
            state = cell(a, state[0] @ weight.T + bias, *state)
            return state, state[0]

        zero = jnp.zeros((x.shape[1], layer.size))
        inputs = x @ p("weight_ih_l0").T + p("bias_ih_l0")  # of all steps at once
        # A backward loop by hand, with one product for the gradient of all steps' weights, is no faster.
        _, output = jax.lax.scan(step, (zero, zero), inputs, unroll=options.get("unroll", 1))
        return output

    functions = {
        layers.Linear: lambda layer, p, x: x @ p("weight").T + p("bias"),
        layers.Conv: conv,
        layers.Norm: norm,
        layers.ReLU: lambda layer, p, x: jax.nn.relu(x),
        layers.MaxPool: max_pool,
        layers.MeanPool: lambda layer, p, x: x.mean(space, keepdims=True),
        layers.Flatten: flatten,
        layers.Block: block,
        layers.Embedding: lambda layer, p, x: p("weight")[x],  # faster than a product with one-hot rows
        layers.Recurrent: recurrent,
        layers.Steps: lambda layer, p, x: x.reshape(-1, x.shape[-1]),
    }

    def forward(row, params, running, x):
        """The logits; running statistics are changed in the dict."""
        x = jnp.moveaxis(x, 1, -1) if last and row.images else x
        for i, layer in enumerate(row.layers):

            def p(key, *value, i=i):  # reads a weight, or writes a statistic
                if value:
                    (running[f"{i}.{key}"],) = value
                return running[f"{i}.{key}"] if is_running(key) else params[f"{i}.{key}"]

            x = functions[type(layer)](layer, p, x)
        return x

    class Packed:
        """Arrays by name as a list of buffers, or as one if options say flat."""

        def __init__(self, state):
            self.shapes = {name: p.shape for name, p in state.items()}
            self.ends = np.cumsum([p.size for p in state.values()])

        def pack(self, state):  # always copies: a donated buffer must not be NumPy's
            values = [state[name] for name in self.shapes]
            if options.get("flat"):
                return [jnp.concatenate([jnp.ravel(p) for p in values])] if values else []
            return [jnp.array(p) for p in values]

        def unpack(self, buffers):
            if options.get("flat") and buffers:
                shaped = zip(self.shapes.values(), self.ends, strict=True)
                buffers = [buffers[0][end - np.prod(s, dtype=int) : end].reshape(s) for s, end in shaped]
            return dict(zip(self.shapes, buffers, strict=True))

    def load(row, state):
        def part(state, running):
            return {name: p for name, p in state.items() if is_running(name) is running}

        weights, statistics = Packed(part(state, False)), Packed(part(state, True))

        def loss_of(params, running, x, y):
            running = statistics.unpack(running)
            log_p = jax.nn.log_softmax(forward(row, weights.unpack(params), running, x))
            return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean(), statistics.pack(running)

        def train_step(params, mean, square, running, count, x, y):
            (loss, running), grads = jax.value_and_grad(loss_of, has_aux=True)(params, running, x, y)
            norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in grads))
            scale = jnp.minimum(1.0, MAX_NORM / (norm + 1e-6))
            grads = [scale * g for g in grads]
            count = count + 1
            mean = [BETA1 * m + (1 - BETA1) * g for m, g in zip(mean, grads, strict=True)]
            square = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(square, grads, strict=True)]
            fix1, fix2 = 1 - BETA1**count, 1 - BETA2**count
            params = [
                p - LR * (m / fix1) / (jnp.sqrt(v / fix2) + EPS) for p, m, v in zip(params, mean, square, strict=True)
            ]
            return params, mean, square, running, count, loss

        compiled = jax.jit(train_step, donate_argnums=(0, 1, 2, 3, 4))

        zeros = {name: np.zeros_like(p) for name, p in state.items()}
        carry = [weights.pack(state), weights.pack(zeros), weights.pack(zeros), statistics.pack(state)]
        carry.append(jnp.zeros((), jnp.float32))

        def step(x, y):
            *carry[:], loss = compiled(*carry, x, y)
            return loss

        def reset(state):
            carry[0], carry[3] = weights.pack(state), statistics.pack(state)

        def parameters():
            found = {**weights.unpack(carry[0]), **statistics.unpack(carry[3])}
            return {name: np.asarray(p) for name, p in found.items()}

        return step, reset, parameters

    def product(a):
        a, multiply = jnp.array(a), jax.jit(jnp.matmul)
        return lambda: multiply(a, a).block_until_ready()

    return jax.__version__, load, product


if __name__ == "__main__":
    protocol.serve(start)
