"""From measurements to prices: a ridge regression in logarithms, linearised again a few times (Gauss and Newton).

The model says how many cycles a plan takes, c; measured is its time, t. Where several algorithms answer a question,
what matters is the ratio to the quickest, b. With prices p, the fit makes small

    sum of w (log(c/c_b) - log(t/t_b))^2  +  A * sum of w (log(c_b/f) - log(t_b))^2  +  R * sum of (log(p/p0))^2

over the logarithms of the prices and of the clock rate f. Algorithms that are far slower than the quickest weigh less,
and so do outliers (Huber). The last term keeps prices that no measurement tells of where they were. Of the steps of the
iteration, the one whose choices lose least is kept; then each price in turn is moved a little where the choices lose
less by it. A fit never leaves the choices worse than it found them.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.algorithms.algorithm import Algorithm
from faltung.bench.measurements import FUNCTIONS, Timing
from faltung.machine.cost import CostModel, prices_of, with_prices
from faltung.machine.target import Target
from faltung.plan.problem import Problem

Numbers = NDArray[np.float64]

ITERATIONS = 5
STEP = 0.05
"""Of the logarithm of a price, for a difference quotient."""
LONGEST_MOVE, FARTHEST = 0.5, math.log(6.0)
"""Of the logarithm of a price: in one iteration, and from where it began."""
LEVEL_WEIGHT, RIDGE = 0.1, 0.3
"""A and R of the formula."""
OUTLIER = 0.3
"""Residuals beyond this count linearly."""
MOVES = (1.6, 1 / 1.6, 1.2, 1 / 1.2, 1.06, 1 / 1.06)
"""What a price is multiplied with at the end, where the choices gain by it …"""
LEAST_GAIN = 0.0015
"""… so much of the loss: about one choice in six hundred, so that no price follows the noise."""
NEAR = 1.1
"""A choice is right that takes so many times as long as the best, or less."""
DIGITS = 3
"""Of a fitted price."""


@dataclass(frozen=True)
class _Row:
    """What one algorithm took for one question, and how to ask for its price."""

    question: int
    algorithm: Algorithm
    problem: Problem
    log_time: float

    def log_cycles(self, target: Target) -> float:
        """The logarithm of the model's cycles."""
        return math.log(self.algorithm.plan(self.problem, target).cycles)


class _Data:
    """The rows of all measurements; `best` is, for each row, the row of the quickest algorithm of its question."""

    def __init__(self, measurements: list[Timing], target: Target) -> None:
        self.rows: list[_Row] = []
        self.num_questions = len(measurements)
        best: list[int] = []
        for number, measurement in enumerate(measurements):
            question, took = measurement.question, measurement.microseconds
            problem, first = Problem.of(question.spec), len(self.rows)
            of_name = {
                algorithm.plan(problem, target).algorithm: algorithm  # small groups have a kernel gradient of their own
                for algorithm in FUNCTIONS[question.function]
                if algorithm.refuse(problem, target) is None
            }
            self.rows += [_Row(number, of_name[name], problem, math.log(took[name])) for name in sorted(took)]
            best += [first + sorted(took).index(min(took, key=took.__getitem__))] * len(took)
        self.times = np.array([row.log_time for row in self.rows])
        self.best = np.array(best)
        self.ratios = self.times - self.times[self.best]

    def log_cycles(self, target: Target) -> Numbers:
        return np.array([row.log_cycles(target) for row in self.rows])

    def slopes(self, target: Target, cycles: Numbers, reached: NDArray[np.bool_]) -> Numbers:
        """What the logarithms of cycles gain with those of the prices; only where `reached` says that they may."""
        slopes, prices = np.zeros(reached.shape), prices_of(target.costs)
        for column, (name, price) in enumerate(prices.items()):
            dearer = replace(target, costs=with_prices(target.costs, {name: price * math.exp(STEP)}))
            for index in np.flatnonzero(reached[:, column]):
                slopes[index, column] = (self.rows[index].log_cycles(dearer) - cycles[index]) / STEP
        return slopes

    def regrets(self, cycles: Numbers) -> Numbers:
        """For each question the logarithm of how much longer the cheapest algorithm takes than the quickest."""
        chosen: dict[int, int] = {}
        for index, row in enumerate(self.rows):
            if row.question not in chosen or cycles[index] < cycles[chosen[row.question]]:
                chosen[row.question] = index
        regrets: Numbers = self.ratios[list(chosen.values())]
        return regrets


