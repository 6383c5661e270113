"""What accelerating a model did, for every framework."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """Which convolutions of a model faltung computes, and which it does not, with the reasons, by their names."""

    computed: dict[str, str]
    left: dict[str, str]

    def in_short(self) -> str:
        """How many convolutions faltung computes, and why the first of the others is left alone, in two sentences."""
        head = f"faltung computes {len(self.computed)} of {len(self.computed) + len(self.left)} convolutions."
        for name, reason in self.left.items():
            return f"{head} {name or 'The model itself'}: {reason}."
        return head

    def __str__(self) -> str:
        total = len(self.computed) + len(self.left)
        lines = [f"faltung computes {len(self.computed)} of {total} convolutions."]
        lines += [f"  {name}: {layer}" for name, layer in self.computed.items()]
        lines += [f"  {name}: left alone, {reason}" for name, reason in self.left.items()]
        return "\n".join(lines)
