"""Convolution as products of weights with windows that are read where they lie (convolution.h).

A plane of the input is laid out once per image in a thread's scratch: with its padding, and with the pixels that a
stride skips sorted into planes of their own ("phases"), so that every product reads neighbours. What the sizes mean is
in `Geometry`; `minidl.functional.convolution` makes them.

Exports ``correlate`` (``p = [y, x, mask, w, bias, taps, sources, places, runs, workspace]``) and ``correlate_weight``
(``p = [dw, db, x, dy, mask, taps, places, runs, workspace]``). ``mask``, ``bias`` and ``db`` may be NULL; where a mask
is there, the gradient beside it counts only where the mask is above 0.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int64_t
from libc.string cimport memset

from minidl.kernels.kernel cimport SERIAL, flush_denormals, real, restore_denormals, threads

from minidl.kernels.kernel import Kernel

cdef extern from "convolution.h" nogil:
    const Py_ssize_t VECTOR_BYTES, OUTPUT_ROWS, WEIGHT_ROWS, WEIGHT_TAPS
    ctypedef struct place:
        int64_t source "from"
        int64_t run
    ctypedef struct run:
        int64_t begin, end, to, row
    void windows_float(
        int rows, Py_ssize_t count, float *y, Py_ssize_t plane, Py_ssize_t step, int64_t height, const float *a,
        const float *x, const int64_t *taps, Py_ssize_t depth, const place *places, const run *runs, const float *bias,
        bint relu)
    void windows_double(
        int rows, Py_ssize_t count, double *y, Py_ssize_t plane, Py_ssize_t step, int64_t height, const double *a,
        const double *x, const int64_t *taps, Py_ssize_t depth, const place *places, const run *runs,
        const double *bias, bint relu)
    void lay_phase_float(
        float *to, const float *x, const float *above, Py_ssize_t height, Py_ssize_t width, Py_ssize_t rows,
        Py_ssize_t pitch, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t row, Py_ssize_t column,
        Py_ssize_t readable)
    void lay_phase_double(
        double *to, const double *x, const double *above, Py_ssize_t height, Py_ssize_t width, Py_ssize_t rows,
        Py_ssize_t pitch, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t row, Py_ssize_t column,
        Py_ssize_t readable)
    void lay_gradient_float(
        float *to, const float *dy, const float *above, const place *places, const run *runs, Py_ssize_t vectors,
        int64_t height)
    void lay_gradient_double(
        double *to, const double *dy, const double *above, const place *places, const run *runs, Py_ssize_t vectors,
        int64_t height)
    void weights_float(
        int rows, int count, float *dw, Py_ssize_t ldw, const float *dy, Py_ssize_t lddy, const float *x,
        Py_ssize_t image, Py_ssize_t images, const int64_t *taps, const place *places, Py_ssize_t vectors)
    void weights_double(
        int rows, int count, double *dw, Py_ssize_t ldw, const double *dy, Py_ssize_t lddy, const double *x,
        Py_ssize_t image, Py_ssize_t images, const int64_t *taps, const place *places, Py_ssize_t vectors)

# The sizes n of both kernels.
cdef struct Geometry:
    Py_ssize_t images, groups
    # x: channels per group, of height * width pixels
    Py_ssize_t channels, height, width
    # x in scratch: pixel (row * stride + phase - pad) of x is pixel `row` of a phase of window * pitch elements;
    # the first columns of neighbouring phases are phase_step apart
    Py_ssize_t stride_h, stride_w, pad_h, pad_w, phases_h, phases_w, phase_step, window, pitch, extent
    # y: outputs per group, in planes of `plane` elements, the pixels of a row `step` apart
    Py_ssize_t outputs, plane, step
    # rows of y are worked on in strips; the next strip begins strip_shift elements further
    Py_ssize_t rows, strip_rows, strips, strip_shift
    Py_ssize_t vectors, depth
    # w[group, output, k] is at group * group_stride + output * row_stride + sources[k]
    Py_ssize_t group_stride, row_stride
    # images that correlate_weight takes at a time; scratches in the workspace, and their size
    Py_ssize_t together, slots, slot_size
    Py_ssize_t activation  # only of correlate

LANES = {"float32": VECTOR_BYTES // sizeof(float), "float64": VECTOR_BYTES // sizeof(double)}


cdef inline Py_ssize_t ceildiv(Py_ssize_t x, Py_ssize_t y) noexcept nogil:
    return (x + y - 1) // y


cdef void lay(
    real *to, const real *x, const real *mask, const Geometry *g, Py_ssize_t first, Py_ssize_t channels,
    Py_ssize_t strip,
) noexcept nogil:
    """What the windows of a strip see of some channels from the first on, and zeros up to the end of the scratch."""
    cdef:
        Py_ssize_t c, a, b, row, column, start, plane = g.height * g.width
        Py_ssize_t size = g.extent - (g.channels - channels) * g.phases_h * g.phases_w * g.window * g.pitch
        Py_ssize_t total = g.images * g.groups * g.channels * plane
        real *end = to + size
        const real *above = NULL
    for c in range(first, first + channels):
        start = c * plane
        if mask != NULL:
            above = mask + start
        for a in range(g.phases_h):
            row = strip * g.strip_rows * g.stride_h + a - g.pad_h
            for b in range(g.phases_w):
                column = b * g.phase_step - g.pad_w
                if real is float:
                    lay_phase_float(to, x + start, above, g.height, g.width, g.window, g.pitch, g.stride_h, g.stride_w,
                                    row, column, total - start)
                else:
                    lay_phase_double(to, x + start, above, g.height, g.width, g.window, g.pitch, g.stride_h, g.stride_w,
                                     row, column, total - start)
                to += g.window * g.pitch
    if to < end:
        memset(to, 0, (end - to) * sizeof(real))


cdef inline Py_ssize_t tile_size(Py_ssize_t total, Py_ssize_t limit) noexcept nogil:
    """Size of equal tiles."""
    return ceildiv(total, ceildiv(total, limit))


cdef void pack_weights(real *to, const real *w, const int64_t *sources, const Geometry *g) noexcept nogil:
    """Weights of each tile of outputs in the order in which they are used: [group][tile][k][row]."""
    cdef Py_ssize_t group, i, j, k, rows, height = tile_size(g.outputs, OUTPUT_ROWS)
    cdef const real *base
    for group in range(g.groups):
        i = 0
        while i < g.outputs:
            rows = min(height, g.outputs - i)
            base = w + group * g.group_stride + i * g.row_stride
            for k in range(g.depth):
                for j in range(rows):
                    to[j] = base[j * g.row_stride + sources[k]]
                to += rows
            i += height


cdef void outputs_of(
    real **p, const Geometry *g, Py_ssize_t task, real *scratch, const real *packed,
) noexcept nogil:
    """One strip of one image, all outputs of a group."""
    cdef:
        Py_ssize_t strip = task % g.strips
        Py_ssize_t group = task // g.strips % g.groups, image = task // g.strips // g.groups
        Py_ssize_t i = 0, rows, height = tile_size(g.outputs, OUTPUT_ROWS)
        real *y = p[0] + (image * g.groups + group) * g.outputs * g.plane + strip * g.strip_shift
        const real *bias = p[4]
        const real *b
        const int64_t *taps = <const int64_t *>p[5]
        const place *places = <const place *>p[7]
        const run *runs = <const run *>p[8]
        Py_ssize_t left = min(g.strip_rows, g.rows - strip * g.strip_rows)
        bint relu = g.activation == 1
    lay(scratch, <const real *>p[1], <const real *>p[2], g, (image * g.groups + group) * g.channels, g.channels, strip)
    packed += group * g.outputs * g.depth
    while i < g.outputs:
        rows = min(height, g.outputs - i)
        b = bias + group * g.outputs + i if bias != NULL else NULL
        if real is float:
            windows_float(<int>rows, g.vectors, y + i * g.plane, g.plane, g.step, left, packed + i * g.depth, scratch,
                          taps, g.depth, places, runs, b, relu)
        else:
            windows_double(<int>rows, g.vectors, y + i * g.plane, g.plane, g.step, left, packed + i * g.depth,
                           scratch, taps, g.depth, places, runs, b, relu)
        i += height


cdef int correlate_outputs(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    cdef:
        const Geometry *g = <const Geometry *>n
        Py_ssize_t t, tasks = g.images * g.groups * g.strips
        real *packed = p[9]
        real *scratch = packed + ceildiv(g.groups * g.outputs * g.depth, 16) * 16
        double work = <double>tasks * g.strip_rows * g.outputs * g.depth * g.pitch
        int workers = <int>min(<double>min(threads(), g.slots), work / SERIAL)
        unsigned int denormals = flush_denormals()
    pack_weights(packed, <const real *>p[3], <const int64_t *>p[6], g)
    if workers <= 1:
        for t in range(tasks):
            outputs_of(p, g, t, scratch, packed)
    else:
        for t in prange(tasks, num_threads=workers, schedule="dynamic"):  # nobody waits long for one that lost its core
            worker_outputs(p, g, t, scratch, packed)
    restore_denormals(denormals)
    return 0


cdef inline void worker_outputs(
    real **p, const Geometry *g, Py_ssize_t task, real *scratches, const real *packed,
) noexcept nogil:
    cdef unsigned int denormals = flush_denormals()
    outputs_of(p, g, task, scratches + threadid() * g.slot_size, packed)
    restore_denormals(denormals)


cdef void weight_sums(
    real **p, const Geometry *g, Py_ssize_t group, Py_ssize_t output, Py_ssize_t outputs, Py_ssize_t channel,
    Py_ssize_t channels, real *scratch,
) noexcept nogil:
    """dw for some outputs and channels of a group, over all images."""
    cdef:
        Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t>sizeof(real)
        Py_ssize_t image = 0, images, strip, i, k, m, rows, count, height, source
        Py_ssize_t taps_per_channel = g.depth // g.channels
        Py_ssize_t laid = g.phases_h * g.phases_w * g.window * g.pitch
        Py_ssize_t first = channel * taps_per_channel, last = (channel + channels) * taps_per_channel
        Py_ssize_t size = g.extent - (g.channels - channels) * laid  # of an image's channels, in scratch
        real *dw = p[0] + (group * g.outputs + output) * g.depth
        real *db = p[1] + group * g.outputs + output if p[1] != NULL and channel == 0 else NULL
        const real *dy = p[3]
        const real *mask = p[4]
        const int64_t *taps = <const int64_t *>p[5]
        const place *places = <const place *>p[6]
        const run *runs = <const run *>p[7]
        real *gradient = scratch + size * g.together
        real *window = scratch - channel * laid
        Py_ssize_t row_size  # of an output's gradients, in scratch
    for m in range(outputs):
        for k in range(first, last):
            dw[m * g.depth + k] = 0
        if db != NULL:
            db[m] = 0
    while image < g.images:
        images = min(g.together, g.images - image)
        row_size = images * g.vectors * lanes + 16  # not a page apart: such rows share few cache sets
        for strip in range(g.strips):
            height = min(g.strip_rows, g.rows - strip * g.strip_rows)
            for i in range(images):
                source = ((image + i) * g.groups + group) * g.channels + channel
                lay(scratch + i * size, <const real *>p[2], <const real *>NULL, g, source, channels, strip)
                for m in range(outputs):
                    source = ((image + i) * g.groups + group) * g.outputs + output + m
                    source = source * g.plane + strip * g.strip_shift
                    if real is float:
                        lay_gradient_float(
                            gradient + m * row_size + i * g.vectors * lanes, dy + source,
                            mask + source if mask != NULL else NULL, places, runs, g.vectors, height)
                    else:
                        lay_gradient_double(
                            gradient + m * row_size + i * g.vectors * lanes, dy + source,
                            mask + source if mask != NULL else NULL, places, runs, g.vectors, height)
            if db != NULL:
                for m in range(outputs):
                    add_row(db + m, gradient + m * row_size, row_size - 16)
            m = 0
            while m < outputs:
                rows = min(tile_size(outputs, WEIGHT_ROWS), outputs - m)
                k = first
                while k < last:
                    count = min(tile_size(last - first, WEIGHT_TAPS), last - k)
                    if real is float:
                        weights_float(<int>rows, <int>count, dw + m * g.depth + k, g.depth,
                                      gradient + m * row_size, row_size, window, size, images, taps + k, places,
                                      g.vectors)
                    else:
                        weights_double(<int>rows, <int>count, dw + m * g.depth + k, g.depth,
                                       gradient + m * row_size, row_size, window, size, images, taps + k, places,
                                       g.vectors)
                    k += count
                m += rows
        image += images


cdef void add_row(real *total, const real *x, Py_ssize_t size) noexcept nogil:
    """total += sum of x, whose size is a multiple of 16 bytes' worth of lanes, in 8 interleaved parts."""
    cdef real[8] parts
    cdef Py_ssize_t i, j
    for j in range(8):
        parts[j] = 0
    i = 0
    while i + 8 <= size:
        for j in range(8):
            parts[j] += x[i + j]
        i += 8
    while i < size:
        parts[0] += x[i]
        i += 1
    for j in range(8):
        total[0] += parts[j]


