from minidl.engine import as_tensor
from minidl.functional.index import Take


class Embedding(Take):
    padding_idx = None

    def forward(self, x, index):
        self.index = index
        return super().forward(x, index)


def embedding(i, w):
    return Embedding(0, False).apply(w, as_tensor(i))
