"""The host's number of threads is ours too, unless we were told one: by set_num_threads or FALTUNG_NUM_THREADS."""

import os

from faltung.runtime import pool


def follow(wanted: int) -> None:
    """Use no more threads than a host that was told a number; 0 stands for a host that was told none."""
    usual = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    is_told = "FALTUNG_NUM_THREADS" in os.environ or pool.get_num_threads() != usual
    if 0 < wanted < usual and not is_told:
        pool.set_num_threads(wanted)


def of_xla(flags: str, processors: str) -> int:
    """Return the threads that XLA was told: by XLA_FLAGS to take one, or by NPROC; 0 for none.

    >>> of_xla("--xla_cpu_multi_thread_eigen=false", ""), of_xla("", "2"), of_xla("", "")
    (1, 2, 0)
    """
    if "xla_cpu_multi_thread_eigen=false" in flags:
        return 1
    return int(processors) if processors.isdigit() else 0
