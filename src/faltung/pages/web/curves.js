// Long signals as curves: the whole one on top, a part of it below with the kernel under its window. The curves are
// drawn once for each range and kept; a step draws the window over them.

const LONG = 48; // places from which on there are curves
const LANES = { gap: 20, top: 16, input: 92, kernel: 46, output: 92 };

function curvesView(host) {
  const whole = make("canvas", { class: "whole", "aria-label": "the whole signal; click to jump" });
  const part = make("canvas", { class: "part", "aria-label": "the part around the window; wheel zooms, drag moves" });
  const button = (text, title, act) =>
    make("button", { type: "button", class: "small", title, "aria-label": title, text, click: act });
  const zooms = make(
    "div",
    { class: "zooms" },
    make("span", { class: "range-text" }),
    button("−", "zoom out", () => zoom(2)),
    button("+", "zoom in", () => zoom(0.5)),
    button("all", "the whole signal", () => change({ range: wholeRange(state.conv) })),
  );
  host.append(make("p", { class: "row-heading", text: "whole signal" }), whole, zooms, part);
  listen(whole, part);
  const kept = { whole: {}, part: {} };
  return () => {
    const { conv } = state,
      isLong = conv.geometry.rank === 1 && !conv.problem && conv.lines[2].map.length > LONG;
    host.style.display = isLong ? "" : "none";
    if (!isLong) return;
    state.range = rangeNow(conv);
    const width = widthOf(host);
    drawWhole(whole, kept.whole, conv, width);
    drawPart(part, kept.part, conv, width);
    const [from, to] = state.range.map((place) => Math.round(place - conv.lines[2].origin));
    zooms.firstChild.textContent = `${conv.geometry.names[0]} ${grouped(Math.max(from, 0))} … ${grouped(to)}`;
  };
}

const wholeRange = (conv) => [0, conv.lines[2].map.length];

/** The range in view: the one chosen, moved where the window has left it. */
function rangeNow(conv) {
  const line = conv.lines[2],
    count = line.map.length,
    window = windowNow()[2];
  const length = Math.min(state.range ? state.range[1] - state.range[0] : Math.max((line.span + 1) * 12, 300), count);
  let from = state.range ? state.range[0] : window.from - length / 2;
  if (window.from < from || window.to + 1 > from + length) from = (window.from + window.to - length) / 2;
  from = clamp(from, 0, count - length);
  return [from, from + length];
}

function zoom(factor, share = null) {
  const { conv } = state,
    line = conv.lines[2],
    [from, to] = state.range,
    count = line.map.length;
  const window = windowNow()[2],
    about = share === null ? (window.from + window.to) / 2 : from + share * (to - from);
  const length = clamp((to - from) * factor, Math.min(line.span + 8, count), count);
  const start = clamp(about - ((about - from) / (to - from)) * length, 0, count - length);
  const range = [start, start + length];
  const isInside = window.from >= range[0] && window.to + 1 <= range[1];
  const position = [0, 0, isInside ? state.position[2] : outputNear(line, (range[0] + range[1]) / 2)];
  change({ range, position });
}

function listen(whole, part) {
  const shareOf = (event) => event.offsetX / event.target.clientWidth;
  const jump = (place) => change({ position: [0, 0, outputNear(state.conv.lines[2], place)], fed: null });
  const follow = (event) => jump(shareOf(event) * state.conv.lines[2].map.length);
  whole.addEventListener("pointerdown", (event) => {
    whole.setPointerCapture(event.pointerId);
    follow(event);
  });
  whole.addEventListener("pointermove", (event) => {
    if (event.buttons) follow(event);
  });
  let held = null;
  part.addEventListener("pointerdown", (event) => {
    part.setPointerCapture(event.pointerId);
    held = { x: event.offsetX, range: state.range, isMoved: false };
  });
  part.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons) return;
    if (Math.abs(event.offsetX - held.x) > 4) held.isMoved = true;
    if (held.isMoved) pan(held, (held.x - event.offsetX) / part.clientWidth);
  });
  part.addEventListener("pointerup", (event) => {
    const [from, to] = state.range;
    if (held && !held.isMoved) jump(from + shareOf(event) * (to - from) - 0.5);
    held = null;
  });
  part.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, shareOf(event));
    },
    { passive: false },
  );
}

/** Move the range by a share of its length; the window comes along when it would be left behind. */
function pan(held, share) {
  const line = state.conv.lines[2],
    [from, to] = held.range,
    length = to - from;
  const start = clamp(from + share * length, 0, line.map.length - length),
    window = windowNow()[2];
  const isInside = window.from >= start && window.to + 1 <= start + length;
  const position = [0, 0, isInside ? state.position[2] : outputNear(line, start + length / 2)];
  change({ range: [start, start + length], position });
}

/** Draw something once for a key, and copy it from then on. */
function copied(context, kept, key, width, height, paintOnce) {
  kept.canvas ??= document.createElement("canvas");
  if (kept.key !== key) {
    kept.key = key;
    paintOnce(contextOf(kept.canvas, width, height));
  }
  context.drawImage(kept.canvas, 0, 0, width, height);
}

