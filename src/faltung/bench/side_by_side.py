"""Every peer on every case, side by side in one run.

Each peer lives in a process of its own, and only one of them runs at a time. Within a case they take turns: everyone
gets a short burst of calls, then everyone another, so that a slow minute of the machine hits all. A ratio is the median
of the rounds' ratios, and so is a share of the bound, which is measured in the same rounds. Before that, every peer's
result was compared with the reference; who is wrong is not timed.
"""

import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faltung.bench.case import CaseSpec, read_case
from faltung.bench.origin import commit, date
from faltung.bench.peers import OURS, PEERS
from faltung.bench.process import Trouble, Worker
from faltung.bench.result import MEASURED, Case, Comparison, Participant, Result
from faltung.errors import FaltungError, ShapeError, UnsupportedConvError

ROUNDS, LEAST_ROUNDS = 9, 3
MOST_SECONDS = 3.0
"""Of one call of each round: a peer so slow takes part in fewer rounds."""
CASE_SECONDS = 60.0
"""A peer that takes longer for one answer about a case is killed."""
COPIES = 4
"""A case takes a peer about as much memory as so many copies of its arrays."""

Tell = Callable[[str], None]


def choose_peers(names: str) -> list[str]:
    """Return the names of the peers that "all" or "torch,jax" asks for, faltung first.

    >>> choose_peers("jax")
    ['faltung', 'faltung-ncw', 'jax']
    """
    asked = list(PEERS) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in PEERS]
    if unknown:
        raise FaltungError(f"bench: peers are all, or some of {', '.join(PEERS)}; got {', '.join(unknown)}.")
    return [*OURS, *(name for name in PEERS if name in asked and name not in OURS)]


def compare(
    cases: Mapping[str, str],
    peers: Mapping[str, str],
    *,
    mode: str = "forward",
    layout: str | None = None,
    threads: int | None = None,
    seconds: float = 0.5,
    command: str = "",
    tell: Tell = lambda step: None,
    answer_seconds: float = CASE_SECONDS,
) -> Comparison:
    """Run all cases on all peers.

    Arguments:
        cases: spec texts by name.
        peers: where the class of each peer is, by name: a part of PEERS.
        mode: "forward", or "training" for the forward pass and both gradients.
        layout: "nwc" or "ncw" gives all peers data in that layout; default: each in the layout of its users.
        threads: for every peer; default: the processors we may run on.
        seconds: for timing each peer on each case; checks and compiling come on top.
        command: kept in the result.
        tell: hears the name of each case when its turn comes.
        answer_seconds: a peer that takes longer for one answer about a case is killed.
    """
    processors = processors_for(threads)
    if layout is not None:  # given the same data, the variants by layout are the same
        peers = {name: place for name, place in peers.items() if not name.endswith("-ncw")}
    referee = Worker("faltung.bench.referee:Referee", (len(processors),), processors)
    workers: dict[str, Worker] = {}
    try:
        for name, place in peers.items():
            workers[name] = Worker("faltung.bench.station:Station", (place, len(processors)), processors)
        participants, versions = introduce(workers, layout)
        comparison = Comparison(
            command=command,
            date=date(),
            commit=commit(),
            versions=versions,
            mode=mode,
            layout=layout,
            threads=len(processors),
            machine=referee.ask("machine"),
            participants=participants,
        )
        present = {name: worker for name, worker in workers.items() if not participants[name].missing}
        with tempfile.TemporaryDirectory() as directory:
            for name, text in cases.items():
                tell(name)
                run = _Run(referee, present, mode, layout, seconds, answer_seconds, str(Path(directory) / "expected"))
                try:
                    comparison.cases[name] = run.case(read_case(text))
                except (ShapeError, UnsupportedConvError) as error:
                    comparison.refused[name] = " ".join(str(error).split())
                except Trouble as trouble:  # of the referee
                    comparison.refused[name] = trouble.reason
        return comparison
    finally:
        for worker in (referee, *workers.values()):
            worker.close()


