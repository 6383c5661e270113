// Making elements, and the words that name places.

const byId = (id) => document.getElementById(id);

/** An element with attributes (functions are listeners, `text` its text) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

function draws(tag, attributes = {}, parent = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (parent) parent.append(element);
  return element;
}

/** Give a drawing its size; the same size again costs nothing. */
function sizeTo(drawing, width, height) {
  const size = [width, height].map(String);
  if (drawing.getAttribute("width") !== size[0]) drawing.setAttribute("width", size[0]);
  if (drawing.getAttribute("height") !== size[1]) drawing.setAttribute("height", size[1]);
}

let widths = new WeakMap();
const forgetWidths = () => (widths = new WeakMap());

/** The width of an element, measured once until the page changes its shape: measuring costs a layout. */
function widthOf(element) {
  const known = widths.get(element) || element.clientWidth;
  widths.set(element, known);
  return known;
}

/** A canvas's context, its pixels those of the screen. */
function contextOf(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

const ownAxes = (conv) => [0, 1, 2].slice(3 - conv.geometry.rank);
const nameOf = (conv, axis) => conv.geometry.names[axis - (3 - conv.geometry.rank)];
const where = (conv, at) =>
  ownAxes(conv)
    .map((axis) => `${nameOf(conv, axis)} ${at[axis]}`)
    .join(", ");
const sizesText = (sizes) => sizes.join(" × ");

/** What stands at some places, in words. */
function placeText(conv, places) {
  const { at, kind } = meet(conv, places);
  if (kind === GAP) return "a zero between two inputs";
  if (kind === PAD) return "padding";
  const own = ownAxes(conv),
    isCopy = own.some((axis) => isPadded(conv.lines[axis], places[axis]));
  return where(conv, at) + (isCopy ? ` (padding, ${conv.geometry.mode})` : "");
}

/** Whether a place lies outside the input: padding of any mode. */
function isPadded(line, place) {
  if (line.isReversed) return line.map[place] === PAD;
  return place < line.origin || place >= line.origin + line.inputs || line.map[place] === PAD;
}

const say = (text) => {
  byId("readout").textContent = text;
};
