"""A bank of band-pass filters over a real electrocardiogram, as one `conv1d`.

The picture shows the recording, below it how strongly each period (in samples) is present at each moment, and three
of the filtered signals: a flame at every heart beat, sharp in time for short periods, blurred for long ones. Each
period is watched by a pair of filters, a cosine and a sine under one Gaussian window (a Morlet wavelet); the length
of the pair is the strength.
"""

from pathlib import Path

import numpy as np
import pywt.data
from matplotlib.figure import Figure

import faltung as ft
from faltung.demo.program import BLUE, GREEN, INK, ORANGE, DemoResult, picture, script, timed

PERIODS = np.geomspace(4, 128, 48)  # samples
HALF_WIDTH = 256  # taps on each side of a filter's centre
CURVES = {8: ORANGE, 24: BLUE, 72: GREEN}  # period: colour


def run(out_dir: Path) -> DemoResult:
    """Filter the recording, draw `ecg_filter_bank.png` in `out_dir` and report."""
    ecg = pywt.data.ecg().astype(np.float32)
    bank = filter_bank()
    filtered, call = timed(ft.conv1d, ecg.reshape(1, -1, 1), bank, padding="same", padding_mode="reflect")

    cosine, sine = np.split(filtered[0].T, 2)
    path = out_dir / "ecg_filter_bank.png"
    with picture(path, f"Three heart beats seen by {bank.shape[-1]} band-pass filters", (9, 7)) as figure:
        draw(figure, ecg, np.hypot(cosine, sine), cosine)
    sentence = f"A real ECG of {len(ecg)} samples through {bank.shape[-1]} band-pass filters of {len(bank)} taps"
    return DemoResult(sentence, call, path)


def filter_bank() -> np.ndarray:
    """Return the kernel `(taps, 1, 2 * periods)`: all cosines, then all sines, each window about five periods wide."""
    time = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)[:, None]
    window = np.exp(-0.5 * (time / (0.8 * PERIODS)) ** 2)
    phase = 2 * np.pi * time / PERIODS
    bank = np.concatenate([window * np.cos(phase), window * np.sin(phase)], axis=1)
    gain = window.sum(axis=0) / 2  # a sine of amplitude 1 then comes out with amplitude 1
    return (bank / np.tile(gain, 2))[:, None, :].astype(np.float32)


def draw(figure: Figure, ecg: np.ndarray, strength: np.ndarray, bands: np.ndarray) -> None:
    """Draw the recording `(W,)`, the strength `(periods, W)` as a heat map and three of the `bands` `(periods, W)`."""
    signal, heat, curves = figure.subplots(3, 1, sharex=True, height_ratios=[1, 2.2, 1.6])
    samples = np.arange(len(ecg))
    signal.plot(samples, ecg, color=INK, linewidth=0.9)
    signal.set(title="The recording", ylabel="ECG (raw units)", xlim=(0, len(ecg) - 1))

    mesh = heat.pcolormesh(samples, PERIODS, strength, cmap="magma", shading="gouraud", rasterized=True)
    heat.set(title="How strongly each period is present", ylabel="period (samples)", yscale="log")
    heat.set_yticks([4, 8, 16, 32, 64, 128], ["4", "8", "16", "32", "64", "128"])
    heat.minorticks_off()
    figure.colorbar(mesh, ax=heat, label="amplitude (raw units)", pad=0.01)

    for row, (period, colour) in enumerate(CURVES.items()):
        nearest = int(np.abs(PERIODS - period).argmin())
        band = bands[nearest]
        curves.plot(samples, band / np.abs(band).max() / 2.2 - row, color=colour, linewidth=0.9)
        heat.axhline(PERIODS[nearest], xmax=0.012, color=colour, linewidth=3)
    curves.set(title="Three of the filtered signals, each scaled to its own largest value", xlabel="time (samples)")
    curves.set_yticks([0, -1, -2], [f"period {period}" for period in CURVES])


def main() -> None:
    """Run as a program."""
    script(run)


if __name__ == "__main__":
    main()
