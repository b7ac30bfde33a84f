"""What the kernels were compiled for."""

cdef extern from *:
    """
    #ifdef __AVX512F__
    #define MINIDL_AVX512F 1
    #else
    #define MINIDL_AVX512F 0
    #endif
    #ifdef __AVX2__
    #define MINIDL_AVX2 1
    #else
    #define MINIDL_AVX2 0
    #endif
    #ifdef __FMA__
    #define MINIDL_FMA 1
    #else
    #define MINIDL_FMA 0
    #endif
    #ifdef __ARM_NEON
    #define MINIDL_NEON 1
    #else
    #define MINIDL_NEON 0
    #endif
    #ifdef _OPENMP
    #define MINIDL_OPENMP 1
    #else
    #define MINIDL_OPENMP 0
    #endif
    #ifdef __OPTIMIZE__
    #define MINIDL_OPTIMIZE 1
    #else
    #define MINIDL_OPTIMIZE 0
    #endif
    #ifdef __VERSION__
    #define MINIDL_COMPILER __VERSION__
    #else
    #define MINIDL_COMPILER "unknown"
    #endif
    """
    const bint MINIDL_AVX512F, MINIDL_AVX2, MINIDL_FMA, MINIDL_NEON, MINIDL_OPENMP, MINIDL_OPTIMIZE
    const char *MINIDL_COMPILER

FEATURES = {
    "AVX-512F": bool(MINIDL_AVX512F),
    "AVX2": bool(MINIDL_AVX2),
    "FMA": bool(MINIDL_FMA),
    "NEON": bool(MINIDL_NEON),
}
OPENMP = bool(MINIDL_OPENMP)
OPTIMIZED = bool(MINIDL_OPTIMIZE)
COMPILER = MINIDL_COMPILER.decode()
