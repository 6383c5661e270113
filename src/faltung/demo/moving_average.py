"""Moving averages of a real series, causal and centred, as one `conv1d`.

The series is the sea-surface temperature of the eastern Pacific (Niño 3), one value a quarter since 1950. The average
over one year takes out the seasons and leaves the El Niño events; three and ten years leave the slow drift. The
centred average sits on its data; the causal one knows only the past and comes half a window late, which is what any
live system pays.
"""

from pathlib import Path

import numpy as np
import pywt.data
from matplotlib.figure import Figure

import faltung as ft
from faltung.demo.program import BLUE, GREY, ORANGE, DemoResult, picture, script, timed

QUARTERS_PER_YEAR = 4
YEARS = (1, 3, 10)


def run(out_dir: Path) -> DemoResult:
    """Average the series, draw `moving_average.png` in `out_dir` and report."""
    years, temperature = pywt.data.nino()
    series = temperature.astype(np.float32).reshape(1, -1, 1)
    averages, call = timed(ft.conv1d, series, averaging_kernels(), padding="same")

    path = out_dir / "moving_average.png"
    with picture(path, "Sea-surface temperature of the eastern Pacific and its moving averages", (9, 6.5)) as figure:
        draw(figure, years, temperature, *np.split(averages[0].T, 2))
    sentence = f"Moving averages over {', '.join(map(str, YEARS))} years, causal and centred, of {len(years)} quarters"
    return DemoResult(sentence, call, path)


def averaging_kernels() -> np.ndarray:
    """Return the kernel `(taps, 1, 2 * len(YEARS))`: the causal averages, then the centred ones, in one frame of taps.

    A window of an even number of quarters has no middle: the centred one takes half of each end.
    """
    reach = max(YEARS) * QUARTERS_PER_YEAR - 1  # taps on each side of now
    age = np.arange(reach, -reach - 1, -1)  # in quarters; below zero lies the future
    windows = np.array(YEARS) * QUARTERS_PER_YEAR
    causal = (age[:, None] >= 0) & (age[:, None] < windows)
    centred = np.clip(windows / 2 + 0.5 - np.abs(age[:, None]), 0, 1)
    return (np.concatenate([causal, centred], axis=1) / np.tile(windows, 2))[:, None, :].astype(np.float32)


def draw(figure: Figure, years: np.ndarray, temperature: np.ndarray, causal: np.ndarray, centred: np.ndarray) -> None:
    """Draw one panel for each window: the series `(W,)` and its averages, each `(windows, W)`."""
    panels = figure.subplots(len(YEARS), 1, sharex=True)
    for panel, length, late, timely in zip(panels, YEARS, causal, centred, strict=True):
        window = length * QUARTERS_PER_YEAR
        whole = slice(window // 2, -window // 2)  # where the window lies inside the series
        panel.plot(years, temperature, color=GREY, linewidth=0.7, label="one value a quarter")
        panel.plot(years[whole], timely[whole], color=BLUE, linewidth=1.8, label="centred average")
        panel.plot(years[window - 1 :], late[window - 1 :], "--", color=ORANGE, linewidth=1.8, label="causal average")
        panel.set(title=f"Average over {length} {'year' if length == 1 else 'years'}", xlim=(years[0], years[-1]))
    panels[1].set_ylabel("temperature (standard deviations)")
    panels[-1].set_xlabel("year")
    panels[0].legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)


def main() -> None:
    """Run as a program."""
    script(run)


if __name__ == "__main__":
    main()
