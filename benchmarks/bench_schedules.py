"""What a schedule adds where it is stepped after every batch: two parameter groups of Adam."""

from minidl import nn, optim
from minidl.optim import lr_scheduler as S

SCHEDULES = {
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 10**9),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 0.1, 10**9),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.01, 0.1),
    "warm-up, then cosine": lambda o: S.SequentialLR(o, [S.LinearLR(o), S.CosineAnnealingLR(o, 10**9)], [5]),
}


class Step:
    """One step."""

    params = [list(SCHEDULES)]
    param_names = ["schedule"]

    def setup(self, name):
        model = nn.Linear(4, 4)
        optimizer = optim.Adam([{"params": [model.weight]}, {"params": [model.bias]}])
        self.schedule = SCHEDULES[name](optimizer)
        before = self.schedule.get_last_lr()
        for _ in range(10):
            self.schedule.step()
        assert self.schedule.get_last_lr() != before

    def time_step(self, name):
        self.schedule.step()
