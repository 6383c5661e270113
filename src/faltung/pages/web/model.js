// The page of a model: layers as bars along time, or as images; the receptive field of the chosen output traced back.

const TOLD = JSON.parse(document.getElementById("told").textContent);
const { nodes, rank, names, failure } = TOLD;
const AXES = Array.from({ length: rank }, (_, axis) => axis);
const lastWithSizes = nodes.reduce((last, node, at) => (node.sizes ? at : last), 0);
const chosen = {
  node: lastWithSizes,
  position: AXES.map((axis) => Math.floor(countOf(nodes[lastWithSizes], axis) / 2)),
};
const BAR = { height: 46, gap: 22, label: 180, shape: 150 };
let rows = [];

function choose(node, position) {
  chosen.node = clamp(node, 0, nodes.length - 1);
  chosen.position = AXES.map((axis) => clamp(position[axis] ?? 0, 0, countOf(nodes[chosen.node], axis) - 1));
  drawAll();
}

/** What is seen on every axis: a list of maps from node to range. */
const seenNow = () => AXES.map((axis) => traced(nodes, chosen.node, chosen.position[axis], axis));

const titleOf = (node) => [node.path, node.type].filter(Boolean).join(" · ");

function heatOf(node, width, height) {
  const canvas = make("canvas"),
    context = contextOf(canvas, width, height);
  if (!node.heat) return canvas;
  node.image = node.imageTheme === themeNow() ? node.image : imageOf(node.heat);
  node.imageTheme = themeNow();
  context.imageSmoothingEnabled = false;
  context.drawImage(node.image, 0, 0, width, height);
  return canvas;
}

function imageOf(heat) {
  const {
      shape: [height, width],
      values,
    } = (heat.decoded ??= decode(heat.levels)),
    colour = scale(127);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"),
    data = context.createImageData(width, height);
  values.forEach((level, at) => data.data.set([...colour(level - 128), 255], at * 4));
  context.putImageData(data, 0, 0);
  return canvas;
}

/** One axis: bars under each other, aligned along the input. */
function drawBars(host) {
  const padding = parseFloat(getComputedStyle(host).paddingLeft),
    width = host.clientWidth - 2 * padding,
    isNarrow = width < 640,
    left = isNarrow ? 0 : BAR.label,
    right = isNarrow ? 0 : BAR.shape;
  const places = placed(nodes, 0),
    seen = seenNow()[0],
    whole = countOf(nodes[0], 0),
    room = width - left - right - 8;
  const x = (place) => left + ((place + 0.5) / whole) * room,
    step = BAR.height + BAR.gap + (isNarrow ? 16 : 0);
  const height = (nodes.length + Boolean(failure)) * step;
  const drawing = draws("svg", { width, height, class: "model", role: "img", "aria-label": "layers" });
  const under = make("div", { class: "bars" });
  under.style.height = `${nodes.length * step}px`;
  rows = nodes.map((node, at) => {
    const { jump, start } = places[at],
      count = countOf(node, 0),
      y = at * step + (isNarrow ? 18 : 0);
    const from = Math.max(x(start - jump / 2), left),
      to = Math.min(x(start + (count - 0.5) * jump), width - right);
    const edge = (index) => clamp(x(start + (index - 0.5) * jump), left, width - right);
    const canvas = heatOf(node, Math.max(to - from, 4), BAR.height);
    Object.assign(canvas.style, { left: `${from}px`, top: `${y}px` });
    canvas.dataset.node = at;
    canvas.addEventListener("pointerdown", (event) => choose(at, [Math.floor((event.offsetX / (to - from)) * count)]));
    under.append(canvas);
    return { y, edge, from, to };
  });
  for (const [at, range] of seen) drawSeen(drawing, at, range, seen);
  rows.forEach((row, at) => drawLabels(drawing, nodes[at], row, { left, right, width, isNarrow }));
  if (failure) drawRefusal(drawing, nodes.length * step + (isNarrow ? 18 : 0), { left, right, width });
  host.replaceChildren(under, drawing);
}

/** The layer that refused its input, where it would have stood. */
function drawRefusal(drawing, y, { left, right, width }) {
  draws("rect", { x: left, y, width: width - left - right, height: BAR.height, rx: 4, class: "refusal" }, drawing);
  const name = draws(
    "text",
    { x: left || 8, y: y + BAR.height / 2, dx: left ? -14 : 0, class: left ? "is-end refused" : "refused" },
    drawing,
  );
  name.textContent = failure.layer;
  if (left) draws("text", { x: left + 14, y: y + BAR.height / 2, class: "refused" }, drawing).textContent = failure.why;
}

function drawSeen(drawing, at, [low, high], seen) {
  const row = rows[at],
    from = row.edge(low),
    to = Math.max(row.edge(high + 1), row.edge(low) + 3);
  for (const source of nodes[at].sources) {
    const other = rows[source],
      [first, last] = seen.get(source),
      top = other.y + BAR.height;
    const corners = [
      [other.edge(first), top],
      [other.edge(last + 1), top],
      [to, row.y],
      [from, row.y],
    ];
    draws("polygon", { points: corners.map((corner) => corner.join(",")).join(" "), class: "beam" }, drawing);
  }
  draws("rect", { x: from, y: row.y, width: to - from, height: BAR.height, rx: 3, class: "seen" }, drawing);
}

