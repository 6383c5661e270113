"""Streaming stores: results that no cache can hold are stored past the caches, without reading their lines first."""

from faltung.machine.target import Target
from faltung.plan.problem import Problem


def has_streaming_stores(problem: Problem, target: Target, channels: int) -> bool:
    """Is the result too large for every cache, and are its lines, `channels` long, whole vectors?"""
    is_whole = channels % target.lanes(problem.dtype) == 0
    is_written_once = problem.is_dense and not problem.adds_result
    return is_written_once and problem.output_bytes >= target.l3_bytes and is_whole
