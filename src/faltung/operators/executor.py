"""What runs a plan: a kernel of ours, three of them, or NumPy's FFT."""

from faltung.algorithms.algorithm import AnyPlan
from faltung.algorithms.fft.plan import FftGradientPlan
from faltung.algorithms.moved.plan import MovedPlan
from faltung.operators.fft import FftLaunch
from faltung.operators.fft_gradient import FftGradientLaunch
from faltung.operators.moved import MovedLaunch
from faltung.plan.plan import Plan
from faltung.runtime.launch import Launch

Executor = Launch | MovedLaunch | FftLaunch | FftGradientLaunch


def executor_of(plan: AnyPlan) -> Executor:
    """The plan made callable: executor(x, kernel, bias, y)."""
    if isinstance(plan, Plan):
        return Launch(plan)
    if isinstance(plan, MovedPlan):
        return MovedLaunch(plan)
    return FftGradientLaunch(plan) if isinstance(plan, FftGradientPlan) else FftLaunch(plan)
