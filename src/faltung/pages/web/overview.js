// The whole of something large: an image with the window on it, a signal with the part that is shown below.

const MAP_SIZE = 300;

/** Draw a whole slice, one pixel for a value, with the window and what the grid shows; a click jumps. */
function mapView(canvas, role) {
  let shownNow = null;
  const jump = (event) => {
    const { conv } = state,
      box = canvas.getBoundingClientRect(),
      share = [event.clientY - box.top, event.clientX - box.left];
    const places = share.map(
      (pixels, at) => (pixels / (at ? box.width : box.height)) * (at ? shownNow.columns : shownNow.rows),
    );
    const to = [1, 2].map((axis, at) =>
      role === "output"
        ? clamp(Math.floor(places[at]), 0, conv.outSize[axis] - 1)
        : outputNear(conv.lines[axis], places[at]),
    );
    change({ position: [state.position[0], ...to], fed: null });
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    jump(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) jump(event);
  });
  const image = document.createElement("canvas");
  let key = "";
  return (conv, shown) => {
    shownNow = shown;
    const isWhole =
      shown.view.rows.to - shown.view.rows.from === shown.rows &&
      shown.view.columns.to - shown.view.columns.from === shown.columns;
    canvas.style.display = isWhole || role === "kernel" ? "none" : "";
    if (isWhole || role === "kernel") return;
    const job = role === "output" ? outputsOf(state.filter) : null;
    const now = [
      role,
      state.step,
      state.channel,
      state.filter,
      shown.deep,
      themeNow(),
      job?.rows,
      shown.rows,
      shown.columns,
      conv.geometry.word,
      conv.geometry.mode,
    ].join();
    if (now !== key || image.conv !== conv) paint(image, conv, shown, job);
    key = now;
    image.conv = conv;
    overlay(canvas, image, shown);
  };
}

function paint(image, conv, shown, job) {
  image.width = shown.columns;
  image.height = shown.rows;
  const context = image.getContext("2d"),
    data = context.createImageData(shown.columns, shown.rows);
  const colour = job ? scale(job.most || 1) : scale(conv.most.x, conv.isGrey),
    [d, h, w] = conv.lines;
  const base = job ? shown.deep * shown.rows * shown.columns : 0;
  for (let row = 0, at = 0; row < shown.rows; row++)
    for (let column = 0; column < shown.columns; column++, at += 4) {
      const place = [d.map[shown.deep], h.map[row], w.map[column]];
      const value = job ? job.y[base + at / 4] : Math.min(...place) < 0 ? 0 : inputAt(conv, state.channel, place);
      const [red, green, blue] = colour(value);
      data.data[at] = red;
      data.data[at + 1] = green;
      data.data[at + 2] = blue;
      data.data[at + 3] = 255;
    }
  context.putImageData(data, 0, 0);
}

function overlay(canvas, image, shown) {
  const room = Math.min(MAP_SIZE, widthOf(canvas.parentElement) - GRID.label);
  const scaleBy = Math.min(room / Math.max(image.width, image.height), 8);
  const context = contextOf(canvas, Math.round(image.width * scaleBy), Math.round(image.height * scaleBy));
  context.imageSmoothingEnabled = scaleBy < 1;
  context.drawImage(image, 0, 0, image.width * scaleBy, image.height * scaleBy);
  const box = (rows, columns, colour, width) => {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(
      columns.from * scaleBy,
      rows.from * scaleBy,
      Math.max((columns.to - columns.from) * scaleBy, 3),
      Math.max((rows.to - rows.from) * scaleBy, 3),
    );
  };
  const beyond = (focus) => ({ from: focus.from, to: focus.to + 1 });
  box(shown.view.rows, shown.view.columns, "#ffffffaa", 3);
  box(shown.view.rows, shown.view.columns, "#00000099", 1);
  box(beyond(shown.focus[0]), beyond(shown.focus[1]), "#ffffff", 4);
  box(beyond(shown.focus[0]), beyond(shown.focus[1]), variable("--window"), 2);
}
