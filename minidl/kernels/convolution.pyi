"""Products of weights with sliding windows; the sizes are those of `Geometry` in convolution.pyx."""

from minidl.kernels.kernel import Kernel

LANES: dict[str, int]  # of a vector, by dtype
correlate: Kernel  # y, x, mask or None, w, bias or None, taps, sources, places, runs, workspace
correlate_weight: Kernel  # dw, db or None, x, dy, mask or None, taps, places, runs, workspace
