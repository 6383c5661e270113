// The page of one layer: its parts in order, and the comparison of the page's numbers with the library's.

function checkView(host) {
  return () => {
    const { conv } = state,
      { check, padding, stride, dilation, kernelSize, mode } = told();
    const own = conv.geometry,
      isOwn =
        JSON.stringify([own.padding, own.stride, own.dilation, own.kernelSize, own.mode]) ===
        JSON.stringify([padding, stride, dilation, kernelSize, mode]);
    host.style.display = isOwn && check.at.length ? "" : "none";
    if (!isOwn) return;
    told().verdict ??= compared(conv, check);
    const { isEqual, worst, count } = told().verdict;
    host.dataset.equal = isEqual;
    host.textContent = isEqual
      ? `✓ ${count} numbers compared with faltung's own: equal within rounding (${format(worst, 2)} apart at most).`
      : `✗ The page and faltung differ by ${format(worst, 3)}: please report this.`;
  };
}

/** Compare with what the library computed, within the rounding of its element type. */
function compared(conv, check) {
  const per = conv.outSize.reduce((a, b) => a * b, 1);
  let worst = 0,
    isEqual = true;
  check.at.forEach((flat, at) => {
    const filter = Math.floor(flat / per),
      position = positionOf(conv, flat % per);
    const terms = termsOf(conv, filter, position),
      { value } = outputOf(conv, filter, terms);
    const magnitude = terms.reduce((sum, term) => sum + Math.abs(term.product), Math.abs(conv.bias?.[filter] ?? 0));
    const apart = Math.abs(value - check.y[at]);
    worst = Math.max(worst, apart);
    if (
      !(
        apart <=
        (2 * (terms.length + 1) * magnitude + 8 * Math.max(Math.abs(value), magnitude)) * check.epsilon + 1e-37
      )
    )
      isEqual = false;
  });
  return { worst, isEqual, count: check.at.length };
}

function tabsView(host) {
  host.style.display = TOLD.steps.length > 1 ? "" : "none";
  const tabs = TOLD.steps.map((each, at) =>
    make("button", { type: "button", role: "tab", text: each.title, click: () => open(at) }),
  );
  host.append(...tabs);
  return () => tabs.forEach((tab, at) => tab.setAttribute("aria-selected", at === state.step));
}

function headView(host) {
  return () => {
    const { conv } = state,
      { geometry } = conv,
      kind = geometry.isTransposed ? "transposed, " : "";
    const groups = geometry.groups > 1 ? (conv.inputs === 1 ? "depthwise, " : `${geometry.groups} groups, `) : "";
    const out = conv.problem ? "no output" : sizesText(conv.outSize.slice(3 - geometry.rank));
    host.replaceChildren(
      make("span", { text: `${kind}${groups}${geometry.channels} → ${conv.filters} channels` }),
      make("span", { text: `${geometry.names.join(" × ")}: ${sizesText(geometry.size)} → ${out}` }),
      make("span", { text: `kernel ${sizesText(geometry.kernelSize)}` }),
      ...told().notes.map((note) => make("span", { class: "note", text: note })),
    );
  };
}

function codeView(host) {
  return () => {
    const { geometry } = state.conv,
      plain = (values) => (values.every((value) => value === values[0]) ? values[0] : `(${values.join(", ")})`);
    const parts = [`stride=${plain(geometry.stride)}`];
    const pads = geometry.padding.map((pair) => `(${pair.join(", ")})`);
    const isWord = ["same", "causal", "valid"].includes(geometry.word) && !geometry.isTransposed;
    parts.push(
      isWord ? `padding="${geometry.word}"` : `padding=[${pads.join(", ")}]`,
      `dilation=${plain(geometry.dilation)}`,
    );
    if (geometry.groups > 1) parts.push(`groups=${geometry.groups}`);
    if (geometry.mode !== "zeros") parts.push(`padding_mode="${geometry.mode}"`);
    if (geometry.activation) parts.push(`activation="${geometry.activation}"`);
    const name = `conv${geometry.rank}d${geometry.isTransposed ? "_transpose" : ""}`;
    const layout = `N${"DHW".slice(3 - geometry.rank)}C`;
    const arrays = state.conv.bias ? "x, kernel, bias" : "x, kernel";
    host.textContent = `ft.${name}(${arrays}, ${parts.join(", ")}, layout="${layout}")`;
  };
}

/** A view that is drawn only while it is on the screen, or on paper: what nobody sees costs nothing. */
function whenSeen(host, view) {
  let isSeen = true;
  new IntersectionObserver(([entry]) => {
    isSeen = entry.isIntersecting || !entry.rootBounds;
    if (isSeen) ask();
  }).observe(host);
  addEventListener("beforeprint", () => {
    isSeen = true;
    draw();
  });
  return () => isSeen && view();
}

/** The buttons of the page itself: the theme. */
function listenToTheme() {
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = themeNow() === "dark" ? "light" : "dark";
    for (const each of document.querySelectorAll("canvas")) each.dispatchEvent(new Event("theme"));
    ask();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ask);
}

function start() {
  const main = byId("main"),
    section = (kind, label) => {
      const element = make("section", { class: `card ${kind}`, id: kind, "aria-label": label });
      main.append(element);
      return element;
    };
  const tabs = make("div", { class: "tabs", role: "tablist" });
  main.append(tabs);
  const stage = section("stage", "input, kernel and output"),
    inside = (kind) => stage.appendChild(make("div", { class: kind }));
  const player = section("player", "steps");
  const columns = main.appendChild(make("div", { class: "columns" }));
  const lower = ["arithmetic", "geometry", "flat"].map((kind) => {
    const element = make("section", { class: `card ${kind}`, id: kind });
    (kind === "flat" ? main : columns).append(element);
    return element;
  });
  const [size, change_] = ["size", "sliders"].map((kind) => lower[1].appendChild(make("div", { class: kind })));
  const code = lower[1].appendChild(make("pre", { class: "code" })),
    check = main.appendChild(make("p", { class: "check", id: "check" }));
  open(0);
  views.push(
    tabsView(tabs),
    onlyAnew(headView(byId("summary"))),
    pickersView(inside("pickers")),
    curvesView(inside("curves")),
    stripView(inside("strip-host")),
    gridView(inside("grids")),
    playerView(player),
    arithmeticView(lower[0]),
    onlyAnew(sizeView(size)),
    slidersView(change_),
    onlyAnew(codeView(code)),
    whenSeen(lower[2], flatView(lower[2])),
    checkView(check),
  );
  stage.append(
    make("p", {
      id: "readout",
      class: "aside",
      "aria-live": "off",
      text: "Click an output to see its inputs, an input to see what it feeds. Keys: ← → ↑ ↓, space, c, f, r.",
    }),
  );
  listenToKeys();
  listenToTheme();
  addEventListener("resize", () => {
    forgetWidths();
    ask();
  });
  addEventListener("beforeprint", draw);
  addEventListener("afterprint", ask);
  draw();
}

window.faltung = {
  state,
  change,
  jumpTo,
  open,
  reset,
  edit,
  prepare,
  termsOf,
  outputOf,
  valueAt,
  computeRows,
  fedBy,
  outputSize,
  meet,
  format,
  views,
  TOLD,
};
start();
