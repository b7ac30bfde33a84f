/* What Cython cannot say of a matrix product: the tile of C that stays in registers, and packing by vectors.
 * The body is compiled twice, for float and for double; the names end in _float and _double. */
#ifndef REAL

#include "vector.h"

/* Rows of the tile: with its two vectors per row it fills the register file without spilling. */
#define TILE_ROWS (VECTOR_REGISTERS > 16 ? 14 : 6)
#define TILE_VECTORS 2

/* Packed panels of the calling thread. The loader makes it when a thread first needs it, and frees it with it. */
#define SCRATCH_BYTES (3 << 19)
static _Thread_local _Alignas(64) char thread_scratch[SCRATCH_BYTES];
static inline void *scratch(void) { return thread_scratch; }

#define REAL float
#include "microkernel.h"
#undef REAL
#define REAL double
#include "microkernel.h"
#undef REAL

#else

/* c[rows, width] = (c +) a b (+ bias), then relu; a[i, k] is at i * row + k * step; width fills all vectors but, when
 * ragged, the last.
 * rows, vectors and ragged are constants at every call, so that all loops unroll and acc lives in registers. */
INLINE void NAME(unrolled)(const int rows, const int vectors, const int ragged, REAL *c, ptrdiff_t ldc, const REAL *a,
                           ptrdiff_t row, ptrdiff_t step, const REAL *b, ptrdiff_t ldb, ptrdiff_t depth, int width,
                           int accumulate, const REAL *bias, int relu) {
    const int last = vectors - 1;
    const mask m = NAME(first)(width - last * LANES);
    vector acc[TILE_ROWS][TILE_VECTORS];
#define LOAD(p, v) (ragged && (v) == last ? NAME(load)((p) + (v) * LANES, m) : *(const vector *)((p) + (v) * LANES))

    UNROLL for (int i = 0; i < rows; i++) {
        __builtin_prefetch(c + i * ldc, 1);
        UNROLL for (int v = 0; v < vectors; v++) acc[i][v] = (vector){0};
    }
    /* Three rows share a pointer, hidden from the optimiser: it would rather keep an offset per row, on the stack. */
    const char *group[(TILE_ROWS + 2) / 3];
    UNROLL for (int g = 0; 3 * g < rows; g++) {
        group[g] = (const char *)(a + 3 * g * row);
        __asm__("" : "+r"(group[g]));
    }
    row *= sizeof(REAL);
    step *= sizeof(REAL);
    for (ptrdiff_t k = 0; k < depth; k++, b += ldb) {
        vector x[TILE_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) x[v] = LOAD(b, v);
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) acc[i][v] += *(const REAL *)(group[i / 3] + i % 3 * row) * x[v];
        }
        UNROLL for (int g = 0; 3 * g < rows; g++) group[g] += step;
    }
    if (accumulate) {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) acc[i][v] += LOAD(c + i * ldc, v);
        }
    }
    if (bias) {
        UNROLL for (int v = 0; v < vectors; v++) {
            const vector x = LOAD(bias, v);
            UNROLL for (int i = 0; i < rows; i++) acc[i][v] += x;
        }
    }
    if (relu) {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) acc[i][v] = NAME(relu)(acc[i][v]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            REAL *p = c + i * ldc + v * LANES;
            if (ragged && v == last) NAME(store)(p, m, acc[i][v]);
            else *(vector *)p = acc[i][v];
        }
    }
#undef LOAD
}

static void NAME(tile)(int rows, REAL *c, ptrdiff_t ldc, const REAL *a, ptrdiff_t row, ptrdiff_t step, const REAL *b,
                       ptrdiff_t ldb, ptrdiff_t depth, int width, int accumulate, const REAL *bias, int relu) {
#define CASE(rows, vectors, ragged) \
    NAME(unrolled)(rows, vectors, ragged, c, ldc, a, row, step, b, ldb, depth, width, accumulate, bias, relu)
#define ROWS(count) \
    case count: \
        if (width == 2 * LANES) CASE(count, 2, 0); \
        else if (width > LANES) CASE(count, 2, 1); \
        else if (width == LANES) CASE(count, 1, 0); \
        else CASE(count, 1, 1); \
        break;
    switch (rows) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
#if VECTOR_REGISTERS > 16
        ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12) ROWS(13) ROWS(14)
#endif
    }
#undef ROWS
#undef CASE
}

/* to[k, i] = from[i, k] for count <= LANES rows i. Whole vectors are written: the last row fills them up. */
static void NAME(pack_transposed)(REAL *to, ptrdiff_t ldt, const REAL *from, ptrdiff_t ldf, int count,
                                  ptrdiff_t depth) {
    const REAL *rows[LANES];
    integers low, high;
    UNROLL for (int i = 0; i < LANES; i++) {
        low[i] = i / 2 + i % 2 * LANES;
        high[i] = low[i] + LANES / 2;
        rows[i] = from + (i < count ? i : count - 1) * ldf;
    }
    for (ptrdiff_t k = 0; k < depth; k += LANES) {
        const int steps = depth - k < LANES ? (int)(depth - k) : LANES;
        const mask m = NAME(first)(steps);
        vector x[LANES], y[LANES];
        UNROLL for (int i = 0; i < LANES; i++) x[i] = NAME(load)(rows[i] + k, m);
        /* log2(LANES) perfect shuffles of all rows transpose the square. */
        UNROLL for (int pass = 1; pass < LANES; pass *= 2) {
            UNROLL for (int i = 0; i < LANES / 2; i++) {
                y[2 * i] = __builtin_shuffle(x[i], x[i + LANES / 2], low);
                y[2 * i + 1] = __builtin_shuffle(x[i], x[i + LANES / 2], high);
            }
            UNROLL for (int i = 0; i < LANES; i++) x[i] = y[i];
        }
        if (steps == LANES) {
            UNROLL for (int i = 0; i < LANES; i++) *(vector *)(to + (k + i) * ldt) = x[i];
        } else {
            for (int i = 0; i < steps; i++) *(vector *)(to + (k + i) * ldt) = x[i];
        }
    }
}

/* to[k, i] = from[k, i] for i < count, and zeros up to whole vectors. */
static void NAME(pack_copy)(REAL *to, ptrdiff_t ldt, const REAL *from, ptrdiff_t ldf, int count, ptrdiff_t depth) {
    const mask m = NAME(first)(count);
    for (ptrdiff_t k = 0; k < depth; k++) *(vector *)(to + k * ldt) = NAME(load)(from + k * ldf, m);
}

#endif
