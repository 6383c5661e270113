// The same data twice: as it came, with one spatial axis, and as an image of height 1 under the equivalent Conv2D.

function flatView(host) {
  const sides = [flatSide("Conv1D"), flatSide("Conv2D")];
  const verdict = make("p", { class: "aside", id: "flat-verdict" });
  host.append(
    make("h2", { text: "The same as a Conv2D" }),
    make("div", { class: "pair" }, ...sides.map((side) => side.box)),
    verdict,
  );
  return () => {
    const { conv } = state;
    const isShown = TOLD.steps[state.step].rank === 1 && !conv.problem;
    host.style.display = isShown ? "" : "none";
    if (!isShown) return;
    const image = (conv.image ??= asImage(conv));
    const values = [
      [conv, "Conv1D"],
      [image, "Conv2D"],
    ].map(([each], at) => sides[at].draw(each));
    verdict.textContent =
      values[0] === values[1]
        ? `Both give ${format(values[0], 6)} here: an image of height 1 is a sequence.`
        : `Conv1D gives ${format(values[0], 6)}, Conv2D ${format(values[1], 6)}.`;
  };
}

/** The equivalent convolution over an image of height 1, prepared from its own two-dimensional geometry. */
function asImage(conv) {
  const { geometry } = conv,
    line = (own, one) => [one, ...own];
  const flat = {
    ...geometry,
    rank: 2,
    names: ["height", geometry.names[0]],
    size: line(geometry.size, 1),
    kernelSize: line(geometry.kernelSize, 1),
    stride: line(geometry.stride, 1),
    dilation: line(geometry.dilation, 1),
    padding: line(geometry.padding, [0, 0]),
    rest: geometry.rest && line(geometry.rest, 0),
  };
  // reflection and the like would have to fill an axis of one: there is no padding on it to fill
  return prepare(flat, conv.x, conv.kernel, conv.bias);
}

function flatSide(title) {
  const facts = make("dl"),
    drawing = draws("svg", { class: "grid", role: "img", "aria-label": title });
  const hatch = hatching(drawing, `hatch-${title}`),
    words = new Words(drawing);
  const cells = new Cells(drawing, pickCell, pointCell),
    frames = draws("g", { class: "frames" }, drawing);
  const box = make("div", { class: "side" }, make("h3", { text: title }), drawing, facts);
  const draw = (conv) => {
    const parts = { hatch, words, frames, cells, conv, drawing, width: widthOf(box) };
    drawFlat(parts);
    facts.replaceChildren(
      ...flatFacts(conv).flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]),
    );
    return valueAt(conv, state.filter, state.position);
  };
  return { box, draw };
}

/** The axes and arguments of either, in the order of Keras. */
function flatFacts(conv) {
  const { geometry } = conv,
    axes = ownAxes(conv),
    tuple = (values) => (values.length > 1 ? `(${values.join(", ")})` : `${values[0]}`);
  const kernel = [...geometry.kernelSize, conv.inputs, conv.filters];
  const pads = geometry.padding.map((pair) => `(${pair.join(", ")})`);
  return [
    ["x", `(1, ${[...geometry.size, geometry.channels].join(", ")})`],
    ["axes", `batch, ${geometry.names.join(", ")}, channels`],
    ["kernel", `(${kernel.join(", ")})`],
    ["stride", tuple(geometry.stride)],
    ["padding", tuple(pads)],
    ["dilation", tuple(geometry.dilation)],
    ["y", `(1, ${[...axes.map((axis) => conv.outSize[axis]), conv.filters].join(", ")})`],
  ];
}

/** The surroundings of the window, one row high, with the rows of the image named where there is such an axis. */
function drawFlat(parts) {
  const { conv, cells, words, frames, drawing } = parts,
    line = conv.lines[2],
    isImage = conv.geometry.rank === 2;
  words.begin();
  frames.replaceChildren();
  const left = 92,
    room = parts.width - left - 4,
    columns = Math.min(line.map.length, Math.max(line.span + 3, Math.floor(room / 36)));
  const cell = Math.min(room / columns, 44),
    window = windowNow()[2];
  const from = clamp(Math.round((window.from + window.to + 1 - columns) / 2), 0, line.map.length - columns);
  const channel = clamp(
    state.channel,
    groupOf(conv, state.filter) * conv.inputs,
    (groupOf(conv, state.filter) + 1) * conv.inputs - 1,
  );
  const layout = { cell },
    height = Math.max(Math.min(cell, 40), 16);
  const say = (text, y) => {
    words.put(text, left - 8, y, "row-label");
  };
  say(isImage ? "height 0" : `channel ${channel}`, 22 + height / 2);
  say(isImage ? "kernel (1, k)" : "kernel (k)", 44 + height * 1.5);
  const colours = [scale(conv.most?.x ?? state.conv.most.x), scale(state.conv.most.kernel)];
  cells.begin();
  for (let column = 0; column < columns; column++) {
    const place = from + column,
      x = left + column * cell;
    cells.put({
      ...inputCell({ layout, hatch: parts.hatch }, conv, colours[0], channel, [0, 0, place], true),
      x,
      y: 22,
      width: cell,
      height,
    });
  }
  for (let slot = 0; slot < line.taps; slot++) {
    const tap = [0, 0, tapOf(line, slot)],
      input = channel % conv.inputs,
      x = left + (window.from + slot * line.gap - from) * cell;
    cells.put({
      what: { role: "kernel", input, tap },
      ...looks(weightAt(conv, state.filter, input, tap), colours[1], cell),
      marks: "is-kernel",
      x,
      y: 44 + height,
      width: cell,
      height,
    });
  }
  cells.end();
  const shape = {
    x: left + (window.from - from) * cell - 1,
    y: 21,
    width: (line.span + 1) * cell,
    height,
    rx: 5,
    class: "window",
  };
  draws("rect", shape, frames);
  words.put(`${conv.geometry.names.at(-1)} →`, left, 12, "tick is-start");
  words.end();
  sizeTo(drawing, parts.width, 50 + height * 2);
}