function drawWhole(canvas, kept, conv, width) {
  const height = 84,
    context = contextOf(canvas, width, height),
    series = seriesOf(conv),
    range = wholeRange(conv);
  const key = [series.key, width, conv.geometry.stride, conv.geometry.dilation, conv.geometry.kernelSize, range].join();
  context.clearRect(0, 0, width, height);
  if (kept.conv !== conv) kept.key = "";
  kept.conv = conv;
  copied(context, kept, key, width, height, (paper) => {
    paper.clearRect(0, 0, width, height);
    for (const each of [series.input, series.output]) each.limits = limitsOf(each, range);
    drawCurve(paper, series.input, range, { x: 0, y: 0, width, height: 42 }, variable("--input"));
    drawCurve(paper, series.output, range, { x: 0, y: 42, width, height: 42 }, variable("--output"));
  });
  const x = (place) => (place / range[1]) * width,
    window = windowNow()[2];
  const [from, to] = state.range;
  context.fillStyle = variable("--shade");
  context.fillRect(0, 0, x(from), height);
  context.fillRect(x(to), 0, width, height);
  context.fillStyle = variable("--window");
  context.fillRect(x(window.from), 0, Math.max(x(window.to + 1) - x(window.from), 2), height);
}

function drawPart(canvas, kept, conv, width) {
  const { top, gap, input, kernel, output } = LANES,
    height = top + input + gap + kernel + gap + output + 6;
  const boxes = { input: { x: 0, y: top, width, height: input } };
  boxes.kernel = { x: 0, y: top + input + gap, width, height: kernel };
  boxes.output = { x: 0, y: boxes.kernel.y + kernel + gap, width, height: output };
  const context = contextOf(canvas, width, height),
    series = seriesOf(conv);
  context.clearRect(0, 0, width, height);
  drawWindow(context, conv, boxes, series);
  if (kept.conv !== conv) kept.key = "";
  kept.conv = conv;
  copied(context, kept, [series.key, width, ...state.range].join(), width, height, (paper) => {
    paper.clearRect(0, 0, width, height);
    kept.limits = { input: limitsOf(series.input, state.range), output: limitsOf(series.output, state.range) };
    for (const name of ["input", "output"]) series[name].limits = kept.limits[name];
    for (const name of ["input", "kernel", "output"])
      drawGround(paper, boxes[name], name, kept.limits[name] ?? [-1, 1]);
    drawCurve(paper, series.input, state.range, boxes.input, variable("--input"));
    drawCurve(paper, series.output, state.range, boxes.output, variable("--output"));
  });
  series.output.limits = kept.limits.output;
  drawNow(context, conv, boxes, series);
}

function drawGround(paper, box, name, limits) {
  paper.fillStyle = variable("--quiet");
  paper.font = "11px system-ui, sans-serif";
  const which = name === "input" ? ` · channel ${state.channel}` : ` · filter ${state.filter}`;
  paper.fillText(name + which, 2, box.y - 4);
  paper.textAlign = "right";
  const reach = limits.map((limit) => format(limit, 3)).join(" … ");
  if (name !== "kernel") paper.fillText(reach, box.width - 2, box.y - 4);
  paper.textAlign = "left";
  paper.fillStyle = variable("--line");
  if (limits[0] <= 0 && limits[1] >= 0) paper.fillRect(0, heightOf(0, limits, box), box.width, 1);
}

/** The window over the input, its taps as bars below it. */
function drawWindow(context, conv, boxes) {
  const [from, to] = state.range,
    line = conv.lines[2],
    cell = boxes.input.width / (to - from);
  const x = (place) => (place - from) * cell,
    window = windowNow()[2];
  context.fillStyle = variable("--window-soft");
  context.fillRect(
    x(window.from),
    boxes.input.y,
    (line.span + 1) * cell,
    boxes.kernel.y + boxes.kernel.height - boxes.input.y,
  );
  const input = state.channel - groupOf(conv, state.filter) * conv.inputs,
    poles = POLES[themeNow()],
    box = boxes.kernel;
  for (let slot = 0; slot < line.taps && input >= 0 && input < conv.inputs; slot++) {
    const weight = weightAt(conv, state.filter, input, [0, 0, tapOf(line, slot)]);
    const size = (weight / conv.most.kernel) * (box.height / 2 - 2),
      place = window.from + slot * line.gap;
    context.fillStyle = css(weight < 0 ? poles.low : poles.high);
    context.fillRect(
      x(place) + cell * 0.1,
      box.y + box.height / 2 - Math.max(size, 0),
      Math.max(cell * 0.8, 1),
      Math.abs(size),
    );
  }
}

/** The current output: a dot on its curve, joined to its window. */
function drawNow(context, conv, boxes, series) {
  const [from, to] = state.range,
    line = conv.lines[2],
    cell = boxes.input.width / (to - from),
    now = state.position[2];
  const x = (place) => (place - from) * cell,
    window = windowNow()[2],
    box = boxes.output;
  const value = valueAt(conv, state.filter, [0, 0, now]),
    dot = x(now * line.step + series.output.first + 0.5);
  const y = heightOf(Number.isFinite(value) ? value : 0, series.output.limits, box);
  context.strokeStyle = variable("--window");
  context.lineWidth = 1.5;
  context.strokeRect(x(window.from), boxes.input.y, Math.max((line.span + 1) * cell, 2), boxes.input.height);
  context.beginPath();
  context.moveTo(x((window.from + window.to + 1) / 2), boxes.kernel.y + boxes.kernel.height);
  context.lineTo(dot, y);
  context.stroke();
  context.fillStyle = variable("--window");
  context.beginPath();
  context.arc(dot, y, 4.5, 0, 7);
  context.fill();
}
