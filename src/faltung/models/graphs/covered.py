"""What tables of ops say when they do not cover a node."""


class NotCovered(Exception):
    """A node that a table cannot write as nodes of ours, with the reason: it becomes an island."""
