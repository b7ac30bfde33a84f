"""Build of the compiled kernels. Everything else is in pyproject.toml.

Environment: MINIDL_MARCH (default ``native``) chooses the CPU to optimise for,
MINIDL_DEBUG=1 builds with bounds checks and without optimisation.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("MINIDL_DEBUG", "0") not in ("", "0")
MARCH = os.environ.get("MINIDL_MARCH", "native")
X86 = platform.machine().lower() in ("x86_64", "amd64")

# No -ffast-math: NaN and Inf must survive, and linking with it would flush denormals in the user's whole process.
OPTIMISE = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fno-semantic-interposition"]
if X86:
    # gcc, tuned for AMD, splits some multiply-adds in two: then bits depend on which copy of a loop has run.
    OPTIMISE += ["-mprefer-vector-width=512", "--param=avoid-fma-max-bits=0"]


class BuildKernels(build_ext):
    """Checks the compiler in words a user understands, and uses OpenMP where it is there."""

    def build_extensions(self):
        if not self.compiles([]):
            sys.exit("minidl: no working C compiler; install one (Debian, Ubuntu: apt install gcc python3-dev)")
        march = [flag for flag in [f"-march={MARCH}"] if self.compiles([flag])]
        if not march and "MINIDL_MARCH" in os.environ:
            sys.exit(f"minidl: the C compiler does not know MINIDL_MARCH={MARCH}.")
        openmp = [flag for flag in ["-fopenmp"] if self.compiles([flag])]
        flags = ["-O0", "-g"] if DEBUG else [flag for flag in OPTIMISE if self.compiles([flag])]
        for extension in self.extensions:
            extension.extra_compile_args = flags + march + openmp
            extension.extra_link_args = openmp
        self.parallel = os.cpu_count()
        super().build_extensions()

    def compiles(self, flags):
        """Whether the compiler builds an empty program with these flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("int main(void) { return 0; }\n")
            command = [*self.compiler.compiler, *flags, str(source), "-o", str(Path(folder, "probe"))]
            try:
                return subprocess.run(command, capture_output=True).returncode == 0
            except OSError:
                return False


def extensions():
    """One extension module per .pyx file."""
    for source in sorted(Path("minidl").rglob("*.pyx")):
        yield Extension(
            ".".join(source.with_suffix("").parts),
            [str(source)],
            include_dirs=[np.get_include(), "minidl/kernels"],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
            ],
            depends=[str(header) for header in Path("minidl").rglob("*.[hp]*") if header.suffix in (".h", ".pxd")],
        )


setup(
    ext_modules=cythonize(
        list(extensions()),
        language_level=3,
        nthreads=0,
        compiler_directives={
            "boundscheck": DEBUG,
            "wraparound": DEBUG,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "embedsignature": True,
            "legacy_implicit_noexcept": False,
        },
    ),
    cmdclass={"build_ext": BuildKernels},
)
