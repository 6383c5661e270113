"""From measurements to prices: a ridge regression in logarithms, linearised again a few times (Gauss and Newton).

The model says how many cycles a plan takes, c; measured is its time, t. For a question that several algorithms answer,
what matters is the ratio to the quickest, b. With prices p, the fit makes small

    sum of w (log(c_i/c_b) - log(t_i/t_b))^2  +  A * sum of (log(c_b/f) - log(t_b))^2  +  R * sum of (log(p/p0))^2

over the logarithms of the prices and of the clock rate f. Algorithms that are far slower than the quickest weigh less
(w), outliers too (Huber). The last term keeps prices that no measurement tells of where they were. Of the steps of the
iteration, the one whose choices lose least is kept: a fit never leaves the choices worse than it found them.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from faltung.bench.measurements import Measurement
from faltung.machine.cost import CostModel, prices_of, with_prices
from faltung.machine.target import Target

ITERATIONS = 6
STEP = 0.05
"""Of the logarithm of a price, for a difference quotient."""
LONGEST_MOVE, FARTHEST = 0.5, math.log(6.0)
"""Of the logarithm of a price: in one iteration, and from where it began."""
ABSOLUTE_WEIGHT, RIDGE = 0.1, 0.3
OUTLIER = 0.3
"""Residuals beyond this count linearly."""
NEAR = 1.1
"""A choice is right that takes so many times as long as the best, or less."""
DIGITS = 3
"""Of a fitted price."""

Rows = list[tuple[int, str, float, float]]
"""For each measured plan: the number of its question, its algorithm, log of the model's cycles, log of microseconds."""


def fit(measurements: list[Measurement], target: Target) -> CostModel:
    """The prices that suit the measurements best, beginning with those of the target."""
    base = prices_of(target.costs)
    names, start = list(base), np.log(list(base.values()))
    theta, best, least = start, target.costs, _loss(measurements, target)
    for _ in range(ITERATIONS):
        here = _with(target, names, theta)
        theta = theta + _step(measurements, here, names, theta - start)
        theta = np.clip(theta, start - FARTHEST, start + FARTHEST)
        loss = _loss(measurements, _with(target, names, theta))
        if loss < least:
            least, best = loss, _with(target, names, theta).costs
    return best


def share_near_best(measurements: list[Measurement], target: Target) -> float:
    """The share of choices within NEAR of the quickest algorithm."""
    return sum(m.regret(target) <= NEAR for m in measurements) / len(measurements)


def _loss(measurements: list[Measurement], target: Target) -> float:
    """What the choices of the target lose: the mean of their logarithms, and the share that is not near the best."""
    regrets = [m.regret(target) for m in measurements]
    return sum(math.log(r) + (r > NEAR) for r in regrets) / len(regrets)


def _with(target: Target, names: list[str], theta: Any) -> Target:
    rounded = {name: float(f"{math.exp(t):.{DIGITS}g}") for name, t in zip(names, theta, strict=True)}
    return replace(target, costs=with_prices(target.costs, rounded))


def _rows(measurements: list[Measurement], target: Target) -> Rows:
    return [
        (number, plan.algorithm, math.log(plan.cycles), math.log(m.microseconds[plan.algorithm]))
        for number, m in enumerate(measurements)
        for plan in sorted(m.question.plans(target), key=lambda plan: plan.algorithm)
        if plan.algorithm in m.microseconds
    ]


def _step(measurements: list[Measurement], target: Target, names: list[str], moved: Any) -> Any:
    """The change of the logarithms of the prices in one iteration."""
    rows = _rows(measurements, target)
    cycles, times = (np.array([row[column] for row in rows]) for column in (2, 3))
    jacobian = np.empty((len(rows), len(names)))
    prices = prices_of(target.costs)
    for k, name in enumerate(names):
        dearer = replace(target, costs=with_prices(target.costs, {name: prices[name] * math.exp(STEP)}))
        jacobian[:, k] = (np.array([row[2] for row in _rows(measurements, dearer)]) - cycles) / STEP
    quickest = _quickest(rows)
    best = np.array([quickest[number] for number, *_ in rows])
    is_best = best == np.arange(len(rows))
    # ratios to the quickest of a question
    ratio = times - times[best]
    residual = (cycles - cycles[best] - ratio)[~is_best]
    slopes = (jacobian - jacobian[best])[~is_best]
    weight = (1 / (1 + 2 * ratio) * np.minimum(1.0, OUTLIER / np.maximum(abs(cycles - cycles[best] - ratio), 1e-9)))[
        ~is_best
    ]
    # the quickest themselves, up to a clock rate that is the same for all
    level = (cycles - times)[is_best]
    level = level - np.median(level)
    of_level = jacobian[is_best] - jacobian[is_best].mean(axis=0)
    level_weight = ABSOLUTE_WEIGHT * np.minimum(1.0, OUTLIER / np.maximum(abs(level), 1e-9))
    normal = (slopes.T * weight) @ slopes + (of_level.T * level_weight) @ of_level + RIDGE * np.eye(len(names))
    gradient = slopes.T @ (weight * residual) + of_level.T @ (level_weight * level) + RIDGE * moved
    return np.clip(-np.linalg.solve(normal, gradient), -LONGEST_MOVE, LONGEST_MOVE)


def _quickest(rows: Rows) -> dict[int, int]:
    """For each question the row of its quickest algorithm."""
    found: dict[int, int] = {}
    for index, (number, _, _, time) in enumerate(rows):
        if number not in found or time < rows[found[number]][3]:
            found[number] = index
    return found
