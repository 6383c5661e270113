"""A small residual network for sequences learns to tell exercises apart, with and without `ft.accelerate`.

The data are recordings of a smartwatch on the wrists of ten people who did seven exercises for the shoulder
(D. Burns and others, arXiv:1802.01489): acceleration and rotation, 50 times a second. The package seglearn carries
them: `pip install torch seglearn matplotlib`. The network learns from seven people and is tested on the other three.

Both networks begin with the same weights and see the same windows in the same order, in turns, so that their losses
and their times can be laid over each other.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import faltung as ft
from faltung.demo.datasets import exercises
from faltung.demo.program import BLUE, ORANGE, picture

CHANNELS, BATCH, EPOCHS = 64, 64, 4


@dataclass(frozen=True)
class Windows:
    """x `(N, 6, 256)`, scaled, and the exercise of each window."""

    x: Tensor
    label: Tensor
    names: list[str]

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield full batches in a random order."""
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(seed))
        for chosen in order.split(BATCH)[: len(order) // BATCH]:
            yield self.x[chosen], self.label[chosen]


def load() -> tuple[Windows, Windows]:
    """Return the windows to learn from and those for the test."""
    try:
        data = exercises()
    except ModuleNotFoundError:
        raise SystemExit("The example needs the recordings that seglearn carries: pip install seglearn") from None
    learn, test = (
        Windows(torch.from_numpy(part.x).mT.contiguous(), torch.from_numpy(part.label), data.names)
        for part in (data.learn, data.test)
    )
    return learn, test


class Block(nn.Module):
    """x + what two convolutions make of it; the dilation widens what the network sees."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(CHANNELS, CHANNELS, 5, padding="same", dilation=dilation),
            nn.BatchNorm1d(CHANNELS),
            nn.ReLU(),
            nn.Conv1d(CHANNELS, CHANNELS, 5, padding="same", dilation=dilation),
            nn.BatchNorm1d(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, W)` to `(N, C, W)`."""
        return torch.relu(x + self.body(x))


def network(num_exercises: int) -> nn.Sequential:
    """Return the network: a convolution, three residual blocks, the average over time, one output for each exercise."""
    torch.manual_seed(0)
    blocks = [Block(dilation) for dilation in (1, 2, 4)]
    first = nn.Conv1d(6, CHANNELS, 7, stride=2, padding=3)
    return nn.Sequential(first, *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(CHANNELS, num_exercises))


class Learner:
    """A network with its optimiser, its losses and the seconds of its steps."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def step(self, x: Tensor, label: Tensor) -> None:
        """Learn from one batch."""
        start = time.perf_counter()
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), label)
        loss.backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        self.losses.append(loss.item())

    def accuracy(self, windows: Windows) -> float:
        """Return the share of windows whose exercise is found."""
        self.model.eval()
        with torch.inference_mode():
            return (self.model(windows.x).argmax(1) == windows.label).double().mean().item()

    @property
    def milliseconds(self) -> float:
        """The median of the steps, the first ones apart, in which kernels are compiled."""
        return float(np.median(self.seconds[3:])) * 1e3


def run(out_dir: Path) -> str:
    """Train both networks, draw `torch_residual.png` in `out_dir` and return what is to say."""
    learning, test = load()
    plain = Learner(network(len(test.names)))
    fast = Learner(ft.accelerate(network(len(test.names))))
    for epoch in range(EPOCHS):
        for x, label in learning.batches(epoch):
            plain.step(x, label)
            fast.step(x, label)

    path = out_dir / "torch_residual.png"
    with picture(path, "The same network learns the same, with and without ft.accelerate", (9, 4)) as figure:
        draw(figure, plain, fast)
    apart = np.abs(np.subtract(plain.losses, fast.losses))  # rounding, which every step magnifies
    return "\n".join([
        f"{len(learning.x)} windows of {len(test.names)} exercises; {len(test.x)} of other people for the test",
        f"found in the test: {plain.accuracy(test):.1%} by PyTorch, {fast.accuracy(test):.1%} by faltung",
        f"losses: at most {apart[:10].max():.0e} apart in ten steps, {apart.max():.0e} in {len(apart)}",
        f"a step: {plain.milliseconds:.1f} ms by PyTorch, {fast.milliseconds:.1f} ms by faltung, "
        f"{plain.milliseconds / fast.milliseconds:.2f} times as fast",
        str(path),
    ])  # fmt: skip


def draw(figure: Figure, plain: Learner, fast: Learner) -> None:
    """Draw the losses, one on the other, and the time of each step, side by side."""
    losses, times = figure.subplots(1, 2)
    for learner, colour, width, name in ((plain, ORANGE, 4.0, "PyTorch"), (fast, BLUE, 1.2, "faltung")):
        losses.plot(learner.losses, color=colour, linewidth=width, label=name)
        label = f"{name}: {learner.milliseconds:.1f} ms"
        times.plot(np.multiply(learner.seconds, 1e3), ".", color=colour, markersize=4, label=label)
        times.axhline(learner.milliseconds, color=colour, linewidth=0.8)
    losses.set(title="Loss of each step", xlabel="step", ylabel="cross entropy", yscale="log")
    losses.legend()
    times.set(title="Time of each step; kernels are compiled in the first", xlabel="step", yscale="log")
    times.set(ylabel="milliseconds", yticks=(ticks := [10, 20, 50, 100, 200, 500]), yticklabels=map(str, ticks))
    times.minorticks_off()
    times.legend(title="median")


def main() -> None:
    """Run as a program; its only argument is the directory of the picture (default: this one)."""
    print(run(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))


if __name__ == "__main__":
    main()
