"""PyTorch's worker.

Options: threads; adam (loop, foreach, fused); compile (none, forward, step, graph; graph has its own Adam); last
(images and weights in the memory format "channels last").
"""

import os

import protocol
from layers import build
from workloads import BETA1, BETA2, EPS, LR, MAX_NORM


def start(options):
    """Import torch; see `protocol.serve`."""
    os.environ["OMP_NUM_THREADS"] = str(options["threads"])  # before the OpenMP runtime wakes up
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(options["threads"])
    adam = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    many = options["adam"] != "loop"  # the clip, too, has a foreach form

    layout = torch.channels_last if options.get("last") else torch.contiguous_format

    def residual(block, x):
        h = F.relu(block.norm1(block.conv1(x)))
        return F.relu(block.norm2(block.conv2(h)) + block.shortcut(x))

    def batch(x, y):
        x = torch.from_numpy(x)
        return x.contiguous(memory_format=layout) if x.ndim == 4 else x, torch.from_numpy(y)

    def usual_step(model):
        """The training loop that every PyTorch tutorial has, compiled in no, one or two pieces."""
        params = list(model.parameters())
        opt = torch.optim.Adam(params, lr=LR, **adam[options["adam"]])

        def forward(x, y):
            return F.cross_entropy(model(x), y)

        def update():
            nn.utils.clip_grad_norm_(params, MAX_NORM, foreach=many)
            opt.step()

        if options["compile"] in ("forward", "step"):
            forward = torch.compile(forward, dynamic=False)
        if options["compile"] == "step":
            update = torch.compile(update, dynamic=False)

        def step(x, y):
            opt.zero_grad()
            loss = forward(*batch(x, y))
            loss.backward()
            update()
            return loss.detach()

        return step

    def graph_step(model):
        """The whole step as one compiled graph, as JAX would have it: torch.func gradients and Adam by hand."""
        params = {name: p.detach() for name, p in model.named_parameters()}
        mean = {name: torch.zeros_like(p) for name, p in params.items()}
        square = {name: torch.zeros_like(p) for name, p in params.items()}
        count = torch.zeros(())
        running = dict(model.named_buffers())

        def loss_of(params, x, y):
            moved = {name: b.clone() for name, b in running.items()}  # torch.func lets nothing else change in place
            return F.cross_entropy(torch.func.functional_call(model, {**params, **moved}, (x,)), y), moved

        # cpp_wrapper: the cheapest way to call the compiled code, 10 % of a small step.
        @torch.compile(dynamic=False, fullgraph=True, options={"cpp_wrapper": True})
        def graph(x, y):
            grads, (loss, moved) = torch.func.grad_and_value(loss_of, has_aux=True)(params, x, y)
            for name, b in running.items():
                b.copy_(moved[name])
            norm = torch.sqrt(sum(g.square().sum() for g in grads.values()))
            scale = torch.clamp(MAX_NORM / (norm + 1e-6), max=1.0)
            count.add_(1)
            fix1, fix2 = 1 - BETA1**count, 1 - BETA2**count
            for name, p in params.items():
                g = scale * grads[name]
                mean[name].lerp_(g, 1 - BETA1)
                square[name].mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
                p.sub_(LR / fix1 * mean[name] / ((square[name] / fix2).sqrt() + EPS))
            return loss

        @torch.no_grad()
        def step(x, y):
            return graph(*batch(x, y))

        return step

    def load(row, state):
        torch.compiler.reset()  # or the next row would be compiled for any shape
        model = build(nn, residual, row.layers).to(memory_format=layout)

        def reset(state):
            model.load_state_dict({name: torch.from_numpy(p) for name, p in state.items()})

        def parameters():
            return {name: p.numpy() for name, p in model.state_dict().items()}

        reset(state)
        step = (graph_step if options["compile"] == "graph" else usual_step)(model)
        return step, reset, parameters

    def product(a):
        a = torch.from_numpy(a)
        out = torch.empty_like(a)
        return lambda: torch.mm(a, a, out=out)

    return torch.__version__, load, product


if __name__ == "__main__":
    protocol.serve(start)
