"""What a run of the benchmark says: a table for people, a dictionary for JSON."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from faltung.bench.machine import Machine
from faltung.bench.run import Measurement

QUIET_SHARE = 0.85
"""With less of the processor than this, reports warn."""


def busy_note(processor_share: float) -> str:
    """Return a warning if others used the machine, else nothing."""
    if processor_share >= QUIET_SHARE:
        return ""
    return f"The machine is busy: faltung got {processor_share:.0%} of it. Times and shares are uncertain."


@dataclass(slots=True)
class BenchReport:
    """The cases of one run on one machine, by name: what was measured, and why others were refused or are wrong."""

    machine: Machine
    measured: dict[str, Measurement] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python, ready for JSON."""
        measured = {name: asdict(m) | {"spec": m.spec.to_text()} for name, m in self.measured.items()}
        return {"machine": asdict(self.machine), "measured": measured, "refused": self.refused, "wrong": self.wrong}

    def table(self) -> Table:
        """Return the measured cases as a table of up to 120 columns; a text that is its own name is not said twice."""
        machine = self.machine
        threads = "1 thread" if machine.threads == 1 else f"{machine.threads} threads"
        table = Table(
            title=f"{machine.processor}, {threads}, {machine.peak_gflops_f32:,.0f} GFLOP/s float32, "
            f"{machine.read_gbps:.0f} GB/s read, {machine.write_gbps:.0f} written",
            title_justify="left",
            caption=self._caption(),
            caption_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            show_edge=False,
        )
        has_names = any(" " not in name for name in self.measured)
        for heading in ("case", "spec") if has_names else ("spec",):
            table.add_column(heading, overflow="fold")
        table.add_column("algorithm", no_wrap=True)
        for heading in ("µs", "GFLOP/s", "of the bound", "compile\nms", "load\nms"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, m in self.measured.items():
            text = m.spec.to_text().removesuffix(" f32")
            table.add_row(
                *(("" if " " in name else name, text) if has_names else (text,)),
                m.algorithm,
                f"{m.microseconds:,.1f}" if m.microseconds < 1000 else f"{m.microseconds:,.0f}",
                f"{m.gflops:,.1f}",
                f"{m.share_of_roofline:.0%} {m.bound}",
                f"{m.compile_ms:.0f}",
                f"{m.cached_load_ms:.1f}",
            )
        return table

    def _caption(self) -> str:
        """Return what the columns mean."""
        if not self.measured:
            return ""
        overhead = median(m.call_overhead_us for m in self.measured.values())
        caption = (
            f"µs: median of warm calls; {overhead:.1f} of them are the call itself. of the bound: the least time that "
            "the arithmetic, or the memory traffic from the same cache, takes on this machine, over the time taken."
        )
        return f"{caption} {busy_note(median(m.processor_share for m in self.measured.values()))}".rstrip()
