/* The two inner loops of convolution: products of weights with a sliding window, and of two sliding planes.
 *
 * A window is read where it lies: `taps[k]` says how far its k-th element is from its first one, `places[v]` where the
 * windows of the v-th vector of outputs begin. So no im2col matrix is made, and stride, dilation and padding are not
 * known here. The body is compiled twice, for float and for double; the names end in _float and _double. */
#ifndef REAL

#include <stdint.h>
#include "vector.h"

#define OUTPUT_ROWS (VECTOR_REGISTERS > 16 ? 14 : 6) /* output channels of a tile */
#define WEIGHT_ROWS (VECTOR_REGISTERS > 16 ? 4 : 2) /* tile of weight gradients */
#define WEIGHT_TAPS 6

typedef struct {
    int64_t from;   /* distance of its first window from the first one of all */
    int64_t run;    /* its first entry among the runs; those up to the next vector's are its own */
} place;

typedef struct {
    int64_t begin, end; /* lanes */
    int64_t to;         /* where in the output plane they go */
    int64_t row;        /* of the output plane */
} run;

#define REAL float
#include "convolution.h"
#undef REAL
#define REAL double
#include "convolution.h"
#undef REAL

#else

/* y[i][...] = relu(sum over k of a[k][i] * window[k] + bias[i]) for `vectors` vectors of places; rows and vectors are
 * constants at every call. Runs of rows from `height` on are not stored. */
INLINE void NAME(unrolled_windows)(const int rows, const int vectors, int count, REAL *y, ptrdiff_t plane,
                                   ptrdiff_t step, int64_t height, const REAL *a, const REAL *x, const int64_t *taps,
                                   ptrdiff_t depth, const place *places, const run *runs, const REAL *bias, int relu) {
    vector acc[OUTPUT_ROWS][4];
    const REAL *from[4];
    UNROLL for (int v = 0; v < vectors; v++) {
        from[v] = x + places[v < count ? v : count - 1].from;
        UNROLL for (int i = 0; i < rows; i++) acc[i][v] = (vector){0};
    }
    for (ptrdiff_t k = 0; k < depth; k++, a += rows) {
        vector window[4];
        UNROLL for (int v = 0; v < vectors; v++) window[v] = *(const vector *)(from[v] + taps[k]);
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) acc[i][v] += a[i] * window[v];
        }
    }
    if (bias) {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) acc[i][v] += bias[i];
        }
    }
    if (relu) {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) acc[i][v] = NAME(relu)(acc[i][v]);
        }
    }
    UNROLL for (int v = 0; v < vectors; v++) {
        if (v == count) break;
        for (int64_t r = places[v].run; r < places[v + 1].run; r++) {
            const int begin = (int)runs[r].begin, end = (int)runs[r].end;
            REAL *to = y + runs[r].to;
            if (runs[r].row >= height) continue;
            if (begin == 0 && end == LANES && step == 1) {
                UNROLL for (int i = 0; i < rows; i++) *(vector *)(to + i * plane) = acc[i][v];
            } else if (begin == 0 && step == 1) {
                const mask m = NAME(first)(end);
                UNROLL for (int i = 0; i < rows; i++) NAME(store)(to + i * plane, m, acc[i][v]);
            } else {
                for (int i = 0; i < rows; i++) {
                    REAL lanes[LANES];
                    *(vector *)lanes = acc[i][v];
                    for (int j = begin; j < end; j++) to[i * plane + (j - begin) * step] = lanes[j];
                }
            }
        }
    }
}

/* All `count` places for `rows` output channels; a is packed [depth][rows]. */
static void NAME(windows)(int rows, ptrdiff_t count, REAL *y, ptrdiff_t plane, ptrdiff_t step, int64_t height,
                          const REAL *a, const REAL *x, const int64_t *taps, ptrdiff_t depth, const place *places,
                          const run *runs, const REAL *bias, int relu) {
#define ROWS(n) \
    case n: { \
        enum { vectors = n * 4 <= 2 * OUTPUT_ROWS ? 4 : 2 }; \
        for (ptrdiff_t v = 0; v < count; v += vectors) \
            NAME(unrolled_windows)(n, vectors, (int)(count - v < vectors ? count - v : vectors), y, plane, step, height, \
                                   a, x, taps, depth, places + v, runs, bias, relu); \
        break; \
    }
    switch (rows) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
#if VECTOR_REGISTERS > 16
        ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12) ROWS(13) ROWS(14)
