"""Sums, means, extremes and variances along one axis."""
