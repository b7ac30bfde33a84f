FEATURES: dict[str, bool]
OPENMP: bool
OPTIMIZED: bool
COMPILER: str
