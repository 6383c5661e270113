"""See it: a page that shows the kernel sliding over your own data, and a model's receptive field traced back."""

from faltung.pages.page import Page
from faltung.pages.shown import show

__all__ = ["Page", "show"]
