"""Weighted sums of picked positions along one axis, and picked rows."""
