"""A diagnosis as text and as HTML."""

from html import escape

from faltung.diagnosis.findings import Fault, Findings, Fix
from faltung.models.layer import show_shape


def as_text(found: Findings) -> str:
    """Return the report for a terminal."""
    lines = [f"{found.model} with x {show_shape(found.data_shape)}: {headline(found)}"]
    for number, fault in enumerate(found.faults, 1):
        lines += ["", *_fault(number, fault)]
    for warning in found.warnings:
        lines += ["", f"warning, {warning.where}: {warning.sentence}"]
        lines += [f"    {warning.code}"] * bool(warning.code)
    return "\n".join(lines)


def headline(found: Findings) -> str:
    """Return the verdict in a few words."""
    count = len(found.faults)
    if not count and not found.warnings:
        out = f", the result is {show_shape(found.output_shape)}" if found.output_shape is not None else ""
        return f"nothing wrong{out}."
    parts = [f"{count} fault{'s' * (count > 1)}"] * bool(count)
    warnings = len(found.warnings)
    parts += [f"{warnings} warning{'s' * (warnings > 1)}"] * bool(warnings)
    return f"{' and '.join(parts)}."


def _fault(number: int, fault: Fault) -> list[str]:
    lines = [f"{number}. {fault.where} refuses {show_shape(fault.got)}: {fault.kind}."]
    lines += _axes(fault)
    lines += [f"   {fault.cause}"]
    lines += [f"   {note}" for note in fault.notes]
    if not fault.fixes:
        return [*lines, "   No change of one thing was found that runs."]
    if fault.is_ambiguous:
        lines.append("   Two readings fit; the shapes alone cannot decide:")
    width = max(len(fix.code) for fix in fault.fixes)
    lines += [f"   {at}) {fix.code:<{min(width, 60)}}  {_leads(fix, fault)}" for at, fix in enumerate(fault.fixes, 1)]
    return lines


def _leads(fix: Fix, fault: Fault) -> str:
    data = f"x {show_shape(fix.data_shape)} " if fix.target == "data" else ""
    out = f"→ {show_shape(fix.output_shape)} " if fix.output_shape is not None else ""
    is_said = fix.reading.lower().rstrip(".") == fault.cause.lower().rstrip(".") or (
        ": " in fix.reading and (fix.reading.partition(": ")[0].lower() == fault.cause.partition(": ")[0].lower())
    )
    reading = "" if is_said else f", {fix.reading.partition(': x is')[0]}"
    return f"{data}{out}  {fix.confidence:.0%}{reading}"


def _axes(fault: Fault) -> list[str]:
    if not fault.axes:
        return []
    rows = [["", *(axis.name for axis in fault.axes)]]
    rows += [["got", *(axis.got for axis in fault.axes)], ["wanted", *(axis.wanted for axis in fault.axes)]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    marks = ["", *("^" * widths[at] if axis.differs else "" for at, axis in enumerate(fault.axes, 1))]
    return [
        "   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [*rows, marks]
    ]


def as_html(found: Findings) -> str:
    """Return the report for a notebook: tables with the differing axis in colour, self-contained."""
    parts = [f"<p><b>{escape(found.model)}</b> with x {escape(show_shape(found.data_shape))}: "]
    parts.append(f"{escape(headline(found))}</p>")
    for number, fault in enumerate(found.faults, 1):
        parts.append(f"<p><b>{number}. {escape(fault.where)}</b>: {escape(fault.kind)}. {escape(fault.cause)}</p>")
        parts.append(_html_axes(fault))
        parts += [f"<p>{escape(note)}</p>" for note in fault.notes]
        if fault.is_ambiguous:
            parts.append("<p>Two readings fit; the shapes alone cannot decide:</p>")
        fixes = "".join(f"<li><code>{escape(fix.code)}</code> {escape(_leads(fix, fault))}</li>" for fix in fault.fixes)
        parts.append(f"<ol>{fixes}</ol>")
    for warning in found.warnings:
        code = f" <code>{escape(warning.code)}</code>" if warning.code else ""
        parts.append(f"<p><b>Warning, {escape(warning.where)}</b>: {escape(warning.sentence)}{code}</p>")
    return f"<div>{''.join(parts)}</div>"


def _html_axes(fault: Fault) -> str:
    if not fault.axes:
        return ""

    def row(title: str, cells: list[str]) -> str:
        style = ['style="background:#fbdcd2"' if axis.differs else "" for axis in fault.axes]
        marked = "".join(f"<td {look}>{escape(cell)}</td>" for look, cell in zip(style, cells, strict=True))
        return f"<tr><th>{title}</th>{marked}</tr>"

    names, got = [axis.name for axis in fault.axes], [axis.got for axis in fault.axes]
    return f"<table>{row('', names)}{row('got', got)}{row('wanted', [axis.wanted for axis in fault.axes])}</table>"
