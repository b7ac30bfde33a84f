from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minidl.kernels.kernel import Kernel

class Call:
    kernel: Kernel
    outputs: tuple[NDArray | None, ...]
    inputs: tuple[NDArray | None, ...]
    sizes: tuple[int, ...]
    scalars: NDArray[np.float64]
    dtype: np.dtype
    node: Any
    phase: str

    def __init__(
        self,
        kernel: Kernel,
        outputs: Sequence[NDArray | None],
        inputs: Sequence[NDArray | None],
        sizes: Sequence[int],
        scalars: Sequence[float] | NDArray[np.float64],
        dtype: np.dtype,
        node: object,
        phase: str,
        scratch: Sequence[np.ndarray] = ...,
    ) -> None: ...
    def run(self) -> int: ...

class Tape:
    calls: list[Call]
    feeds: list[NDArray]
    stopped: int

    def __init__(self, feeds: list[NDArray]) -> None: ...
    def __len__(self) -> int: ...
    def append(self, call: Call) -> None: ...
    def insert(self, at: int, call: Call) -> None: ...
    def feed(self, arguments: tuple) -> bool: ...
    def replay(self) -> int: ...