#endif
    }
#undef ROWS
}

/* x where the mask is above 0. */
INLINE vector NAME(masked)(const REAL *x, const REAL *above) {
    const vector v = *(const vector *)x;
    return above ? (vector)((integers)v & (integers)(*(const vector *)above > (vector){0})) : v;
}

/* to[q] = x[first + q * stride] for low <= q < high where the mask is above 0, and 0 for other q < pitch.
 * Whole vectors are written: the row that is laid next overwrites what went too far. Nor is more read than `readable`
 * elements of x, which may be more than a row. */
INLINE void NAME(lay_row)(REAL *to, const REAL *x, const REAL *above, ptrdiff_t low, ptrdiff_t high, ptrdiff_t pitch,
                          ptrdiff_t stride, ptrdiff_t first, ptrdiff_t readable) {
    ptrdiff_t q;
    for (q = 0; q < low; q += LANES) *(vector *)(to + q) = (vector){0};
    q = low;
    if (stride == 1) {
        for (; q < high && first + q + LANES <= readable; q += LANES)
            *(vector *)(to + q) = NAME(masked)(x + first + q, above ? above + first + q : above);
    } else if (stride == 2) {
        integers even;
        UNROLL for (int i = 0; i < LANES; i++) even[i] = 2 * i;
        for (; q < high && first + 2 * (q + LANES) <= readable; q += LANES) {
            const ptrdiff_t i = first + 2 * q, j = i + LANES;
            *(vector *)(to + q) = __builtin_shuffle(NAME(masked)(x + i, above ? above + i : above),
                                                    NAME(masked)(x + j, above ? above + j : above), even);
        }
    }
    for (; q < high; q++) {
        const ptrdiff_t i = first + q * stride;
        to[q] = !above || above[i] > 0 ? x[i] : 0;
    }
    for (q = high; q < pitch; q += LANES) *(vector *)(to + q) = (vector){0};
}

/* One phase of a plane: to[r][q] = x[row + r * stride_h][column + q * stride_w], and 0 where there is no such pixel. */
static void NAME(lay_phase)(REAL *to, const REAL *x, const REAL *above, ptrdiff_t height, ptrdiff_t width,
                            ptrdiff_t rows, ptrdiff_t pitch, ptrdiff_t stride_h, ptrdiff_t stride_w, ptrdiff_t row,
                            ptrdiff_t column, ptrdiff_t readable) {
    ptrdiff_t low = column < 0 ? (stride_w - 1 - column) / stride_w : 0;
    ptrdiff_t high = column < width ? (width - column + stride_w - 1) / stride_w : 0;
    low = low < pitch ? low : pitch;
    high = high < low ? low : high < pitch ? high : pitch;
    for (ptrdiff_t r = 0; r < rows; r++, row += stride_h, to += pitch) {
        const ptrdiff_t start = row * width;
        if (row < 0 || row >= height) NAME(lay_row)(to, x, above, 0, 0, pitch, 1, 0, 0);
        else NAME(lay_row)(to, x + start, above ? above + start : above, low, high, pitch, stride_w, column, readable - start);
    }
}

/* The vectors of one plane of dy in the order of their places, where the mask is above 0; 0 in lanes of no pixel. */
static void NAME(lay_gradient)(REAL *to, const REAL *dy, const REAL *above, const place *places, const run *runs,
                               ptrdiff_t vectors, int64_t height) {
    int64_t done = 0; /* the last vector of a row may overlap the one before */
    integers lane;
    UNROLL for (int i = 0; i < LANES; i++) lane[i] = i;
    for (ptrdiff_t v = 0; v < vectors; v++, to += LANES) {
        const run *r = runs + places[v].run, *const last = runs + places[v + 1].run;
        if (r->begin == 0 && r->end == LANES && r->row < height) { /* nearly always */
            vector x = NAME(masked)(dy + r->to, above ? above + r->to : above);
            if (done > r->to) x = (vector)((integers)x & (integers)(lane >= (int)(done - r->to)));
            *(vector *)to = x;
            done = r->to + LANES;
            continue;
        }
        *(vector *)to = (vector){0};
        for (; r < last && r->row < height; r++) {
            const ptrdiff_t from = r->to - r->begin;
            for (int64_t i = r->begin; i < r->end; i++) to[i] = !above || above[from + i] > 0 ? dy[from + i] : 0;
        }
    }
}

