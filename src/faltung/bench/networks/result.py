"""What a run finds: for each network, batch and number of threads the times of all peers; and the same as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import geometric_mean

from faltung.bench.machine import Machine
from faltung.bench.networks.peers import OURS
from faltung.bench.result import MEASURED, Participant, read_json, write_json

FORMAT = "networks 1"
SMALL_MACS = 500_000
"""One record of a small network: under a million operations."""


@dataclass(slots=True)
class Result:
    """One peer on one case. Where there are no times, `status` and `reason` say why.

    `rounds` holds the median call of each round in seconds, `processor_rounds` the processor time of a call of all
    threads together. `error` is the largest one in parts of the output's largest number. `memory_bytes` is what the
    first call added to resident memory at its peak.
    """

    status: str
    reason: str = ""
    rounds: list[float] = field(default_factory=list)
    processor_rounds: list[float] = field(default_factory=list)
    prepare_seconds: float = 0.0
    first_seconds: float = 0.0
    memory_bytes: int = 0
    error: float = 0.0

    @property
    def is_measured(self) -> bool:
        """Whether there are times."""
        return self.status == MEASURED

    @property
    def seconds(self) -> float:
        """The best round's: what others do on the machine only adds to it."""
        return min(self.rounds)

    @property
    def processor_seconds(self) -> float:
        """The least processor time of a call."""
        return min(self.processor_rounds)


@dataclass(slots=True)
class Case:
    """One network at one batch on so many threads. `macs` is of the whole batch, 0 where nobody counted them."""

    network: str
    host: str
    batch: int
    threads: int
    macs: int
    results: dict[str, Result]

    @property
    def name(self) -> str:
        """The case in a few words."""
        return f"{self.network}, batch {self.batch}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    @property
    def is_small(self) -> bool:
        """Whether one record takes less than a million operations."""
        return 0 < self.macs < SMALL_MACS * self.batch

    @property
    def best_peer(self) -> str | None:
        """The quickest of those that are not ours."""
        times = {who: result.seconds for who, result in self.results.items() if result.is_measured and who not in OURS}
        return min(times, key=times.__getitem__, default=None)

    def ratio(self, peer: str | None, *, of_processor: bool = False) -> float | None:
        """Return the time of a peer over that of faltung, if both have one; or the processor time."""
        ours, theirs = self.results.get(OURS[0]), self.results.get(peer or "")
        if ours is None or theirs is None or peer == OURS[0] or not (ours.is_measured and theirs.is_measured):
            return None
        if of_processor:
            return theirs.processor_seconds / ours.processor_seconds
        return theirs.seconds / ours.seconds


@dataclass(slots=True)
class Run:
    """One run: the machine, the participants, the cases, and the networks that have none, with the reason."""

    command: str
    date: str
    commit: str
    versions: dict[str, str]
    machine: Machine
    participants: dict[str, Participant]
    cases: list[Case] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def peers(self) -> list[str]:
        """Those that took part, without faltung."""
        return [name for name, who in self.participants.items() if name != OURS[0] and not who.missing]

    def worst_first(self) -> list[Case]:
        """Return the cases: those without times of ours first, then by the ratio to the best peer."""

        def key(case: Case) -> float:
            ours = case.results.get(OURS[0])
            return -1.0 if ours is None or not ours.is_measured else case.ratio(case.best_peer) or inf

        return sorted(self.cases, key=key)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        write_json(path, FORMAT, self)

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Return what `write` wrote."""
        with read_json(path, FORMAT, "results of networks must come from faltung bench --networks … --json") as values:
            for case in values["cases"]:
                case["results"] = {peer: Result(**result) for peer, result in case["results"].items()}
            values["cases"] = [Case(**case) for case in values["cases"]]
            return cls(**values)


def summary(found: Iterable[float | None]) -> str:
    """Return in words how many ratios there are, their geometric mean, the worst and the best.

    >>> summary([0.5, None, 2.0])
    'geometric mean 1.00 of 2 cases, from 0.50 to 2.00'
    """
    ratios = [ratio for ratio in found if ratio is not None]
    if not ratios:
        return "no case"
    cases = f"{len(ratios)} case{'s' if len(ratios) > 1 else ''}"
    return f"geometric mean {geometric_mean(ratios):.2f} of {cases}, from {min(ratios):.2f} to {max(ratios):.2f}"
