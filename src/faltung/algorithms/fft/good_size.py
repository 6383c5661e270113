"""Lengths whose Fourier transform is quick: products of small primes."""

from functools import cache
from math import ceil, log2


@cache
def good_size(least: int) -> int:
    """The smallest even size from `least` on that has no prime factor above 5.

    >>> good_size(1000), good_size(10_007)
    (1000, 10240)
    """
    best: int = 2 ** ceil(log2(max(least, 2)))
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            twos: int = 2 ** max(ceil(log2(least / threes)), 1)
            best = min(best, twos * threes)
            threes *= 3
        fives *= 5
    return best
