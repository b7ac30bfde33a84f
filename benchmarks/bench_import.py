"""What `import minidl` costs, next to `import numpy`."""

import subprocess
import sys


def _import(module):
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


class Import:
    """A fresh interpreter that imports one package."""

    params = ["numpy", "minidl"]
    param_names = ["package"]
    number, repeat, rounds = 1, 10, 2

    def setup(self, package):
        loaded = f"import sys, {package}; print('numba' in sys.modules)"
        out = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
        assert out.stdout.strip() == "False", "Numba must load when first needed, not at import"

    def time_import(self, package):
        _import(package)