def fit(measurements: list[Timing], target: Target) -> CostModel:
    """The prices that suit the measurements best, beginning with those of the target."""
    data, base = _Data(measurements, target), prices_of(target.costs)
    names, start = list(base), np.log(list(base.values()))
    moved, here, cycles = np.zeros(len(names)), target, data.log_cycles(target)
    best, least = target, _loss(data.regrets(cycles))
    reached = np.ones((len(data.rows), len(names)), dtype=bool)
    for _ in range(ITERATIONS):
        slopes = data.slopes(here, cycles, reached)
        reached = slopes != 0
        moved = np.clip(start + moved + _move(data, cycles, slopes, moved), start - FARTHEST, start + FARTHEST) - start
        here = replace(target, costs=with_prices(target.costs, dict(zip(names, _rounded(start + moved), strict=True))))
        cycles = data.log_cycles(here)
        loss = _loss(data.regrets(cycles))
        if loss < least:
            best, least = here, loss
    return _polished(data, best, reached).costs


def _polished(data: _Data, target: Target, reached: NDArray[np.bool_]) -> Target:
    """The target with single prices moved a little, each where the choices lose less by it."""
    cycles = data.log_cycles(target)
    least = _loss(data.regrets(cycles))
    for column, name in enumerate(prices_of(target.costs)):
        for move in MOVES:
            price = float(f"{prices_of(target.costs)[name] * move:.{DIGITS}g}")
            moved = replace(target, costs=with_prices(target.costs, {name: price}))
            others = cycles.copy()
            for index in np.flatnonzero(reached[:, column]):
                others[index] = data.rows[index].log_cycles(moved)
            loss = _loss(data.regrets(others))
            if loss < least - LEAST_GAIN:
                target, cycles, least = moved, others, loss
    return target


def share_near_best(measurements: list[Timing], target: Target) -> float:
    """The share of choices within NEAR of the quickest algorithm, of those where there was a choice."""
    data = _Data([measurement for measurement in measurements if len(measurement.microseconds) > 1], target)
    return float(np.mean(data.regrets(data.log_cycles(target)) <= math.log(NEAR)))


def _loss(regrets: Numbers) -> float:
    """What choices lose: the mean of their logarithms, and the share that is not near the best."""
    return float(np.mean(regrets) + np.mean(regrets > math.log(NEAR)))


def _rounded(logarithms: Numbers) -> list[float]:
    return [float(f"{math.exp(number):.{DIGITS}g}") for number in logarithms]


def _move(data: _Data, cycles: Numbers, slopes: Numbers, moved: Numbers) -> Any:
    """The change of the logarithms of the prices in one iteration."""
    is_best = data.best == np.arange(len(cycles))
    others = ~is_best
    residual = (cycles - cycles[data.best] - data.ratios)[others]
    of_ratios = (slopes - slopes[data.best])[others]
    weight = _huber(residual) / (1 + 2 * data.ratios[others])
    level = (cycles - data.times)[is_best]
    level -= np.median(level)
    of_level = slopes[is_best] - slopes[is_best].mean(axis=0)
    level_weight = LEVEL_WEIGHT * _huber(level)
    normal = (of_ratios.T * weight) @ of_ratios + (of_level.T * level_weight) @ of_level + RIDGE * np.eye(len(moved))
    gradient = of_ratios.T @ (weight * residual) + of_level.T @ (level_weight * level) + RIDGE * moved
    return np.clip(-np.linalg.solve(normal, gradient), -LONGEST_MOVE, LONGEST_MOVE)


def _huber(residual: Numbers) -> Numbers:
    return np.minimum(1.0, OUTLIER / np.maximum(np.abs(residual), 1e-9))
