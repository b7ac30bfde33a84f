"""What stabilization adds to a training step."""

from minidl import functional as F
from minidl import optim, record, stabilize

from .networks import NETWORKS, training

GATES = {
    "GradientAccumulation": lambda model, optimizer: stabilize.GradientAccumulation(model.parameters(), 2),
    "SpikeGuard loss": lambda model, optimizer: stabilize.SpikeGuard(optimizer),
    "SpikeGuard loss, rollback": lambda model, optimizer: stabilize.SpikeGuard(optimizer, on_spike="rollback"),
    "SpikeGuard gradient": lambda model, optimizer: stabilize.SpikeGuard(optimizer, "gradient"),
    "SpikeGuard update": lambda model, optimizer: stabilize.SpikeGuard(optimizer, "update"),
    "WeightAverage": lambda model, optimizer: stabilize.WeightAverage(model),
    "GradScaler": lambda model, optimizer: stabilize.GradScaler(),
}


class Gates:
    """The nodes around the optimizer's step, in the step of mnist_mlp; their share is taken from one listing."""

    params = [list(GATES)]
    param_names = ["node"]

    def setup(self, name):
        _, batch = training("mnist_mlp")
        model = NETWORKS["mnist_mlp"].make()
        optimizer = optim.Adam(model.parameters())
        node = GATES[name](model, optimizer)

        def scaled(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            node.scale(loss).backward()
            node.step(optimizer)
            node.update()

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            if node.acts == "after":
                optimizer.step()
                node()
            else:
                with node.around(loss):
                    optimizer.step()

        self.node, self.step = node, record(scaled if node.acts is None else step)
        for _ in range(20):
            self.step(*batch)

    def track_percent(self, name):
        """Share of the step, in percent."""
        rows = self.step.listing(101)
        return 100 * sum(row.microseconds for row in rows if row.node == self.node.name) / rows.microseconds
