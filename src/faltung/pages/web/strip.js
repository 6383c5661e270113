// One spatial axis: channels in rows, time to the right; the kernel lies under its window, the outputs below.

const STRIP = { label: 112, narrowLabel: 64, most: 54, least: 34, gap: 26 };

function stripView(host) {
  const drawing = draws("svg", { class: "strip", role: "img", "aria-label": "input, kernel and output" }, host);
  const hatch = hatching(drawing, "strip-hatch");
  const lines = draws("g", { class: "beams" }, drawing);
  const words = new Words(drawing);
  const cells = new Cells(drawing, pickCell, pointCell);
  const frames = draws("g", { class: "frames" }, drawing);
  return () => {
    const { conv } = state;
    const isFitting = conv.geometry.rank === 1 && !conv.problem;
    const layout = isFitting ? stripLayout(conv, widthOf(host)) : null;
    drawing.style.display = layout ? "" : "none";
    if (!layout) return;
    for (const layer of [lines, frames]) layer.replaceChildren();
    for (const each of [cells, words]) each.begin();
    const parts = { conv, layout, cells, words, frames, lines, hatch };
    drawStripInput(parts);
    drawStripKernel(parts);
    drawStripOutput(parts);
    for (const each of [cells, words]) each.end();
    sizeTo(drawing, layout.width, parts.bottom);
  };
}

/** How wide a cell is and which places are in view; null where even narrow cells would not hold the window. */
function stripLayout(conv, width) {
  const line = conv.lines[2],
    label = width < 620 ? STRIP.narrowLabel : STRIP.label,
    room = width - label - 4;
  const places = line.map.length,
    wanted = Math.min(places, Math.max(line.span + 5, Math.floor(room / STRIP.least)));
  const cell = Math.min(room / wanted, STRIP.most);
  if (cell < 7) return null;
  const columns = Math.min(places, Math.floor(room / cell + 1e-6));
  const middle = state.position[2] * line.step + line.span / 2;
  const from = clamp(Math.round(middle + 0.5 - columns / 2), 0, places - columns);
  const group = groupOf(conv, state.filter) * conv.inputs;
  return {
    width,
    label,
    cell,
    columns,
    from,
    height: Math.max(Math.min(cell, 44), 26),
    line,
    group,
    channels: rowsShown(state.channel, conv.geometry.channels),
    filters: rowsShown(state.filter, conv.filters),
  };
}

/** At most MOST_ROWS rows, the chosen one among them. */
function rowsShown(chosen, count) {
  const from = clamp(chosen - Math.floor(MOST_ROWS / 2), 0, Math.max(count - MOST_ROWS, 0));
  return Array.from({ length: Math.min(count, MOST_ROWS) }, (_, at) => from + at);
}

const columnX = (layout, place) => layout.label + (place - layout.from) * layout.cell;

function label(parts, text, y, kind = "") {
  parts.words.put(text, parts.layout.label - 10, y, `row-label ${kind}`);
}

function heading(parts, text, y) {
  parts.words.put(text, 0, y, "row-heading");
}

function drawStripInput(parts) {
  const { conv, layout, cells } = parts,
    { line } = layout,
    colour = scale(conv.most.x);
  const window = windowNow()[2],
    isNarrow = layout.label === STRIP.narrowLabel;
  heading(parts, "input", 12);
  let y = 34;
  const every = tickStep(line.inputs, layout.cell);
  for (let column = 0; column < layout.columns; column++) {
    const place = layout.from + column,
      index = place - line.origin;
    const source = line.map[place],
      shown = line.isReversed ? (source < 0 ? null : source) : index;
    if (shown === null || shown % every) continue;
    const kind = isPadded(line, place) ? "tick is-padding" : "tick";
    parts.words.put(shown, columnX(layout, place) + layout.cell / 2, 27, kind);
  }
  parts.inputTop = y;
  for (const channel of layout.channels) {
    const isMet = channel >= layout.group && channel < layout.group + conv.inputs;
    label(parts, isNarrow ? `ch ${channel}` : `channel ${channel}`, y + layout.height / 2, isMet ? "" : "is-away-row");
    for (let column = 0; column < layout.columns; column++) {
      const place = layout.from + column;
      cells.put({
        ...inputCell(parts, conv, colour, channel, [0, 0, place], isMet),
        x: columnX(layout, place),
        y,
        width: layout.cell,
        height: layout.height,
      });
    }
    y += layout.height;
  }
  const first = layout.channels.findIndex((channel) => channel >= layout.group);
  const rows = layout.channels.filter((channel) => channel >= layout.group && channel < layout.group + conv.inputs);
  if (rows.length) {
    const top = parts.inputTop + first * layout.height;
    frame(
      parts,
      columnX(layout, window.from),
      top,
      (line.span + 1) * layout.cell,
      rows.length * layout.height,
      "window",
    );
  }
  parts.windowBottom = y;
  parts.top = y + STRIP.gap;
}

/** Every how many positions there is room for a number below `count`. */
function tickStep(count, width) {
  const least = (String(count).length * 6.5 + 10) / width;
  return [1, 2, 5, 10, 20, 50, 100].find((step) => step >= least) ?? 200;
}

