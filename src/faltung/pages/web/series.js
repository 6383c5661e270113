// A long signal as a curve: which places it has, how far it reaches, and how it is drawn into a box.

/** The two series of a signal: values by index, and the place of index 0 and the distance of neighbours. */
function seriesOf(conv) {
  const line = conv.lines[2],
    base = state.channel * conv.size[2],
    job = outputsOf(state.filter);
  const spread = line.isReversed ? conv.geometry.stride[0] : 1;
  return {
    input: { at: (i) => conv.x[base + i], count: conv.size[2], first: line.origin, apart: spread },
    output: { at: (o) => job.y[o], count: job.rows ? line.out : 0, first: anchor(line), apart: line.step },
    key: [state.step, state.channel, state.filter, job.rows, themeNow()].join(),
  };
}

/** The least and the largest value of a series between two places, with zero if it is near. */
function limitsOf(series, [from, to]) {
  const first = clamp(Math.floor((from - series.first) / series.apart), 0, series.count);
  const last = clamp(Math.ceil((to - series.first) / series.apart) + 1, 0, series.count);
  let low = Infinity,
    high = -Infinity;
  for (let i = first; i < last; i++) {
    const value = series.at(i);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(low <= high) || !Number.isFinite(high - low)) return [-1, 1];
  if (low > 0 && low < high - low) low = 0;
  if (high < 0 && -high < high - low) high = 0;
  return low === high ? [low - 1, high + 1] : [low, high];
}

const heightOf = (value, [low, high], box) =>
  box.y + box.height - 3 - ((clamp(value, low, high) - low) / (high - low)) * (box.height - 6);

/** A lane's curve: the extremes of every pixel where samples are dense, a line where they are not. */
function drawCurve(context, series, [from, to], box, colour) {
  const perPixel = (to - from) / box.width,
    x = (place) => box.x + (place + 0.5 - from) / perPixel;
  const y = (value) => heightOf(value, series.limits, box);
  const first = clamp(Math.floor((from - series.first) / series.apart), 0, series.count);
  const last = clamp(Math.ceil((to - series.first) / series.apart) + 1, 0, series.count);
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = 1.4;
  context.lineJoin = "round";
  context.beginPath();
  if ((last - first) / box.width > 2) {
    for (let pixel = 0; pixel < box.width; pixel++)
      drawExtremes(context, series, from + pixel * perPixel, perPixel, box.x + pixel, y);
  } else {
    for (let i = first; i < last; i++) context.lineTo(x(series.first + i * series.apart), y(series.at(i)));
  }
  context.stroke();
  if ((last - first) * 9 > box.width) return;
  for (let i = first; i < last; i++) {
    context.beginPath();
    context.arc(x(series.first + i * series.apart), y(series.at(i)), 2, 0, 7);
    context.fill();
  }
}

function drawExtremes(context, series, place, length, x, y) {
  const from = Math.max(Math.floor((place - series.first) / series.apart), 0);
  const to = Math.min(Math.ceil((place + length - series.first) / series.apart) + 1, series.count);
  if (to <= from) return;
  let low = Infinity,
    high = -Infinity;
  for (let i = from; i < to; i++) {
    const value = series.at(i);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  context.moveTo(x + 0.5, y(low) + 0.5);
  context.lineTo(x + 0.5, y(high) - 0.5);
}
