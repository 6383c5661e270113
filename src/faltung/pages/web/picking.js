// What a click on a cell does, and what is said of the cell under the pointer.

/** A click: an output becomes the current one, an input shows what it feeds, a tap shows nothing but its number. */
function pickCell(what) {
  if (what.role === "output") change({ position: what.position, filter: what.filter, fed: null, isPlaying: false });
  else if (what.role === "input") pickInput(what.channel, what.places, what.at, what.kind);
}

function pickInput(channel, places, at, kind) {
  const isAgain = state.fed && state.fed.channel === channel && state.fed.at.every((i, axis) => i === at[axis]);
  if (kind || isAgain) change({ fed: null, channel });
  else change({ fed: { channel, at }, channel, isPlaying: false });
}

function pointCell(what) {
  const { conv } = state;
  if (what.role === "input") {
    const value = what.kind ? 0 : inputAt(conv, what.channel, what.at);
    say(`input · channel ${what.channel}, ${placeText(conv, what.places)}: ${format(value, 7)}`);
  } else if (what.role === "kernel") {
    const value = weightAt(conv, state.filter, what.input, what.tap);
    const tap = ownAxes(conv)
      .map((axis) => what.tap[axis])
      .join(", ");
    say(`kernel · filter ${state.filter}, channel ${what.input}, tap ${tap}: ${format(value, 7)}`);
  } else {
    const value = valueAt(conv, what.filter, what.position);
    say(`output · filter ${what.filter}, ${where(conv, what.position)}: ${format(value, 7)}`);
  }
}
