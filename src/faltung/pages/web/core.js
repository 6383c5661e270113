// The convolution. Everything that differs between stride, padding, dilation and transposition is in the lines of the
// axes; the sum below knows nothing of it.
//
// A line lists what the window meets on one axis: line.map[j] is the index of the input at place j, PAD where padding
// is, GAP where a transposed convolution has put zeros between two inputs. Output o and tap k meet at place
// o*line.step + k*line.gap; a transposed convolution slides with step 1 over the spread input, its taps in reverse.

const PAD = -1,
  GAP = -2;
const SOURCES = {
  zeros: (i, size) => (i >= 0 && i < size ? i : PAD),
  reflect: (i, size) => size - 1 - Math.abs(size - 1 - Math.abs(i)),
  replicate: (i, size) => clamp(i, 0, size - 1),
  circular: (i, size) => ((i % size) + size) % size,
};

const windowSize = (taps, dilation) => dilation * (taps - 1) + 1;

/** The padding that a word means on one axis, as (low, high). */
function padsOf(word, size, window, stride) {
  if (word === "causal") return [window - 1, 0];
  if (word !== "same" && word !== "same_lower") return [0, 0];
  const total = Math.max((Math.ceil(size / stride) - 1) * stride + window - size, 0);
  const less = Math.floor(total / 2);
  return word === "same" ? [less, total - less] : [total - less, less];
}

function outputSize(geometry, axis) {
  const { size, stride, padding, isTransposed, rest } = geometry;
  const window = windowSize(geometry.kernelSize[axis], geometry.dilation[axis]);
  const [low, high] = padding[axis];
  if (isTransposed) return (size[axis] - 1) * stride[axis] + window - low - high + rest[axis];
  return Math.floor((size[axis] + low + high - window) / stride[axis]) + 1;
}

/** What is wrong with a geometry, in a sentence with the numbers; "" if nothing is. */
function trouble(geometry) {
  for (let axis = 0; axis < geometry.rank; axis++) {
    const size = geometry.size[axis],
      [low, high] = geometry.padding[axis],
      name = geometry.names[axis];
    const window = windowSize(geometry.kernelSize[axis], geometry.dilation[axis]),
      padded = size + low + high;
    if (geometry.isTransposed) {
      if (outputSize(geometry, axis) < 1) return `${name}: ${low} + ${high} cut away the whole result.`;
      continue;
    }
    const most = { reflect: size - 1, circular: size }[geometry.mode] ?? Infinity;
    if (Math.max(low, high) > most) {
      return `${name}: padding “${geometry.mode}” takes at most ${most} of ${size} inputs; got ${low} and ${high}.`;
    }
    if (window > padded) {
      const parts = low || high ? ` (${low} + ${size} + ${high})` : "";
      return (
        `${name}: the window spans ${window}, the padded input only ${padded}${parts}: no output. ` +
        `Pad more, or use fewer taps or less dilation.`
      );
    }
  }
  return "";
}

function lineOf(geometry, axis) {
  const { isTransposed, mode } = geometry;
  const size = geometry.size[axis],
    stride = geometry.stride[axis],
    gap = geometry.dilation[axis];
  const taps = geometry.kernelSize[axis],
    [low, high] = geometry.padding[axis],
    out = outputSize(geometry, axis);
  const span = windowSize(taps, gap) - 1,
    length = isTransposed ? out + span : size + low + high;
  const map = new Int32Array(Math.max(length, 0)),
    origin = isTransposed ? span - low : low;
  for (let place = 0; place < length; place++) {
    const i = place - origin;
    if (!isTransposed) map[place] = SOURCES[mode](i, size);
    else if (i < 0 || i > (size - 1) * stride) map[place] = PAD;
    else map[place] = i % stride ? GAP : i / stride;
  }
  return { map, step: isTransposed ? 1 : stride, gap, taps, out, span, origin, inputs: size, isReversed: isTransposed };
}

/** Add the axes that make every rank three: lines that only pass through. */
const THROUGH = {
  map: Int32Array.of(0),
  step: 1,
  gap: 1,
  taps: 1,
  out: 1,
  span: 0,
  origin: 0,
  inputs: 1,
  isReversed: false,
};

