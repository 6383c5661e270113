"""Memory as every processor that faltung knows has it."""

CACHE_LINE = 64
"""Bytes that caches and memory exchange at once, on x86-64 and on most of aarch64."""
