"""A picture in other colours than the layer reads: grey for three channels, four channels for three."""

from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.facts import Facts
from faltung.diagnosis.resize import Resize


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield data with its colours repeated or cut."""
    roles, shape = facts.roles, facts.shape
    if roles is None or not facts.is_direct or facts.judge.rank < 2:
        return
    for variant in (roles, roles[1:] if facts.layer.host == "torch" else ()):
        if len(variant) != len(shape):
            continue
        for axis, (role, size) in enumerate(zip(variant, shape, strict=True)):
            if role.name != "channels" or role.size is None or size is None or size == role.size:
                continue
            if size == 1 and role.size <= 4:
                sentence = f"x has one channel, the layer reads {role.size}: a grey image for a layer of colours"
                change = Resize(len(shape), axis, 1, role.size, True)
                yield Candidate(costs.GREY_REPEATED, "in_channels", sentence, change)
            elif size == 4 and role.size == 3:
                sentence = "x has four channels, the layer reads three: the fourth is transparency"
                yield Candidate(costs.TRANSPARENCY_CUT, "in_channels", sentence, Resize(len(shape), axis, 4, 3))