function drawLabels(drawing, node, row, { left, width, isNarrow, right }) {
  const middle = row.y + BAR.height / 2;
  const name = draws(
    "text",
    isNarrow ? { x: 0, y: row.y - 7, class: "name" } : { x: left - 14, y: middle, class: "name is-end" },
    drawing,
  );
  name.textContent = titleOf(node);
  const place = isNarrow
    ? { x: width, y: row.y - 7, class: "shape is-end" }
    : { x: width - right + 8, y: middle, class: "shape" };
  draws("text", place, drawing).textContent = node.shape;
}

/** Two or three axes: every layer an image, the seen part framed. */
function drawImages(host) {
  const seen = seenNow(),
    [down, across] = [rank - 2, rank - 1];
  const figures = nodes.map((node, at) => {
    if (!node.sizes) {
      return make("figure", { class: "node" }, heatOf(node, 132, 20), caption(node));
    }
    const ratio = node.sizes[down] / node.sizes[across],
      width = ratio > 1 ? 132 / ratio : 132,
      height = width * ratio;
    const canvas = heatOf(node, Math.max(width, 6), Math.max(height, 6)),
      context = canvas.getContext("2d");
    const box = [across, down].map((axis, side) => {
      const [low, high] = seen[axis].get(at) ?? [0, -1],
        pixels = (side ? height : width) / node.sizes[axis];
      return { from: low * pixels, length: (high - low + 1) * pixels };
    });
    context.strokeStyle = variable("--window");
    context.lineWidth = 2.5;
    if (box[0].length > 0)
      context.strokeRect(box[0].from, box[1].from, Math.max(box[0].length, 2), Math.max(box[1].length, 2));
    canvas.dataset.node = at;
    canvas.addEventListener("pointerdown", (event) => {
      const share = [event.offsetY / height, event.offsetX / width],
        sizes = node.sizes.slice(-2);
      const spot = share.map((part, axis) => Math.floor(part * sizes[axis]));
      choose(at, rank === 3 ? [Math.floor(node.sizes[0] / 2), ...spot] : spot);
    });
    return make("figure", { class: at === chosen.node ? "node is-chosen" : "node" }, canvas, caption(node));
  });
  host.replaceChildren(...figures);
}

const caption = (node) =>
  make("figcaption", {}, make("b", { text: titleOf(node) }), make("span", { text: node.shape }));

function spanText(name, range, whole) {
  if (!range) return "nothing";
  const [low, high] = range;
  return `${name} ${grouped(low)} … ${grouped(high)} (${grouped(high - low + 1)} of ${grouped(whole)})`;
}

function drawAll() {
  const host = byId("model");
  if (!host.clientWidth) return requestAnimationFrame(drawAll); // not laid out yet
  host.className = rank === 1 ? "card along" : "card images";
  (rank === 1 ? drawBars : drawImages)(host);
  const seen = seenNow().map((map) => map.get(0));
  const spans = seen.map((range, axis) => spanText(names[axis], range, countOf(nodes[0], axis)));
  const node = nodes[chosen.node],
    place = node.sizes ? AXES.map((axis) => `${names[axis]} ${chosen.position[axis]}`).join(", ") : "";
  byId("field").replaceChildren(
    make("b", { text: [titleOf(node), place].filter(Boolean).join(", ") }),
    " sees ",
    make("b", { text: spans.join(" × ") }),
    " of x.",
  );
  const { heat } = node;
  byId("values").textContent = heat ? `Its numbers lie between ${format(heat.least)} and ${format(heat.most)}.` : "";
  const scrub = byId("scrub"),
    along = rank - 1;
  scrub.max = countOf(node, along) - 1;
  scrub.value = chosen.position[along];
}

function startModel() {
  const main = byId("main"),
    shown = nodes.length - 1;
  byId("summary").append(
    make("span", { text: `${shown} layer${shown === 1 ? "" : "s"}` }),
    ...(failure ? [make("span", { class: "trouble", text: `${failure.layer} refuses ${failure.shape}` })] : []),
  );
  if (failure) {
    main.append(
      make(
        "section",
        { class: "card failure", id: "failure" },
        make("h2", { text: `${failure.layer}: ${failure.why}` }),
        Object.assign(make("div"), { innerHTML: failure.html }),
      ),
    );
  }
  const scrub = make("input", {
    type: "range",
    min: 0,
    id: "scrub",
    "aria-label": "position",
    input: () => choose(chosen.node, [...chosen.position.slice(0, -1), Number(scrub.value)]),
  });
  main.append(
    make("section", { class: "card" }, make("p", { id: "field" }), make("p", { id: "values", class: "aside" }), scrub),
    make("section", { class: "card", id: "model" }),
    make("p", {
      class: "check",
      text: "Click a layer to choose one of its outputs. Keys: ← → move it, ↑ ↓ change the layer.",
    }),
  );
  document.addEventListener("keydown", (event) => {
    const shift = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!shift || event.target.closest("input")) return;
    event.preventDefault();
    const position = [...chosen.position];
    position[rank - 1] += shift[1];
    choose(chosen.node + shift[0], position);
  });
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = themeNow() === "dark" ? "light" : "dark";
    drawAll();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", drawAll);
  drawAll();
}

window.faltung = { choose, chosen, traced, nodes, seenNow };
startModel();