def processors_for(threads: int | None) -> list[int]:
    """Return the processors that everyone is pinned to: as many as threads."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if threads is not None and threads > len(allowed):
        rule = "bench: threads must be at most the processors we may run on"
        raise FaltungError(f"{rule}; got {threads}. Use {len(allowed)} or fewer.")
    return allowed[:threads]


def introduce(workers: dict[str, Worker], layout: str | None) -> tuple[dict[str, Participant], dict[str, str]]:
    """Return who takes part, and the versions of all packages."""
    participants, versions = {}, {"python": platform.python_version()}
    for name, worker in workers.items():
        try:
            description, own_layout, its_versions = worker.ask("describe")
            versions |= its_versions
            participants[name] = Participant(description, layout or own_layout)
        except Trouble as trouble:
            participants[name] = Participant(missing=f"{trouble.status}: {trouble.reason}")
            worker.close()
    return participants, versions


@dataclass
class _Run:
    """One case: who takes part and how, and what is known so far."""

    referee: Worker
    workers: dict[str, Worker]
    mode: str
    layout: str | None
    seconds: float
    answer_seconds: float
    expected_file: str
    results: dict[str, Result] = field(default_factory=dict)
    calls: dict[str, list[float]] = field(default_factory=dict)
    text: str = ""

    def case(self, asked: CaseSpec) -> Case:
        """Prepare, check and time it."""
        spec = asked.spec
        if not spec.macs:
            raise ShapeError(f"{spec.name}: a comparison needs outputs; got the output shape {spec.output_shape}.")
        if asked.is_transposed and self.mode == "training":
            raise UnsupportedConvError(f"a transposed case is compared forward only; got {asked.text!r}.")
        self.text = asked.text
        flops, num_bytes = self.referee.ask("prepare", self.text, self.mode == "training", self.expected_file)
        is_crowded = COPIES * num_bytes * len(self.workers) > _available_bytes()
        self.results |= {peer: Result(MEASURED) for peer in self.workers}
        for peer in self.workers:
            self._prepare(peer)
            if is_crowded:
                self._ask(peer, "finish")
        bounds = self._rounds(is_crowded)
        for peer, result in self.results.items():
            if result.is_measured and not is_crowded:
                result.cold_seconds = self._ask(peer, "cold") or 0.0
                self._ask(peer, "finish")
        self.referee.ask("finish")
        for peer, calls in self.calls.items():
            low, middle, high = np.quantile(calls, (0.25, 0.5, 0.75))
            self.results[peer].spread = float((high - low) / middle)
        peaks, streams, shares = (list(column) for column in zip(*bounds, strict=True))
        return Case(self.text, flops, num_bytes, peaks, streams, shares[-1], self.results)

    def _rounds(self, is_crowded: bool) -> list[tuple[float, float, float]]:
        """Let everyone take turns, in an order that changes; in a crowd, each has the memory to itself for its turn."""
        turn = self.seconds / ROUNDS
        bounds = []
        for number in range(LEAST_ROUNDS if is_crowded else ROUNDS):
            bounds.append(self.referee.ask("burst", turn))
            names = list(self.workers)
            first = number % len(names)
            for peer in names[first:] + names[:first]:
                result = self.results[peer]
                if not result.is_measured or sum(result.rounds) > MOST_SECONDS:
                    continue
                if is_crowded:
                    self._prepare(peer)
                burst = self._ask(peer, "burst", turn)
                if burst is not None:
                    result.rounds.append(float(np.median(burst.calls)))
                    result.page_faults = burst.page_faults
                    self.calls.setdefault(peer, []).extend(burst.calls)
                if is_crowded:
                    result.cold_seconds = self._ask(peer, "cold") or 0.0
                    self._ask(peer, "finish")
        return bounds

    def _prepare(self, peer: str) -> None:
        result = self.results[peer]
        start = self._ask(peer, "prepare", self.text, self.layout, self.expected_file)
        if start is not None and not result.rounds:
            result.prepare_seconds, result.first_seconds = start.prepare_seconds, start.first_seconds
            result.memory_bytes, result.peak_bytes = start.memory_bytes, start.peak_bytes
            result.error, result.compared = start.error, start.compared

    def _ask(self, peer: str, method: str, *arguments: Any) -> Any:
        """The answer, or None: then the peer is out of this case, with the reason in its result."""
        if not self.results[peer].is_measured:
            return None
        try:
            return self.workers[peer].ask(method, *arguments, seconds=self.answer_seconds)
        except Trouble as trouble:
            self.results[peer] = Result(trouble.status, trouble.reason)
            return None


def _available_bytes() -> int:
    """Memory that processes can still have; without an answer, all there is is taken to be free."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