cdef int correlate_weights(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    cdef:
        const Geometry *g = <const Geometry *>n
        Py_ssize_t t, group, output, channel, outputs, channels, parts, wanted
        double work = <double>g.images * g.groups * g.rows * g.pitch * g.outputs * g.depth
        int workers = <int>min(<double>min(threads(), g.slots), work / SERIAL)
        unsigned int denormals = flush_denormals()
    # Each thread takes a rectangle of dw and lays out what that needs; none waits for another, and no sum is split.
    wanted = ceildiv(max(workers, 1), max(g.groups, 1))
    outputs = max(ceildiv(g.outputs, wanted), 1)
    parts = ceildiv(g.outputs, outputs)
    channels = max(ceildiv(g.channels, ceildiv(wanted, max(parts, 1))), 1)
    wanted = parts * ceildiv(g.channels, channels)
    if workers <= 1:
        for group in range(g.groups):
            weight_sums(p, g, group, 0, g.outputs, 0, g.channels, p[8])
    else:
        for t in prange(g.groups * wanted, num_threads=workers, schedule="static"):
            output = t % wanted % parts * outputs
            channel = t % wanted // parts * channels
            worker_weights(p, g, t // wanted, output, min(outputs, g.outputs - output), channel,
                           min(channels, g.channels - channel))
    restore_denormals(denormals)
    return 0


cdef inline void worker_weights(
    real **p, const Geometry *g, Py_ssize_t group, Py_ssize_t output, Py_ssize_t outputs, Py_ssize_t channel,
    Py_ssize_t channels,
) noexcept nogil:
    cdef unsigned int denormals = flush_denormals()
    weight_sums(p, g, group, output, outputs, channel, channels, p[8] + threadid() * g.slot_size)
    restore_denormals(denormals)


correlate = Kernel(
    "correlate", {"float32": <size_t>correlate_outputs[float], "float64": <size_t>correlate_outputs[double]}
)
correlate_weight = Kernel(
    "correlate_weight", {"float32": <size_t>correlate_weights[float], "float64": <size_t>correlate_weights[double]}
)
