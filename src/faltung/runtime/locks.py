"""Locks that survive a fork: held across it, so that the child never inherits one that nobody will release."""

import os
import threading


def lock_across_forks() -> threading.RLock:
    """A reentrant lock; a fork waits for it, and parent and child both go on without it."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
