// Two and three spatial axes: input, kernel and output as grids side by side; of three axes one slice at a time.

const GRID = { least: 30, near: 9, label: 26, largest: 44 };

function gridView(host) {
  const figures = ["input", "kernel", "output"].map((role) => gridFigure(host, role));
  return () => {
    const { conv } = state;
    host.style.display = conv.geometry.rank > 1 && !conv.problem ? "" : "none";
    if (conv.geometry.rank === 1 || conv.problem) return;
    for (const figure of figures) figure.draw(conv);
  };
}

function gridFigure(host, role) {
  const caption = make("figcaption"),
    overview = make("canvas", { class: "map", tabindex: -1 });
  const figure = make("figure", { class: `grid-figure of-${role}` }, caption, overview);
  host.append(figure);
  const drawing = draws("svg", { class: "grid", role: "img", "aria-label": role }, figure);
  const parts = { drawing, hatch: hatching(drawing, `hatch-${role}`), words: new Words(drawing) };
  parts.cells = new Cells(drawing, pickCell, pointCell);
  parts.frames = draws("g", { class: "frames" }, drawing);
  const map = mapView(overview, role);
  const draw = (conv) => {
    const shown = GRIDS[role](conv);
    caption.replaceChildren(make("b", { text: role }), ` ${shown.title}`);
    drawGrid(parts, conv, shown, widthOf(figure));
    map(conv, shown);
  };
  return { draw };
}

/** What each figure shows: its title, the places of rows and columns, and the cell at a place. */
const GRIDS = {
  input(conv) {
    const [d, h, w] = conv.lines,
      deep = state.position[0] * d.step + state.slice * d.gap;
    const colour = scale(conv.most.x, conv.isGrey),
      window = windowNow();
    const isMet = groupOf(conv, state.filter) === Math.floor(state.channel / conv.inputs);
    const depth = conv.geometry.rank === 3 ? `, ${conv.geometry.names[0]} ${placeText3(conv, deep)}` : "";
    return {
      title: `channel ${state.channel} of ${conv.geometry.channels}${depth}`,
      deep,
      rows: h.map.length,
      columns: w.map.length,
      focus: [window[1], window[2]],
      frame: isMet ? "window" : "",
      row: (at) => (h.isReversed ? h.map[at] : at - h.origin),
      column: (at) => (w.isReversed ? w.map[at] : at - w.origin),
      cell: (parts, row, column) => inputCell(parts, conv, colour, state.channel, [deep, row, column], isMet),
    };
  },
  kernel(conv) {
    const [, h, w] = conv.lines,
      colour = scale(conv.most.kernel),
      input = state.channel % conv.inputs;
    const depth =
      conv.geometry.rank === 3 ? `, tap ${state.slice} of ${conv.taps[0]} in ${conv.geometry.names[0]}` : "";
    const whole = (taps) => ({ from: 0, to: taps - 1 });
    return {
      title: `filter ${state.filter} of ${conv.filters}, channel ${input}${depth}${h.isReversed ? ", reversed" : ""}`,
      rows: h.taps,
      columns: w.taps,
      focus: [whole(h.taps), whole(w.taps)],
      frame: "",
      row: (slot) => tapOf(h, slot),
      column: (slot) => tapOf(w, slot),
      cell: (parts, row, column) => {
        const tap = [tapOf(conv.lines[0], state.slice), tapOf(h, row), tapOf(w, column)];
        const value = weightAt(conv, state.filter, input, tap);
        return { what: { role: "kernel", input, tap }, ...looks(value, colour, parts.layout.cell), marks: "is-kernel" };
      },
    };
  },
  output(conv) {
    const [, oh, ow] = conv.outSize,
      now = state.position,
      job = outputsOf(state.filter);
    const colour = scale(job.most || 1),
      current = indexOf(conv, now);
    const fed =
      state.fed && isFedFilter(conv, state.filter) ? conv.lines.map((l, axis) => fedBy(l, state.fed.at[axis])) : null;
    const depth = conv.geometry.rank === 3 ? `, ${conv.geometry.names[0]} ${now[0]}` : "";
    return {
      title: `filter ${state.filter}${depth}`,
      deep: now[0],
      rows: oh,
      columns: ow,
      frame: "current",
      focus: [1, 2].map((axis) => ({ from: now[axis], to: now[axis] })),
      row: (at) => at,
      column: (at) => at,
      cell: (parts, row, column) => {
        const position = [now[0], row, column],
          value = valueAt(conv, state.filter, position);
        const isFed = fed && position.every((at, axis) => fed[axis].includes(at));
        const marks = isFed ? "is-fed" : !fed && indexOf(conv, position) > current ? "is-later" : "";
        return {
          what: { role: "output", filter: state.filter, position },
          ...looks(value, colour, parts.layout.cell),
          marks,
        };
      },
    };
  },
};

function placeText3(conv, deep) {
  const line = conv.lines[0],
    source = line.map[deep];
  return source === GAP ? "between inputs" : source === PAD ? "padding" : source;
}

/** The part of a grid that is in view: all of it if it is small, else the surroundings of the window. */
function viewport(shown, most) {
  return [
    [shown.rows, shown.focus[0]],
    [shown.columns, shown.focus[1]],
  ].map(([count, focus]) => {
    const wanted =
      count <= most ? count : Math.min(count, Math.max(Math.min(most, GRID.near), focus.to - focus.from + 3));
    const from = clamp(Math.round((focus.from + focus.to + 1 - wanted) / 2), 0, count - wanted);
    return { from, to: from + wanted };
  });
}

function drawGrid(parts, conv, shown, width) {
  const room = Math.min(width, 460) - GRID.label - 4;
  const [rows, columns] = viewport(shown, Math.floor(room / GRID.least));
  const count = Math.max(columns.to - columns.from, 5);
  const cell = Math.min(room / count, GRID.largest);
  parts.layout = { cell };
  parts.words.begin();
  parts.frames.replaceChildren();
  parts.cells.begin();
  const x = (column) => GRID.label + (column - columns.from) * cell,
    y = (row) => 18 + (row - rows.from) * cell;
  for (let row = rows.from; row < rows.to; row++) {
    for (let column = columns.from; column < columns.to; column++) {
      parts.cells.put({ ...shown.cell(parts, row, column), x: x(column), y: y(row), width: cell, height: cell });
    }
  }
  parts.cells.end();
  const every = tickStep(Math.max(shown.rows, shown.columns), cell);
  for (let row = rows.from; row < rows.to; row++) {
    tick(parts, shown.row(row), every, { x: GRID.label - 7, y: y(row) + cell / 2, class: "tick is-row" });
  }
  for (let column = columns.from; column < columns.to; column++) {
    tick(parts, shown.column(column), every, { x: x(column) + cell / 2, y: 11, class: "tick" });
  }
  parts.words.end();
  const [down, across] = shown.focus;
  const size = [(across.to - across.from + 1) * cell, (down.to - down.from + 1) * cell];
  if (shown.frame) frame(parts, x(across.from), y(down.from), ...size, shown.frame);
  sizeTo(parts.drawing, x(columns.to) + 3, y(rows.to) + 3);
  shown.view = { rows, columns };
}

function tick(parts, index, every, place) {
  if (index === GAP || index === PAD || index % every) return;
  parts.words.put(index, place.x, place.y, place.class);
}
