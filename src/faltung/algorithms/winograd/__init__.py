"""Toom-Cook along w: several outputs from fewer products than they have taps."""