/** A convolution ready to be computed: its arrays (channels first), its lines, its problem if it has one. */
function prepare(geometry, x, kernel, bias) {
  const problem = trouble(geometry);
  const own = problem ? [] : Array.from({ length: geometry.rank }, (_, axis) => lineOf(geometry, axis));
  const lines = [...Array(3 - geometry.rank).fill(THROUGH), ...own];
  const pad3 = (sizes) => [...Array(3 - geometry.rank).fill(1), ...sizes];
  const inputs = geometry.channels / geometry.groups,
    filters = geometry.filters;
  return {
    geometry,
    problem,
    lines,
    x,
    kernel,
    bias,
    inputs,
    filters,
    size: pad3(geometry.size),
    taps: pad3(geometry.kernelSize),
    outSize: lines.map((line) => line.out),
  };
}

const groupOf = (conv, filter) => Math.floor(filter / (conv.filters / conv.geometry.groups));
const tapOf = (line, slot) => (line.isReversed ? line.taps - 1 - slot : slot);
const inputAt = (conv, channel, [d, h, w]) =>
  conv.x[((channel * conv.size[0] + d) * conv.size[1] + h) * conv.size[2] + w];
const weightAt = (conv, filter, input, [d, h, w]) =>
  conv.kernel[(((filter * conv.inputs + input) * conv.taps[0] + d) * conv.taps[1] + h) * conv.taps[2] + w];

/** What stands at a place of the spread and padded input: an index on each axis, and PAD or GAP without an input. */
function meet(conv, places) {
  const at = places.map((place, axis) => conv.lines[axis].map[place]);
  return { at, kind: at.includes(GAP) ? GAP : at.includes(PAD) ? PAD : 0 };
}

/** Every product of one output, input by input and tap by tap. */
function termsOf(conv, filter, position) {
  const terms = [],
    first = groupOf(conv, filter) * conv.inputs,
    [d, h, w] = conv.lines;
  for (let input = 0; input < conv.inputs; input++) {
    for (let kd = 0; kd < d.taps; kd++)
      for (let kh = 0; kh < h.taps; kh++)
        for (let kw = 0; kw < w.taps; kw++) {
          const slots = [kd, kh, kw];
          const places = conv.lines.map((line, axis) => position[axis] * line.step + slots[axis] * line.gap);
          const { at, kind } = meet(conv, places),
            tap = slots.map((slot, axis) => tapOf(conv.lines[axis], slot));
          const value = kind ? 0 : inputAt(conv, first + input, at),
            weight = weightAt(conv, filter, input, tap);
          terms.push({ channel: first + input, input, tap, at, places, kind, value, weight, product: value * weight });
        }
  }
  return terms;
}

/** One output: the sum of its terms, with the bias, and after the activation. */
function outputOf(conv, filter, terms) {
  let sum = 0;
  for (const term of terms) sum += term.product;
  const total = sum + (conv.bias ? conv.bias[filter] : 0);
  const { activation, parameter } = conv.geometry;
  return { sum, total, value: activate(total, activation, parameter) };
}

/** One output's number, without the terms. */
function valueAt(conv, filter, position) {
  const [d, h, w] = conv.lines,
    [, sizeH, sizeW] = conv.size,
    count = d.taps * h.taps * w.taps;
  const first = groupOf(conv, filter) * conv.inputs;
  let sum = 0;
  for (let input = 0; input < conv.inputs; input++)
    for (let kd = 0; kd < d.taps; kd++)
      for (let kh = 0; kh < h.taps; kh++) {
        const id = d.map[position[0] * d.step + kd * d.gap],
          ih = h.map[position[1] * h.step + kh * h.gap];
        if (id < 0 || ih < 0) continue;
        const base = (((first + input) * conv.size[0] + id) * sizeH + ih) * sizeW;
        const weights = (filter * conv.inputs + input) * count + (tapOf(d, kd) * h.taps + tapOf(h, kh)) * w.taps;
        for (let kw = 0; kw < w.taps; kw++) {
          const iw = w.map[position[2] * w.step + kw * w.gap];
          if (iw >= 0) sum += conv.x[base + iw] * conv.kernel[weights + tapOf(w, kw)];
        }
      }
  return activate(sum + (conv.bias ? conv.bias[filter] : 0), conv.geometry.activation, conv.geometry.parameter);
}

