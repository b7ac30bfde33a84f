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
    scratch: tuple[NDArray, ...]
    scalars: NDArray[np.float64]
    dtype: np.dtype
    node: Any
    phase: str
    gate: NDArray[np.float64] | None
    closed: bool

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
        gate: NDArray[np.float64] | None = ...,
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
    def replay(self, begin: int = 0) -> int: ...
    def timed(self, nanoseconds: NDArray[np.float64]) -> int: ...