/** How the cell of an input place looks; used for one axis and for grids. */
function inputCell(parts, conv, colour, channel, places, isMet) {
  const width = parts.layout.cell,
    { at, kind } = meet(conv, places);
  const padded = kind === PAD || ownAxes(conv).some((axis) => isPadded(conv.lines[axis], places[axis]));
  const slots = slotsAt(conv, places),
    isTouched = isMet && slots !== null;
  const marks = [isTouched ? "is-touched" : isMet ? "" : "is-faint"];
  const isFed = state.fed && !kind && state.fed.channel === channel && state.fed.at.every((i, axis) => i === at[axis]);
  if (isFed) marks.push("is-picked");
  const what = { role: "input", channel, places, at, kind };
  if (kind === GAP)
    return { what, text: width >= 20 ? "·" : "", ink: "var(--quiet)", marks: [...marks, "is-gap"].join(" ") };
  const value = kind ? 0 : inputAt(conv, channel, at),
    look = looks(value, colour, width);
  if (!padded) return { what, ...look, marks: marks.join(" ") };
  return { what, ...look, fill: parts.hatch, ink: "var(--quiet)", marks: [...marks, "is-pad"].join(" ") };
}

/** The slots of the window that lie at some places, null where none does. */
function slotsAt(conv, places) {
  const slots = [];
  for (let axis = 0; axis < 3; axis++) {
    const line = conv.lines[axis],
      slot = (places[axis] - state.position[axis] * line.step) / line.gap;
    if (!Number.isInteger(slot) || slot < 0 || slot >= line.taps) return null;
    slots.push(slot);
  }
  return slots;
}

function frame(parts, x, y, width, height, kind) {
  draws("rect", { x: x - 1, y: y - 1, width: width + 0.5, height: height + 0.5, rx: 5, class: kind }, parts.frames);
}

function drawStripKernel(parts) {
  const { conv, layout, cells } = parts,
    { line } = layout,
    colour = scale(conv.most.kernel);
  const from = state.position[2] * line.step;
  let y = parts.top;
  heading(parts, line.isReversed ? "kernel, reversed" : "kernel", y - 8);
  for (const channel of layout.channels) {
    const input = channel - layout.group;
    if (input < 0 || input >= conv.inputs) continue;
    label(parts, layout.label === STRIP.narrowLabel ? `ch ${channel}` : `channel ${channel}`, y + layout.height / 2);
    for (let slot = 0; slot < line.taps; slot++) {
      const tap = [0, 0, tapOf(line, slot)],
        value = weightAt(conv, state.filter, input, tap);
      cells.put({
        what: { role: "kernel", input, tap },
        ...looks(value, colour, layout.cell),
        marks: "is-kernel",
        x: columnX(layout, from + slot * line.gap),
        y,
        width: layout.cell,
        height: layout.height,
      });
    }
    y += layout.height;
  }
  parts.kernelBottom = y;
  parts.top = y + STRIP.gap + 18;
}

/** Where an output is drawn: under the middle of its window, or under the input it stands for when there is padding. */
function anchor(line) {
  const pads = line.isReversed ? 0 : line.origin;
  return !line.isReversed && (pads || line.map.length > line.inputs) ? clamp(pads, 0, line.span) : line.span / 2;
}

function drawStripOutput(parts) {
  const { conv, layout, cells } = parts,
    { line } = layout,
    shift = anchor(line),
    now = state.position[2];
  const fed = state.fed ? new Set(fedBy(line, state.fed.at[2])) : null;
  const first = Math.max(Math.ceil((layout.from - shift) / line.step), 0);
  const last = Math.min(Math.floor((layout.from + layout.columns - 1 - shift) / line.step), line.out - 1);
  let y = parts.top;
  heading(parts, "output", y - 8);
  const x = columnX(layout, now * line.step + shift),
    span = columnX(layout, now * line.step);
  const target = y + layout.filters.indexOf(state.filter) * layout.height;
  for (const end of [span, span + (line.span + 1) * layout.cell]) {
    const to = end === span ? x + 2 : x + layout.cell - 3;
    draws("line", { x1: end, y1: parts.kernelBottom + 3, x2: to, y2: parts.top - 4, class: "beam" }, parts.lines);
  }
  const colour = scale(stripMost(conv, layout.filters, first, last));
  for (const filter of layout.filters) {
    label(
      parts,
      `${layout.label === STRIP.narrowLabel ? "f" : "filter"} ${filter}`,
      y + layout.height / 2,
      filter === state.filter ? "is-chosen" : "",
    );
    for (let o = first; o <= last; o++) {
      const value = valueAt(conv, filter, [0, 0, o]),
        isFed = fed?.has(o) && isFedFilter(conv, filter);
      const marks = isFed ? "is-fed" : o > now && !fed ? "is-later" : "";
      cells.put({
        what: { role: "output", filter, position: [0, 0, o] },
        ...looks(value, colour, layout.cell),
        marks,
        x: columnX(layout, o * line.step + shift),
        y,
        width: layout.cell,
        height: layout.height,
      });
    }
    y += layout.height;
  }
  const every = tickStep(line.out, layout.cell * line.step);
  for (let o = first; o <= last; o++) {
    if (o % every) continue;
    parts.words.put(o, columnX(layout, o * line.step + shift) + layout.cell / 2, y + 13, "tick");
  }
  frame(parts, x, target, layout.cell, layout.height, "current");
  parts.bottom = y + 22;
}

function stripMost(conv, filters, first, last) {
  let most = 0;
  for (const filter of filters) {
    for (let o = first; o <= last; o++) most = Math.max(most, Math.abs(valueAt(conv, filter, [0, 0, o])) || 0);
  }
  return most || 1;
}

const isFedFilter = (conv, filter) => Math.floor(state.fed.channel / conv.inputs) === groupOf(conv, filter);
