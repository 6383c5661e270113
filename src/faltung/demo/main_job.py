"""`faltung demo`: two classifiers learn from real data, by Keras's own layers and by faltung's; pictures and a page."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

import faltung as ft
from faltung.bench.document import Block, Code, Heading, Paragraph, Picture, Table
from faltung.bench.page import page
from faltung.demo import tasks
from faltung.demo.contest import Contest, compiled
from faltung.demo.program import BLUE, GREEN, INK, ORANGE, picture

Row = tuple[str, str, str, str]
HEAD = ("", "Keras", "faltung", "ratio")


def run(out_dir: Path, start: Callable[[int], Callable[[str], None]]) -> Iterator[str]:
    """Run both tasks, then yield what to print; `start(rounds)` gives what is told before each round."""
    contests = [tasks.series(), tasks.images()]
    tell = start(sum(contest.num_rounds for contest in contests))
    compared = []
    for contest in contests:
        contest.run(tell)
        compared.append(rows(contest))
        yield f"{contest.data.sentence}\n\n{table_of_layers(contest)}\n\n{as_text(compared[-1])}\n"
    draw(contests, out_dir)
    file = out_dir / "index.html"
    file.write_text(page(document(contests, compared, out_dir), {}, title="faltung demo"), encoding="utf-8")
    yield f"Keras {keras.__version__} on {keras.backend.backend()}. The report is {file}"


def table_of_layers(contest: Contest) -> str:
    """Return the layers with their shapes and receptive fields; those with a star are computed by faltung."""
    return str(ft.explain(contest.ours.model))


def rows(contest: Contest) -> list[Row]:
    """Return what is compared: accuracy, outputs and times."""
    theirs, ours = contest.theirs, contest.ours
    batches = -(-len(contest.data.learn.x) // contest.batch_size)
    slow, fast = (f"{learner.accuracy(contest.data):.1%}" for learner in (theirs, ours))
    result: list[Row] = [
        ("right answers on held-out data", slow, fast, ""),
        ("outputs, same weights", "", f"at most {contest.apart:.0e} apart", ""),
        ("loss of the last epoch", f"{theirs.losses[-1]:.4f}", f"{ours.losses[-1]:.4f}", ""),
        ("first epoch, with compiling", f"{theirs.epochs[0]:.1f} s", f"{ours.epochs[0]:.1f} s", ""),
    ]
    times = {
        "a step of training": (theirs.epoch_ms / batches, ours.epoch_ms / batches),
        f"predicting {len(contest.data.test.x)} examples": (theirs.predict_ms, ours.predict_ms),
    }
    for name, (before, now) in times.items():
        result.append((name, f"{before:.2f} ms", f"{now:.2f} ms", f"{before / now:.2f}"))
    for call in compiled(contest):
        name = f"{'one example' if call.count == 1 else f'{call.count} examples'}, predict and ft.compile"
        ratio = call.predict_ms / call.compiled_ms
        result.append((name, f"{call.predict_ms:.3f} ms", f"{call.compiled_ms:.3f} ms", f"{ratio:.1f}"))
    return result


def as_text(table: list[Row]) -> str:
    """Return the rows below their heading, in columns."""
    lines = [HEAD, *table]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def document(contests: list[Contest], compared: list[list[Row]], out_dir: Path) -> Iterator[Block]:
    """Yield the report."""
    yield Heading(1, "The same networks by Keras's own layers and by faltung's")
    about = f"Keras {keras.__version__} on {keras.backend.backend()}, {ft.get_num_threads()} threads"
    yield Paragraph(f"{about}. Both begin with the same weights and see the same batches in the same order, in turns.")
    for contest, table in zip(contests, compared, strict=True):
        yield Heading(2, contest.title.capitalize())
        yield Paragraph(f"{contest.data.sentence}.")
        yield Table(HEAD, table)
        yield Paragraph("The layers; those with a star are computed by faltung.")
        yield Code(table_of_layers(contest))
        yield Picture(contest.title, (out_dir / f"{contest.title}.png").read_bytes())
    yield Heading(2, "Losses and times")
    yield Picture("learning", (out_dir / "learning.png").read_bytes())


def draw(contests: list[Contest], out_dir: Path) -> None:
    """Draw examples of both tasks with the answers, and how both learned: three files."""
    series, images = contests
    with picture(
        out_dir / f"{series.title}.png", "Five seconds on a wrist that was held out, and the answer", (11, 6)
    ) as figure:
        draw_series(figure, series)
    with picture(out_dir / f"{images.title}.png", "Digits that were held out, and the answers", (11, 5)) as figure:
        draw_images(figure, images)
    with picture(out_dir / "learning.png", "Losses, one on the other, and epochs, side by side", (11, 6)) as figure:
        draw_learning(figure, contests)


def draw_series(figure: Figure, contest: Contest) -> None:
    """Draw one window of each exercise, and its answer."""
    test, answers = contest.data.test, contest.ours.outputs
    panels = list(figure.subplots(2, 4, sharex=True, sharey=True).flat)
    for number, (panel, name) in enumerate(zip(panels, contest.data.names, strict=False)):
        chosen = int(np.flatnonzero(test.label == number)[0])
        for channel, colour in enumerate((INK, BLUE, ORANGE)):
            panel.plot(np.arange(len(test.x[chosen])) / 50, test.x[chosen, :, channel], color=colour, linewidth=0.9)
        answer = int(answers[chosen].argmax())
        told = f"{contest.data.names[answer]}, {answers[chosen, answer]:.0%}"
        panel.set_title(f"{name}: {told}", color=GREEN if answer == number else ORANGE)
    for panel in panels[len(contest.data.names) :]:
        panel.set_axis_off()
    figure.supxlabel("seconds")
    figure.supylabel("acceleration, three axes (standard deviations)")


def draw_images(figure: Figure, contest: Contest) -> None:
    """Draw forty digits and the answers; wrong ones stand out."""
    test, answers = contest.data.test, contest.ours.outputs.argmax(-1)
    wrong_first = np.argsort(answers == test.label, kind="stable")[:40]
    for panel, chosen in zip(figure.subplots(4, 10).flat, wrong_first, strict=True):
        is_right = answers[chosen] == test.label[chosen]
        panel.imshow(test.x[chosen, :, :, 0], cmap="gray_r")
        panel.set_title(f"{answers[chosen]}" if is_right else f"{answers[chosen]}, not {test.label[chosen]}")
        panel.title.set_color(INK if is_right else ORANGE)
        panel.set_axis_off()


def draw_learning(figure: Figure, contests: list[Contest]) -> None:
    """Draw the losses and the seconds of the epochs of both tasks."""
    for (losses, times), contest in zip(figure.subplots(len(contests), 2), contests, strict=True):
        epochs = np.arange(1, contest.num_epochs + 1)
        both = (("Keras", contest.theirs, ORANGE, 4.0, -0.2), ("faltung", contest.ours, BLUE, 1.4, 0.2))
        for name, learner, colour, width, shift in both:
            losses.plot(epochs, learner.losses, color=colour, linewidth=width, label=name)
            times.bar(epochs[1:] + shift, learner.epochs[1:], 0.4, color=colour, label=name)
        losses.set(title=f"{contest.title}: loss", xlabel="epoch", ylabel="cross entropy", yscale="log")
        times.set(title=f"{contest.title}: seconds of an epoch, after the first", xlabel="epoch", ylabel="seconds")
        losses.legend()
