"""On what: a processor as plans and kernels see it, and its prices."""
