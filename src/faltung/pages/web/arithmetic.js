// The current output written out: every product, the sum, the bias, the activation; and how the sizes come about.

const MOST_TERMS = 18;

function arithmeticView(host) {
  const title = make("h2"),
    sums = make("div", { class: "sums" }),
    list = make("ol", { class: "terms" });
  const lines = [];
  const more = make("button", { type: "button", class: "small", click: () => change({ allTerms: !state.allTerms }) });
  host.append(title, sums, list, more);
  return () => {
    const { conv, filter, position } = state;
    host.style.display = conv.problem ? "none" : "";
    if (conv.problem) return;
    const terms = termsOf(conv, filter, position),
      result = outputOf(conv, filter, terms);
    title.replaceChildren(
      "Output ",
      make("span", { class: "place", text: `filter ${filter}, ${where(conv, position)}` }),
    );
    sums.replaceChildren(...sumLines(conv, terms, result));
    const real = terms.filter((term) => term.kind !== GAP),
      shown = state.allTerms ? real : real.slice(0, MOST_TERMS);
    const most = largest(real.map((term) => term.product));
    while (lines.length < shown.length) lines.push(termLine());
    if (list.children.length !== shown.length + 1) {
      list.replaceChildren(heads(), ...lines.slice(0, shown.length).map(({ row }) => row));
    }
    shown.forEach((term, at) => tellTerm(lines[at], conv, term, most));
    more.style.display = real.length > MOST_TERMS ? "" : "none";
    const hidden = real.slice(MOST_TERMS),
      together = hidden.reduce((sum, term) => sum + term.product, 0);
    more.textContent = state.allTerms
      ? "fewer"
      : `${grouped(hidden.length)} more products, together ${format(together, 5)}`;
  };
}

/** The sum, the bias, the activation and the result, each with its full number in data-value. */
function sumLines(conv, terms, { sum, total, value }) {
  const { activation, parameter } = conv.geometry,
    count = terms.filter((term) => term.kind !== GAP).length;
  const line = (name, number, kind = "") =>
    make(
      "div",
      { class: `sum ${kind}`, "data-name": name },
      make("span", { text: name }),
      make("output", { "data-value": number, text: format(number, 6) }),
    );
  const lines = [line(`sum of ${grouped(count)} products`, sum)];
  if (conv.bias) lines.push(line("+ bias", conv.bias[state.filter]));
  if (conv.bias && activation) lines.push(line("with bias", total));
  const name = parameter === null || parameter === undefined ? activation : `${activation}, ${parameter}`;
  lines.push(line(activation ? `after ${name}` : "output", value, "is-result"));
  return lines;
}

function heads() {
  const words = ["channel, place", "input", "× weight", "= product", ""];
  return make("li", { class: "heads" }, ...words.map((text) => make("span", { text })));
}

/** A line of the list, kept from step to step: its parts and what they last said. */
function termLine() {
  const place = make("span", { class: "place" }),
    numbers = ["", "× ", "= "].map((sign) => ({ sign, output: make("output"), value: null })),
    bar = make("i");
  return { place, numbers, bar, row: make("li", {}, place, ...numbers.map(({ output }) => output), bar) };
}

function tellTerm(line, conv, term, most) {
  const share = term.product / most,
    place = term.kind ? "padding" : ownAxes(conv).map((axis) => term.at[axis]);
  line.row.className = term.kind ? "is-padding" : "";
  line.place.textContent = `${term.channel}; ${term.kind ? place : place.join(", ")}`;
  [term.value, term.weight, term.product].forEach((value, at) => {
    const shown = line.numbers[at];
    if (Object.is(shown.value, value)) return;
    shown.value = value;
    shown.output.dataset.value = value;
    shown.output.textContent = shown.sign + format(value, 5);
  });
  line.bar.className = share < 0 ? "bar is-below" : "bar";
  line.bar.style.setProperty("--share", Math.abs(share));
}

/** Draw something again only when the convolution is another one. */
function onlyAnew(view) {
  let drawn = null;
  return () => {
    if (drawn === state.conv) return;
    drawn = state.conv;
    view();
  };
}

/** How each size comes about, every number in the colour of its slider. */
function sizeView(host) {
  return () => {
    const { conv } = state,
      { geometry } = conv;
    const lines = geometry.names.map((_, axis) => sizeLine(geometry, axis, conv.problem));
    const trouble = conv.problem ? make("p", { class: "trouble", role: "alert", text: conv.problem }) : null;
    const field = sizesText(
      geometry.names.map((_, axis) => windowSize(geometry.kernelSize[axis], geometry.dilation[axis])),
    );
    host.replaceChildren(
      make("h2", { text: "Size" }),
      ...lines,
      ...(trouble ? [trouble] : []),
      make("p", { class: "aside", text: `One output sees ${field} (${geometry.names.join(" × ")}).` }),
    );
  };
}

function sizeLine(geometry, axis, problem) {
  const part = (kind, value) => make("b", { class: `is-${kind}`, text: value, title: kind });
  const [low, high] = geometry.padding[axis],
    size = part("input", geometry.size[axis]);
  const taps = part("kernel", geometry.kernelSize[axis]),
    gap = part("dilation", geometry.dilation[axis]);
  const pads = [part("padding", low), part("padding", high)],
    step = part("stride", geometry.stride[axis]);
  const out = problem ? "–" : outputSize(geometry, axis);
  const body = geometry.isTransposed
    ? [
        "(",
        size,
        " − 1)·",
        step,
        " + ",
        gap,
        "·(",
        taps,
        " − 1) + 1 − ",
        pads[0],
        " − ",
        pads[1],
        ...(geometry.rest[axis] ? [` + ${geometry.rest[axis]}`] : []),
      ]
    : ["⌊(", size, " + ", pads[0], " + ", pads[1], " − ", gap, "·(", taps, " − 1) − 1) / ", step, "⌋ + 1"];
  return make(
    "p",
    { class: "formula", "data-axis": geometry.names[axis] },
    make("span", { class: "axis", text: geometry.names[axis] }),
    ...body,
    " = ",
    make("strong", { text: out }),
  );
}
