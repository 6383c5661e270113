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

  /** cell: x, y, width, height, text, its size and ink, fill, marks (class names), what it stands for. */
  put(cell) {
    const at = this.used++;
    const own = (this.pool[at] ??= this.fresh(at));
    const { x, y, width, height, text = "", ink = "currentColor", fill = "none", marks = "", size = 12 } = cell;
    own.what = cell.what;
    tell(own, own.group, "data-role", cell.what.role);
    tell(own, own.group, "data-at", placeOf(cell.what));
    tell(own, own.group, "transform", `translate(${x} ${y})`);
    tell(own, own.group, "class", `cell ${marks}`);
    tell(own, own.box, "width", Math.max(width - 1.5, 1));
    tell(own, own.box, "height", Math.max(height - 1.5, 1));
    tell(own, own.box, "fill", fill);
    if (text || own.text) this.write(own, text, cell, size, ink);
  }

  write(own, text, { width, height }, size, ink) {
    own.main ??= draws("text", {}, own.group);
    if (own.text !== text) own.main.textContent = own.text = text;
    tell(own, own.main, "x", width / 2 - 0.75);
    tell(own, own.main, "y", height / 2 - 0.75);
    tell(own, own.main, "fill", ink);
    tell(own, own.main, "font-size", size);
  }

  fresh(at) {
    const group = draws("g", { "data-cell": at }, this.layer);
    return { group, box: draws("rect", { rx: 3 }, group), main: null, text: "", told: {} };
  }

  end() {
    for (let at = this.used; at < this.pool.length; at++)
      tell(this.pool[at], this.pool[at].group, "class", "cell is-away");
  }
}

/** Set an attribute that is not what it was: only a change costs something. */
function tell(own, element, name, value) {
  const key = element === own.group ? name : `${element.tagName}.${name}`;
  if (own.told[key] === value) return;
  own.told[key] = value;
  element.setAttribute(name, value);
}

/** Which number a cell shows: its channel or filter and its place, as text. */
function placeOf(what) {
  if (what.role === "kernel") return [what.input, ...what.tap].join();
  return what.role === "output" ? [what.filter, ...what.position].join() : [what.channel, ...what.places].join();
}

/** Words in a drawing, kept from frame to frame as the cells are. */
class Words {
  constructor(drawing) {
    this.layer = draws("g", { class: "words" }, drawing);
    this.pool = [];
    this.used = 0;
  }

  begin() {
    this.used = 0;
  }

  put(text, x, y, kind, dx = 0) {
    const at = this.used++;
    const own = (this.pool[at] ??= { group: draws("text", {}, this.layer), told: {}, text: null });
    tell(own, own.group, "x", x);
    tell(own, own.group, "y", y);
    tell(own, own.group, "dx", dx);
    tell(own, own.group, "class", kind);
    if (own.text !== text) own.group.textContent = own.text = text;
  }

  end() {
    for (const own of this.pool.slice(this.used)) tell(own, own.group, "class", "is-away");
  }
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
