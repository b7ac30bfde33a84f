"""Around an update; S segments of each kind and n = S, sizes[S], as in update."""

from minidl.kernels.kernel import Kernel

LOG: int
ACTIONS: dict[str, int]

count: Kernel  # open, seen [steps]
gather: Kernel  # totals, gradients, open, seen
scale: Kernel  # y, x, factor; n: size
unscale: Kernel  # open, spoiled, gradients, scale
rescale: Kernel  # scale and tracker, open cells, statistics [growth, backoff, interval]; n: cells
squares: Kernel  # sums, x
distances: Kernel  # sums, x, y
# open, state, log, statistics, groups' settings, value [settings]; n: size (-1: the value itself), groups
judge: Kernel
report: Kernel  # state [settings]
# n of these: arrays, those of weights, bytes of a slot, bytes of each array, where each begins in a slot
put_aside: Kernel  # arrays, store
put_back: Kernel  # arrays, store, state
keep: Kernel  # arrays, store, ring, state [slots, every]
weigh: Kernel  # number and share [decay, warm-up]
average: Kernel  # means, x, number and share
