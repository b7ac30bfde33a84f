import enum
from collections.abc import Mapping

import numpy as np

class Status(enum.IntEnum):
    OK = 0
    BAD_INDEX = 1
    NONFINITE = 2
    STALE = 3
    SPIKE = 4

class Kernel:
    name: str
    addresses: dict[np.dtype, int]

    def __init__(self, name: str, addresses: Mapping[str, int]) -> None: ...
    def address(self, dtype: np.dtype) -> int: ...

PARALLEL: int
SERIAL: int
threads_address: int
flush_address: int
restore_address: int

def set_num_threads(count: int) -> None: ...
def get_num_threads() -> int: ...