/* Sums over the lanes of `count` vectors, added to dw. */
INLINE void NAME(add_sums)(REAL *dw, const int count, const vector *x) {
    enum { PIECE = 16 / sizeof(REAL), PIECES = LANES / PIECE };
    integers even, odd;
    UNROLL for (int i = 0; i < LANES; i++) { /* neighbours inside 16 bytes: one instruction everywhere */
        const int half = i % PIECE / (PIECE / 2), from = i - i % PIECE + i % (PIECE / 2) * 2;
        even[i] = from + half * LANES;
        odd[i] = even[i] + 1;
    }
    REAL sums[(WEIGHT_TAPS + PIECE - 1) / PIECE * LANES];
    UNROLL for (int g = 0; g < count; g += PIECE) {
        vector level[PIECE];
        UNROLL for (int i = 0; i < PIECE; i++) level[i] = x[g + i < count ? g + i : g];
        UNROLL for (int n = PIECE / 2; n > 0; n /= 2) {
            UNROLL for (int i = 0; i < n; i++) {
                const vector a = level[2 * i], b = level[2 * i + 1];
                level[i] = __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, odd);
            }
        }
        *(vector *)(sums + g * PIECES) = level[0];
    }
    for (int i = 0; i < count; i++) {
        REAL sum = 0;
        UNROLL for (int p = 0; p < PIECES; p++) sum += sums[i / PIECE * LANES + p * PIECE + i % PIECE];
        dw[i] += sum;
    }
}

INLINE void NAME(unrolled_weights)(const int rows, const int count, REAL *dw, ptrdiff_t ldw, const REAL *dy, ptrdiff_t lddy,
                                   const REAL *x, ptrdiff_t image, ptrdiff_t images, const int64_t *taps,
                                   const place *places, ptrdiff_t vectors) {
    vector acc[WEIGHT_ROWS][WEIGHT_TAPS];
    const REAL *window[WEIGHT_TAPS];
    UNROLL for (int j = 0; j < count; j++) {
        window[j] = x + taps[j];
        UNROLL for (int i = 0; i < rows; i++) acc[i][j] = (vector){0};
    }
    for (ptrdiff_t n = 0; n < images; n++) {
        for (ptrdiff_t v = 0; v < vectors; v++, dy += LANES) {
            vector d[WEIGHT_ROWS];
            UNROLL for (int i = 0; i < rows; i++) {
                d[i] = *(const vector *)(dy + i * lddy);
                KEEP(d[i]);
            }
            UNROLL for (int j = 0; j < count; j++) {
                vector w = *(const vector *)(window[j] + places[v].from);
                KEEP(w);
                UNROLL for (int i = 0; i < rows; i++) acc[i][j] += d[i] * w;
            }
        }
        UNROLL for (int j = 0; j < count; j++) window[j] += image;
    }
    UNROLL for (int i = 0; i < rows; i++) NAME(add_sums)(dw + i * ldw, count, acc[i]);
}

/* dw[i][j] += sum over the images and places of dy[i] * window[j], for some rows and `count` taps. */
static void NAME(weights)(int rows, int count, REAL *dw, ptrdiff_t ldw, const REAL *dy, ptrdiff_t lddy, const REAL *x,
                          ptrdiff_t image, ptrdiff_t images, const int64_t *taps, const place *places,
                          ptrdiff_t vectors) {
#define CASE(rows, count) \
    case count: \
        NAME(unrolled_weights)(rows, count, dw, ldw, dy, lddy, x, image, images, taps, places, vectors); \
        break;
#define ROWS(n) \
    case n: \
        switch (count) { CASE(n, 1) CASE(n, 2) CASE(n, 3) CASE(n, 4) CASE(n, 5) CASE(n, 6) } \
        break;
    switch (rows) {
        ROWS(1) ROWS(2)
#if VECTOR_REGISTERS > 16
        ROWS(3) ROWS(4)
#endif
    }
#undef ROWS
#undef CASE
}

#endif
