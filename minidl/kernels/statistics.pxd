# What a stabilizing kernel writes down; minidl/engine/statistics.py reads it.

cdef enum:
    CALLS
    ACTED
    NONFINITE_SEEN
    BEFORE
    AFTER
    LAST_BEFORE
    LAST_AFTER


cdef inline void note(double *statistics, double before, double after, bint acted) noexcept nogil:
    statistics[CALLS] += 1
    statistics[ACTED] += acted
    statistics[LAST_BEFORE] = before
    statistics[LAST_AFTER] = after
    if before - before == 0 and after - after == 0:
        statistics[BEFORE] += before
        statistics[AFTER] += after
    else:
        statistics[NONFINITE_SEEN] += 1
