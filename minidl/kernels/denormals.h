/* A product with a denormal number costs 45 normal ones, and vanishing gradients are full of them. Kernels that work on
   gradients flush them to zero: each piece of work for itself, so that neither the user's process nor OpenMP's threads
   keep the setting. */
#ifndef MINIDL_DENORMALS_H
#define MINIDL_DENORMALS_H

#if defined(__SSE__)
#include <xmmintrin.h>

static inline unsigned int flush_denormals(void) {
    unsigned int before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* flush to zero, denormals are zero */
    return before;
}

static inline void restore_denormals(unsigned int before) { _mm_setcsr(before); }
#else
static inline unsigned int flush_denormals(void) { return 0; }
static inline void restore_denormals(unsigned int before) { (void)before; }
#endif

#endif