/** Compute one filter's outputs of rows [from, to), rows counted over depth and height; into `y`. */
function computeRows(conv, filter, y, from, to) {
  const [d, h, w] = conv.lines,
    [, sizeH, sizeW] = conv.size,
    plane = sizeH * sizeW,
    volume = conv.size[0] * plane;
  const first = groupOf(conv, filter) * conv.inputs,
    start = conv.bias ? conv.bias[filter] : 0;
  const { activation, parameter } = conv.geometry,
    count = d.taps * h.taps * w.taps;
  for (let row = from; row < to; row++) {
    const od = Math.floor(row / h.out),
      oh = row % h.out;
    const sums = y.subarray(row * w.out, (row + 1) * w.out).fill(0);
    for (let input = 0; input < conv.inputs; input++)
      for (let kd = 0; kd < d.taps; kd++) {
        const id = d.map[od * d.step + kd * d.gap];
        for (let kh = 0; kh < h.taps && id >= 0; kh++) {
          const ih = h.map[oh * h.step + kh * h.gap];
          if (ih < 0) continue;
          const base = (first + input) * volume + id * plane + ih * sizeW;
          const weights = (filter * conv.inputs + input) * count + (tapOf(d, kd) * h.taps + tapOf(h, kh)) * w.taps;
          for (let kw = 0; kw < w.taps; kw++)
            addTap(sums, conv.x, base, w, kw * w.gap, conv.kernel[weights + tapOf(w, kw)]);
        }
      }
    for (let ow = 0; ow < w.out; ow++) sums[ow] = activate(sums[ow] + start, activation, parameter);
  }
}

function addTap(sums, x, base, line, place, weight) {
  const { map, step } = line;
  for (let ow = 0; ow < sums.length; ow++, place += step) {
    const iw = map[place];
    if (iw >= 0) sums[ow] += x[base + iw] * weight;
  }
}

/** The outputs of one axis that an input feeds: by itself, and where padding repeats it. */
function fedBy(line, index) {
  const outs = new Set();
  line.map.forEach((source, place) => {
    if (source !== index) return;
    for (let slot = 0; slot < line.taps; slot++) {
      const o = (place - slot * line.gap) / line.step;
      if (Number.isInteger(o) && o >= 0 && o < line.out) outs.add(o);
    }
  });
  return [...outs].sort((a, b) => a - b);
}

/** The output whose window has its middle nearest to a place. */
function outputNear(line, place) {
  return clamp(Math.round((place - line.span / 2) / line.step), 0, Math.max(line.out - 1, 0));
}

/** Taps resampled to another number, linearly; their integral stays, so that an average stays an average. */
function resampled(kernel, rows, from, to) {
  let values = kernel,
    done = [];
  for (let axis = 0; axis < from.length; axis++) {
    const after = from.slice(axis + 1).reduce((a, b) => a * b, 1),
      before = rows * done.reduce((a, b) => a * b, 1);
    const made = new Float64Array(before * to[axis] * after);
    for (let row = 0; row < before; row++)
      for (let k = 0; k < to[axis]; k++)
        for (let rest = 0; rest < after; rest++) {
          const place = to[axis] > 1 ? (k * (from[axis] - 1)) / (to[axis] - 1) : (from[axis] - 1) / 2;
          const low = Math.floor(place),
            high = Math.min(low + 1, from[axis] - 1),
            share = place - low;
          const at = (tap) => values[(row * from[axis] + tap) * after + rest];
          made[(row * to[axis] + k) * after + rest] =
            (at(low) * (1 - share) + at(high) * share) * (from[axis] / to[axis]);
        }
    values = made;
    done = [...done, to[axis]];
  }
  return values;
}
