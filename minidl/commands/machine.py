"""The commands about the machine: what minidl runs on, and compiling ahead."""

import importlib
import os
import pkgutil
import platform
import time
from pathlib import Path

import numpy as np

import minidl


def info(args):
    """What minidl runs on."""
    import numba

    from minidl.kernels import build_info
    from minidl.kernels.backward import compiler

    compiler.follow_num_threads()  # starts Numba's threads, which decides the layer
    features = [name for name, used in build_info.FEATURES.items() if used]
    lines = {
        "minidl": minidl.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": minidl.get_num_threads(),
        "kernels use": ", ".join(features) or "no vector extensions",
        "openmp": "yes" if build_info.OPENMP else "no: forward kernels run on one core",
        "compiler": build_info.COMPILER + ("" if build_info.OPTIMIZED else ", debug build"),
        "numba threads": numba.threading_layer(),
        "kernel cache": compiler.cache_folder() or "none: no folder is writable, kernels are compiled at every start",
    }
    for name, value in lines.items():
        print(f"{name + ':':15s}{value}")


def cpu_model():
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def warmup(args):
    """Compile all backward kernels."""
    from tqdm import tqdm

    from minidl.kernels.backward import compiler

    dtypes = [np.dtype(np.float32), *([np.dtype(np.float64)] if args.float64 else [])]
    work = [(kernel, dtype) for kernel in backward_kernels() for dtype in dtypes]
    began = time.perf_counter()
    with tqdm(work, unit="kernel", disable=None, dynamic_ncols=True) as bar:
        compiler.Notice.silent = not bar.disable  # the bar says it
        for kernel, dtype in bar:
            bar.set_postfix_str(f"{kernel.name} ({dtype})")
            kernel.address(dtype)
    compiler.Notice.silent = False
    kept = f"kept in {compiler.cache_folder()}" if compiler.CACHE else "not kept: no folder is writable"
    print(f"{len(work)} kernels ready after {time.perf_counter() - began:.1f} s, {kept}")


def backward_kernels():
    """Every kernel in the modules of `minidl.kernels.backward`."""
    from minidl.kernels import backward
    from minidl.kernels.backward.compiler import NumbaKernel

    modules = [
        importlib.import_module(f"{backward.__name__}.{found.name}")
        for found in pkgutil.iter_modules(backward.__path__)
    ]
    found = (value for module in modules for value in vars(module).values() if isinstance(value, NumbaKernel))
    return list(dict.fromkeys(found))
