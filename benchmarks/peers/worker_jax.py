"""JAX's worker: the whole step under one jit, buffers donated.

Options: pin (to one core), sync (no asynchronous dispatch), flat (all parameters in one vector: fewer buffers to pass).
"""

import os

import numpy as np
import protocol
from workloads import BETA1, BETA2, EPS, LR, MAX_NORM


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

    def mlp(params, x):
        for w, b in zip(params[:-2:2], params[1:-2:2], strict=True):
            x = jax.nn.relu(x @ w.T + b)
        return x @ params[-2].T + params[-1]

    models = {"mlp": mlp}

    def load(row, state):
        model = models[row.kind]
        shapes = [p.shape for p in state.values()]
        ends = np.cumsum([p.size for p in state.values()])

        def pack(state):  # always copies: a donated buffer must not be NumPy's
            if options.get("flat"):
                return [jnp.array(np.concatenate([p.ravel() for p in state.values()]))]
            return [jnp.array(p) for p in state.values()]

        def unpack(params):
            if options.get("flat"):
                return [params[0][end - np.prod(s) : end].reshape(s) for s, end in zip(shapes, ends, strict=True)]
            return params

        def loss_of(params, x, y):
            log_p = jax.nn.log_softmax(model(unpack(params), x))
            return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()

        def train_step(params, mean, square, count, x, y):
            loss, grads = jax.value_and_grad(loss_of)(params, x, y)
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
            return params, mean, square, count, loss

        compiled = jax.jit(train_step, donate_argnums=(0, 1, 2, 3))

        zeros = {name: np.zeros_like(p) for name, p in state.items()}
        carry = [pack(state), pack(zeros), pack(zeros), jnp.zeros((), jnp.float32)]

        def step(x, y):
            *carry[:], loss = compiled(*carry, x, y)
            return loss

        def reset(state):
            carry[0] = pack(state)

        def parameters():
            return dict(zip(state, map(np.asarray, unpack(carry[0])), strict=True))

        return step, reset, parameters

    return jax.__version__, load


if __name__ == "__main__":
    protocol.serve(start)
