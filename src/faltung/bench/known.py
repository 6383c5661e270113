"""Why we are slower where we are, as far as it is known: suites/reasons.txt, read by the report."""

from fnmatch import fnmatch
from functools import cache
from importlib import resources


def known_reason(case: str, peer: str) -> str:
    """Return the reason why a peer is quicker on a case, or nothing."""
    return next((reason for c, p, reason in _reasons() if fnmatch(case, c) and fnmatch(peer, p)), "")


@cache
def _reasons() -> tuple[tuple[str, str, str], ...]:
    """Patterns of case and peer, and the reason: "longk scipy*: …" in each line; the first that fits counts."""
    text = resources.files("faltung.bench").joinpath("suites", "reasons.txt").read_text(encoding="utf-8")
    found = []
    for line in text.splitlines():
        patterns, _, reason = line.partition("#")[0].partition(":")
        if reason:
            case, peer = patterns.split()
            found.append((case, peer, reason.strip()))
    return tuple(found)
