// Cells with numbers, drawn as SVG: elements are kept from frame to frame and only told what changed.

/** Cells in a drawing: begin(), put() each, end(). `onPick` and `onPoint` hear what `put` was given as `what`. */
class Cells {
  constructor(drawing, onPick, onPoint) {
    this.layer = draws("g", {}, drawing);
    this.pool = [];
    this.used = 0;
    const hear = (event, listener) => {
      const found = event.target.closest("[data-cell]");
      if (found && listener) listener(this.pool[Number(found.dataset.cell)].what, event);
    };
    drawing.addEventListener("click", (event) => hear(event, onPick));
    drawing.addEventListener("pointermove", (event) => hear(event, onPoint));
  }

  begin() {
    this.used = 0;
  }

  /** cell: x, y, width, height, value or text, colour, kind ("pad", "gap"), marks (class names), below (small text). */
  put(cell) {
    const at = this.used++;
    const own = (this.pool[at] ??= this.fresh(at));
    own.what = cell.what;
    own.group.dataset.role = cell.what.role;
    own.group.dataset.at = placeOf(cell.what);
    const { x, y, width, height, text, below, fill, marks } = cell;
    const key = [x, y, width, height, text, below, fill, marks].join();
    if (own.key === key) return;
    own.key = key;
    own.group.setAttribute("transform", `translate(${cell.x} ${cell.y})`);
    own.group.setAttribute("class", `cell ${cell.marks ?? ""}`);
    own.box.setAttribute("width", Math.max(cell.width - 1.5, 1));
    own.box.setAttribute("height", Math.max(cell.height - 1.5, 1));
    own.box.setAttribute("fill", cell.fill ?? "none");
    write(own.main, cell.text, cell.width / 2 - 0.75, cell.height / 2 - (cell.below ? 3.5 : 0), cell.ink);
    write(own.small, cell.below, cell.width / 2 - 0.75, cell.height - 9, cell.ink);
    own.main.style.fontSize = `${cell.size ?? 12}px`;
  }

  fresh(at) {
    const group = draws("g", { "data-cell": at }, this.layer);
    const box = draws("rect", { rx: 3 }, group);
    return { group, box, main: draws("text", {}, group), small: draws("text", { class: "below" }, group), key: "" };
  }

  end() {
    for (let at = this.used; at < this.pool.length; at++) {
      if (this.pool[at].key === "") continue;
      this.pool[at].key = "";
      this.pool[at].group.setAttribute("class", "cell is-away");
    }
  }
}

/** Which number a cell shows: its channel or filter and its place, as text. */
function placeOf(what) {
  if (what.role === "kernel") return [what.input, ...what.tap].join();
  return what.role === "output" ? [what.filter, ...what.position].join() : [what.channel, ...what.places].join();
}

function write(element, text, x, y, ink) {
  element.textContent = text ?? "";
  element.setAttribute("x", x);
  element.setAttribute("y", y);
  element.setAttribute("fill", ink ?? "currentColor");
}

/** Fill, ink and text of a value in a cell of this width; no text where it would not fit. */
function looks(value, colour, width) {
  const rgb = colour(value),
    digits = width >= 46 ? 3 : 2;
  const text = width >= 30 ? format(value, Math.abs(value) >= 100 ? 3 : digits) : "";
  const size = Math.min((width - 4) / (Math.max(text.length, 3) * 0.6), 13);
  return { fill: css(rgb), ink: inkOn(rgb), text, size };
}

/** The hatching of padding, once for each drawing. */
function hatching(drawing, id) {
  const defs = draws("defs", {}, drawing);
  const pattern = draws(
    "pattern",
    { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    defs,
  );
  draws("rect", { width: 6, height: 6, class: "hatch-ground" }, pattern);
  draws("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "hatch-line" }, pattern);
  return `url(#${id})`;
}
