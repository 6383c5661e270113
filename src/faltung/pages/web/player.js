// What the reader can do: play, step, scrub, choose channels and filters; with the mouse, by touch, with keys.

const SPEEDS = [1, 2, 4, 8, 15, 30];
const ICONS = {
  first: "M5 4v12M16 4l-8 6 8 6z",
  back: "M14 4l-8 6 8 6z",
  play: "M5 3l12 7-12 7z",
  pause: "M6 4v12M13 4v12",
  next: "M6 4l8 6-8 6z",
  last: "M15 4v12M4 4l8 6-8 6z",
};

/** Move the current output by some steps; at the ends it stays. */
function move(steps) {
  const { conv } = state;
  if (conv.problem) return;
  const index = clamp(indexOf(conv, state.position) + steps, 0, numOutputs(conv) - 1);
  change({ position: positionOf(conv, index), fed: null });
}

const jumpTo = (index) => change({ position: positionOf(state.conv, index), fed: null });

function play(isPlaying = !state.isPlaying) {
  if (isPlaying === state.isPlaying || state.conv.problem) return;
  const last = numOutputs(state.conv) - 1;
  if (isPlaying && indexOf(state.conv, state.position) === last) jumpTo(0);
  change({ isPlaying });
  let then = performance.now();
  const tick = (now) => {
    if (!state.isPlaying) return;
    const steps = Math.floor(((now - then) / 1000) * state.speed);
    if (steps > 0) {
      then += (steps * 1000) / state.speed;
      move(steps);
      if (indexOf(state.conv, state.position) === numOutputs(state.conv) - 1) change({ isPlaying: false });
    }
    requestAnimationFrame(tick);
  };
  if (isPlaying) requestAnimationFrame(tick);
}

function playerView(host) {
  const icon = (name) => {
    const drawing = draws("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" });
    draws("path", { d: ICONS[name] }, drawing);
    return drawing;
  };
  const button = (name, title, act) =>
    make("button", { type: "button", title, "aria-label": title, id: name, click: act }, icon(name));
  const toggle = button("play", "play (space)", () => play());
  const scrub = make("input", {
    type: "range",
    id: "scrub",
    min: 0,
    "aria-label": "output",
    input: () => {
      state.isPlaying = false;
      jumpTo(Number(scrub.value));
    },
  });
  const speed = make(
    "select",
    { id: "speed", "aria-label": "speed", change: () => change({ speed: Number(speed.value) }) },
    ...SPEEDS.map((value) => make("option", { value, text: `${value} / s`, selected: value === state.speed })),
  );
  const now = make("output", { id: "now" });
  host.append(
    button("first", "first output (Home)", () => jumpTo(0)),
    button("back", "step back (←)", () => move(-1)),
    toggle,
    button("next", "step (→)", () => move(1)),
    button("last", "last output (End)", () => jumpTo(numOutputs(state.conv) - 1)),
    scrub,
    now,
    speed,
  );
  return () => {
    const { conv } = state,
      count = conv.problem ? 0 : numOutputs(conv),
      index = indexOf(conv, state.position);
    for (const each of host.querySelectorAll("button, input")) each.disabled = !count;
    scrub.max = Math.max(count - 1, 0);
    scrub.value = index;
    now.textContent = count ? `${grouped(index + 1)} of ${grouped(count)}` : "no output";
    if (toggle.getAttribute("aria-pressed") === String(state.isPlaying)) return;
    toggle.replaceChildren(icon(state.isPlaying ? "pause" : "play"));
    toggle.setAttribute("aria-pressed", state.isPlaying);
  };
}

/** The channel, the filter and, for three axes, the slice that are shown. */
function pickersView(host) {
  const picker = (name, key, count, title) => {
    const input = make("input", { type: "number", id: name, min: 0, change: () => set(Number(input.value)) });
    const set = (value) => change({ [key]: clamp(value || 0, 0, count() - 1), fed: null });
    const step = (by, text) =>
      make("button", {
        type: "button",
        class: "small",
        text,
        "aria-label": `${name} ${by}`,
        click: () => set(state[key] + by),
      });
    const of = make("span", { class: "of" });
    const box = make(
      "label",
      { class: "picker" },
      make("span", { text: title }),
      step(-1, "‹"),
      input,
      step(1, "›"),
      of,
    );
    host.append(box);
    return () => {
      input.value = state[key];
      input.max = count() - 1;
      of.textContent = `of ${count()}`;
      box.style.display = count() > 1 ? "" : "none";
    };
  };
  const pickers = [
    picker("channel", "channel", () => state.conv.geometry.channels, "channel"),
    picker("filter", "filter", () => state.conv.filters, "filter"),
    picker("slice", "slice", () => state.conv.taps[0], "slice of the kernel"),
  ];
  return () => pickers.forEach((each) => each());
}

/** Keys: arrows step, space plays, Home and End, C and F choose; fields keep their own keys. */
function listenToKeys() {
  const turn = (key, count) => change({ [key]: (state[key] + 1) % count, fed: null });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, button") && !["Escape"].includes(event.key)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { conv } = state,
      row = conv.problem ? 1 : conv.outSize[2],
      keys = {
        ArrowRight: () => move(event.shiftKey ? 10 : 1),
        ArrowLeft: () => move(event.shiftKey ? -10 : -1),
        ArrowDown: () => move(conv.geometry.rank > 1 ? row : 10),
        ArrowUp: () => move(conv.geometry.rank > 1 ? -row : -10),
        " ": () => play(),
        Home: () => jumpTo(0),
        End: () => jumpTo(numOutputs(conv) - 1),
        Escape: () => change({ fed: null }),
        c: () => turn("channel", conv.geometry.channels),
        f: () => turn("filter", conv.filters),
        r: () => reset(),
      };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    if (event.key.startsWith("Arrow")) state.isPlaying = false;
    act();
  });
}
