"""Broadcasting: for Cython only, see broadcast.pxd."""
