// The geometry in the reader's hands: sliders for kernel size, stride, dilation and padding, and how padding is filled.

const WORDS = ["as given", "valid", "same", "causal", "numbers"];

/** One row of sliders: a number for each axis, read and written by `get` and `set`. */
function sliders(kind, title, most, get, set) {
  const { names } = state.conv.geometry;
  const cells = names.map((name, axis) => {
    const input = make("input", {
      type: "range",
      min: kind === "padding" ? 0 : 1,
      max: most(axis),
      "aria-label": `${title}, ${name}`,
      "data-slider": `${title} ${axis}`,
      input: () => set(axis, Number(input.value)),
    });
    const shown = make("output");
    return { input, shown, box: make("div", { class: "slider" }, shown, input) };
  });
  const row = make(
    "div",
    { class: `row is-${kind}` },
    make("span", { class: "name", text: title }),
    ...cells.map((c) => c.box),
  );
  const draw = () =>
    cells.forEach((cell, axis) => {
      cell.input.value = get(axis);
      cell.shown.textContent = get(axis);
    });
  return { row, draw };
}

function edit(changes) {
  state.isPlaying = false;
  build({ ...state.conv.geometry, ...changes });
}

/** The sliders of the geometry; made anew for each operation. */
function slidersView(host) {
  let made = null,
    rows = [],
    mine = null;
  const remake = () => {
    made = state.step;
    const of = () => state.conv.geometry,
      own = told();
    const put = (name) => (axis, value) => edit({ [name]: of()[name].map((old, at) => (at === axis ? value : old)) });
    const end = (side) => (axis, value) =>
      edit({
        word: "",
        padding: of().padding.map((pair, at) => (at === axis ? (side ? [pair[0], value] : [value, pair[1]]) : pair)),
      });
    const room = (axis) => clamp(own.size[axis], 7, 31),
      pads = (axis) => Math.max(own.padding[axis][0] * 2, room(axis), 8);
    rows = [
      sliders(
        "kernel",
        "kernel size",
        (axis) => Math.max(own.kernelSize[axis] * 2, room(axis)),
        (a) => of().kernelSize[a],
        put("kernelSize"),
      ),
      sliders(
        "stride",
        "stride",
        (axis) => Math.max(own.stride[axis] * 2, 6),
        (a) => of().stride[a],
        put("stride"),
      ),
      sliders(
        "dilation",
        "dilation",
        (axis) => Math.max(own.dilation[axis] * 2, 8),
        (a) => of().dilation[a],
        put("dilation"),
      ),
      sliders("padding", own.isTransposed ? "cut, low" : "padding, low", pads, (a) => of().padding[a][0], end(0)),
      sliders("padding", own.isTransposed ? "cut, high" : "padding, high", pads, (a) => of().padding[a][1], end(1)),
    ];
    mine = choices(own);
    const heads = make(
      "div",
      { class: "row is-heads" },
      make("span"),
      ...own.names.map((name) => make("span", { text: name })),
    );
    host.replaceChildren(make("h2", { text: "Change it" }), heads, ...rows.map((row) => row.row), mine.row);
    host.style.setProperty("--axes", own.rank);
  };
  return () => {
    if (made !== state.step) remake();
    rows.forEach((row) => row.draw());
    mine.draw();
  };
}

/** How padding is said and what it is filled with; and the way back to the layer as it came. */
function choices(own) {
  const words = WORDS.filter((word) =>
    own.isTransposed ? ["as given", "numbers"].includes(word) : word !== "causal" || own.rank === 1,
  );
  const option = (value) => make("option", { value, text: value });
  const word = make(
    "select",
    {
      id: "word",
      "aria-label": "padding",
      change: () => {
        if (word.value === "as given") edit({ word: own.word, padding: own.padding.map((pair) => [...pair]) });
        else edit({ word: word.value === "numbers" ? "" : word.value });
      },
    },
    ...words.map(option),
  );
  const mode = make(
    "select",
    { id: "mode", "aria-label": "padding mode", change: () => edit({ mode: mode.value }) },
    ...Object.keys(SOURCES).map(option),
  );
  const back = make("button", {
    type: "button",
    id: "reset",
    text: "↺ reset",
    title: "the layer as it came (r)",
    click: () => reset(),
  });
  const note = make("p", { class: "aside" });
  const row = make(
    "div",
    { class: "choices" },
    make("label", { class: "is-padding" }, "padding ", word),
    own.isTransposed ? null : make("label", { class: "is-padding" }, "filled with ", mode),
    back,
    note,
  );
  const draw = () => {
    const { geometry, isResampled } = state.conv,
      isGiven = JSON.stringify(geometry.padding) === JSON.stringify(own.padding);
    word.value = words.includes(geometry.word) ? geometry.word : isGiven ? "as given" : "numbers";
    mode.value = geometry.mode;
    note.textContent = isResampled ? "The taps are resampled from your kernel, their sum kept." : "";
  };
  return { row, draw };
}
