/* Vectors of the widest kind that the processor has, as gcc's vector extensions, and loads and stores of a part.
 * The body is compiled twice, for float and for double; the names end in _float and _double. */
#ifndef REAL

#ifndef MINIDL_VECTOR_H
#define MINIDL_VECTOR_H

#include <stddef.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define VECTOR_REGISTERS 32
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define VECTOR_REGISTERS 16
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define VECTOR_REGISTERS 32
#else
#define VECTOR_BYTES 16
#define VECTOR_REGISTERS 16
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define PASTE(name, type) name##_##type
#define TYPED(name, type) PASTE(name, type)

/* Has the optimiser keep a vector in its register: it would rather load it again for every use. */
#if defined(__SSE2__)
#define KEEP(x) __asm__ volatile("" : "+v"(x))
#elif defined(__aarch64__)
#define KEEP(x) __asm__ volatile("" : "+w"(x))
#else
#define KEEP(x)
#endif

/* Spelled anew for each REAL. */
#define LANES ((int)(VECTOR_BYTES / sizeof(REAL)))
#define vector TYPED(vector, REAL)
#define integers TYPED(integers, REAL)
#define mask TYPED(mask, REAL)
#define NAME(name) TYPED(name, REAL)

#define REAL float
#define INTEGER int
#define SUFFIX ps
#include "vector.h"
#undef REAL
#undef INTEGER
#undef SUFFIX
#define REAL double
#define INTEGER long long
#define SUFFIX pd
#include "vector.h"
#undef REAL
#undef INTEGER
#undef SUFFIX

#endif

#else

typedef REAL vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
typedef INTEGER integers __attribute__((vector_size(VECTOR_BYTES)));

/* The first `count` lanes only: nothing beyond them is read or written, the others load as zero. */
#if defined(__AVX512F__)
typedef unsigned short mask;
INLINE mask NAME(first)(int count) { return (mask)((1u << count) - 1); }
INLINE vector NAME(load)(const REAL *p, mask m) { return (vector)TYPED(_mm512_maskz_loadu, SUFFIX)(m, p); }
INLINE void NAME(store)(REAL *p, mask m, vector x) { TYPED(_mm512_mask_storeu, SUFFIX)(p, m, x); }
#elif defined(__AVX2__)
typedef integers mask;
INLINE mask NAME(first)(int count) {
    mask m;
    UNROLL for (int i = 0; i < LANES; i++) m[i] = i;
    return m < count;
}
INLINE vector NAME(load)(const REAL *p, mask m) { return (vector)TYPED(_mm256_maskload, SUFFIX)(p, (__m256i)m); }
INLINE void NAME(store)(REAL *p, mask m, vector x) { TYPED(_mm256_maskstore, SUFFIX)(p, (__m256i)m, x); }
#else
typedef int mask;
INLINE mask NAME(first)(int count) { return count; }
INLINE vector NAME(load)(const REAL *p, mask m) {
    vector x = {0};
    for (int i = 0; i < m; i++) x[i] = p[i];
    return x;
}
INLINE void NAME(store)(REAL *p, mask m, vector x) {
    for (int i = 0; i < m; i++) p[i] = x[i];
}
#endif

/* Clears what is below zero; NaN is not, and stays. */
INLINE vector NAME(relu)(vector x) { return (vector)((integers)x & ~(integers)(x < (vector){0})); }

#endif
