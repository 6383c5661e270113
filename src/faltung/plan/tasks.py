"""How finely work is cut for the threads: the same for every thread count, so that bits do not depend on it."""

from faltung.machine.target import Target

EVEN_TASKS = 24
"""So many tasks that one more or less for a thread does not matter."""


def task_count(target: Target, cycles: float, groups: int) -> int:
    """Tasks worth having for each group: many enough to balance, few enough to last."""
    costs = target.costs.tasks
    if cycles < costs.parallel_cycles:
        return 1
    return max(1, min(int(cycles / costs.task_cycles) + 1, costs.most) // groups)
