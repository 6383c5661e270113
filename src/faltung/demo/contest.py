"""One network twice, with Keras's own layers and with faltung's: same weights, same batches, in turns."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

import faltung as ft
from faltung.demo.datasets import Dataset

PREDICTIONS, CALLS = 6, 30
TOLERANCE = 1e-4  # of outputs between 0 and 1


@dataclass
class Learner:
    """A network, its losses and its seconds; the first epoch compiles."""

    model: Any
    losses: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)
    outputs: Any = None

    def learn(self, data: Dataset, order: Any, batch_size: int) -> None:
        """Learn from every example once, in this order."""
        x, label = data.learn.x[order], data.learn.label[order]
        start = time.perf_counter()
        history = self.model.fit(x, label, batch_size=batch_size, shuffle=False, verbose=0)
        self.epochs.append(time.perf_counter() - start)
        self.losses.append(history.history["loss"][0])

    def outputs_of(self, data: Dataset) -> Any:
        """The probability of each label `(N, labels)`, for every example that was held out."""
        return self.model.predict(data.test.x, batch_size=len(data.test.x), verbose=0)

    def predict(self, data: Dataset) -> None:
        """The same, timed and kept."""
        start = time.perf_counter()
        self.outputs = self.outputs_of(data)
        self.predictions.append(time.perf_counter() - start)

    @property
    def epoch_ms(self) -> float:
        """Milliseconds of an epoch, the quickest of those after the first."""
        return 1e3 * min(self.epochs[1:])

    @property
    def predict_ms(self) -> float:
        """Milliseconds of the quickest prediction."""
        return 1e3 * min(self.predictions)

    def accuracy(self, data: Dataset) -> float:
        """The share of the held-out examples that the last prediction got right."""
        return float((self.outputs.argmax(-1) == data.test.label).mean())


@dataclass
class Contest:
    """A task: its data, its two learners, and how far their outputs are apart where their weights are equal."""

    title: str
    data: Dataset
    theirs: Learner
    ours: Learner
    num_epochs: int
    batch_size: int
    apart: float = 0.0

    @property
    def num_rounds(self) -> int:
        """The number of times that :meth:`run` tells what it does."""
        return self.num_epochs + PREDICTIONS + 1

    def run(self, tell: Callable[[str], None]) -> None:
        """Train both, predict with both, and compare outputs before and after training."""
        learners = (self.theirs, self.ours)
        self._compare()
        random = np.random.default_rng(0)
        for epoch in range(self.num_epochs):
            tell(f"{self.title}: epoch {epoch + 1} of {self.num_epochs}")
            order = random.permutation(len(self.data.learn.x))
            for learner in learners[:: -1 if epoch % 2 else 1]:
                learner.learn(self.data, order, self.batch_size)
        for _ in range(PREDICTIONS):
            tell(f"{self.title}: predicting")
            for learner in learners:
                learner.predict(self.data)
        tell(f"{self.title}: comparing outputs")
        self._compare()

    def _compare(self) -> None:
        """Give Keras's network our weights for a moment; the outputs must be equal to the tolerance."""
        own = self.theirs.model.get_weights()
        self.theirs.model.set_weights(self.ours.model.get_weights())
        theirs, ours = (learner.outputs_of(self.data) for learner in (self.theirs, self.ours))
        self.theirs.model.set_weights(own)
        apart = float(np.abs(theirs - ours).max())
        self.apart = max(self.apart, apart)
        self.check(apart)

    @staticmethod
    def check(apart: float) -> None:
        """Refuse outputs that are too far apart."""
        if not apart <= TOLERANCE:
            raise ft.CodegenError(f"demo: outputs must be those of Keras to {TOLERANCE}; got {apart:.1e}. Report it.")


@dataclass(frozen=True)
class Called:
    """So many examples through the trained network, by predict and compiled: milliseconds, and how far apart."""

    count: int
    predict_ms: float
    compiled_ms: float
    apart: float


def compiled(contest: Contest) -> list[Called]:
    """Call Keras's own network by predict and compiled into one native call: one example, and a batch, in turns."""
    model = contest.theirs.model
    net, found = ft.compile(model), []
    for count in (1, contest.batch_size):
        x = contest.data.test.x[:count]
        predict = partial(model.predict, x, batch_size=count, verbose=0)
        calls: tuple[Callable[[], Any], ...] = (predict, partial(net, x))
        outputs = [call() for call in calls]
        times = [[_seconds(call) for call in calls] for _ in range(CALLS)]
        slow, fast = (1e3 * min(column) for column in zip(*times, strict=True))
        found.append(Called(count, slow, fast, float(np.abs(outputs[0] - outputs[1]).max())))
        contest.check(found[-1].apart)
    return found


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def contest(title: str, data: Dataset, network: Any, *, num_epochs: int, batch_size: int) -> Contest:
    """Return a contest between `network()` and the same, accelerated."""
    keras.utils.set_random_seed(1)
    theirs = network()
    ours = ft.accelerate(keras.models.clone_model(theirs))
    ours.set_weights(theirs.get_weights())
    for model in (theirs, ours):
        model.compile(optimizer=keras.optimizers.Adam(0.001), loss="sparse_categorical_crossentropy")
    return Contest(title, data, Learner(theirs), Learner(ours), num_epochs, batch_size)
