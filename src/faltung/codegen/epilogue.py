"""What happens to a tile after its sums: activation and store; and before them: the bias."""

from faltung.codegen.activation import activate, is_cheap
from faltung.codegen.emitter import Emitter, Int, Value
from faltung.codegen.tile import RegisterTile
from faltung.plan.kernel import Kernel


class Epilogue:
    """Bias first (accumulators start from it), then what the result is added to, activation last.

    A cheap activation is applied to the registers. One that needs an exponential is a function of its own, run over
    the stored vectors while they are in cache, so that its code stands in the program once.
    """

    def __init__(self, e: Emitter, kernel: Kernel) -> None:
        self.e, self.kernel = e, kernel
        self._is_cheap = is_cheap(kernel.activation)
        if not self._is_cheap:
            with e.function("activate", "*place", "count", internal=True) as (place, count):
                mask = e.mask(count)
                value = activate(e, e.load_masked(place, mask), kernel.activation, kernel.activation_parameter)
                e.store_masked(value, place, mask)

    def store(self, value: Value, place: Value, count: Int, mask: Value) -> None:
        """Activate the first `count` lanes, those of `mask`, and store them."""
        if self.kernel.adds_result:
            value = self.e.arithmetic(value, "+", self.e.load_masked(place, mask))
        if self._is_cheap:
            value = activate(self.e, value, self.kernel.activation, self.kernel.activation_parameter)
        if self.kernel.has_streaming_stores and mask is None:
            self.e.store_streaming(value, place)
        else:
            self.e.store_masked(value, place, mask)
        if not self._is_cheap:
            self.e.call("activate", place, count)

    def store_row(self, tile: RegisterTile, r: int, place: Value, channels: int) -> None:
        """Store one row of `channels` neighbouring numbers."""
        y = self.e.buffer(place, oc=1)
        for v in range(tile.vectors):
            lane = v * self.e.lanes
            count = min(self.e.lanes, channels - lane)
            self.store(tile.value(r, v), y.at(oc=lane), count, self.e.mask(count))
