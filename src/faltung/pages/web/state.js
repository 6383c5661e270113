// What is being looked at, and who must be redrawn when it changes.

const TOLD = JSON.parse(document.getElementById("told").textContent);
const MOST_ROWS = 6;

const state = {
  step: 0, // which operation: a separable convolution has two
  conv: null,
  filter: 0,
  channel: 0,
  position: [0, 0, 0], // of the current output: depth, height, width
  slice: 0, // tap of depth that is shown, for three axes
  fed: null, // an input that was clicked: its index on each axis
  range: null, // of a long signal: the places that are shown, [from, to)
  allTerms: false,
  isPlaying: false,
  speed: 4,
};

const views = [];
let isAsked = false;

/** Change what is looked at and have everything drawn with the next frame. */
function change(changes) {
  Object.assign(state, changes);
  keepTogether("channel" in changes && !("filter" in changes));
  ask();
}

/** A filter sees the channels of its group only: the one follows the other into its group. */
function keepTogether(isChannelLeading) {
  const { conv } = state,
    each = conv.filters / conv.geometry.groups,
    group = Math.floor(state.channel / conv.inputs);
  if (group === groupOf(conv, state.filter)) return;
  if (isChannelLeading) state.filter = group * each;
  else state.channel = groupOf(conv, state.filter) * conv.inputs;
}

function ask() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(draw);
}

function draw() {
  isAsked = false;
  if (!byId("main").clientWidth) return ask(); // not laid out yet
  for (const view of views) view();
}

const told = () => TOLD.steps[state.step];
const numOutputs = (conv) => conv.outSize.reduce((a, b) => a * b, 1);
const indexOf = (conv, [d, h, w]) => (d * conv.outSize[1] + h) * conv.outSize[2] + w;

function positionOf(conv, index) {
  const [, h, w] = conv.outSize;
  return [Math.floor(index / (h * w)), Math.floor(index / w) % h, index % w];
}

/** Open one of the operations as it came. */
function open(step) {
  const operation = TOLD.steps[step];
  operation.arrays ??= { x: decode(operation.x), kernel: decode(operation.kernel), bias: decode(operation.bias) };
  state.step = step;
  reset();
}

function reset() {
  const { names, rank, size, channels, filters, groups, activation, parameter, isTransposed } = told();
  const { kernelSize, stride, dilation, padding, word, mode, rest } = told();
  const own = { kernelSize: [...kernelSize], stride: [...stride], dilation: [...dilation], word, mode };
  own.padding = padding.map((pair) => [...pair]);
  own.rest = rest ? [...rest] : null;
  build({ names, rank, size, channels, filters, groups, activation, parameter, isTransposed, ...own });
}

/** Prepare the convolution of a geometry; the position stays where that is possible. */
function build(geometry) {
  const { x, kernel, bias } = told().arrays,
    own = told().kernelSize;
  if (["same", "same_lower", "causal", "valid"].includes(geometry.word) && !geometry.isTransposed) {
    geometry.padding = geometry.size.map((size, axis) => {
      const window = windowSize(geometry.kernelSize[axis], geometry.dilation[axis]);
      return padsOf(geometry.word, size, window, geometry.stride[axis]);
    });
  }
  if (geometry.isTransposed) geometry.rest = geometry.rest.map((rest, at) => Math.min(rest, geometry.stride[at] - 1));
  const isOwn = geometry.kernelSize.every((taps, axis) => taps === own[axis]);
  const rows = kernel.shape[0] * kernel.shape[1];
  const taps = isOwn ? kernel.values : resampled(kernel.values, rows, own, geometry.kernelSize);
  forgetWidths();
  const conv = prepare(geometry, x.values, taps, bias && bias.values);
  conv.isResampled = !isOwn;
  conv.outputs = new Map();
  conv.most = { x: (told().most ??= largest(x.values)), kernel: largest(taps), y: 1 };
  conv.isGrey = geometry.rank > 1 && x.values.length > 2000 && (told().isPositive ??= x.values.every((v) => v >= 0));
  const position = conv.problem ? [0, 0, 0] : state.position.map((at, axis) => clamp(at, 0, conv.outSize[axis] - 1));
  change({
    conv,
    position,
    fed: null,
    filter: clamp(state.filter, 0, conv.filters - 1),
    channel: clamp(state.channel, 0, geometry.channels - 1),
    slice: clamp(state.slice, 0, conv.taps[0] - 1),
  });
}

/** The outputs of a filter, as far as they are computed; what is missing is computed a little in every frame. */
function outputsOf(filter) {
  const { conv } = state;
  if (!conv.outputs.has(filter)) conv.outputs.set(filter, { y: new Float64Array(numOutputs(conv)), rows: 0 });
  const job = conv.outputs.get(filter);
  const total = conv.outSize[0] * conv.outSize[1];
  if (job.rows < total && !job.isRunning) {
    job.isRunning = true;
    run(conv, filter, job, total);
  }
  return job;
}

function run(conv, filter, job, total) {
  const end = performance.now() + 8,
    from = job.rows;
  do computeRows(conv, filter, job.y, job.rows, ++job.rows);
  while (job.rows < total && performance.now() < end);
  const { out } = conv.lines[2];
  conv.most.y = Math.max(job.most ?? 0, largest(job.y, from * out, job.rows * out));
  job.most = conv.most.y;
  if (job.rows < total)
    setTimeout(() => {
      run(conv, filter, job, total);
      ask();
    }, 0);
  else job.isRunning = false;
}

/** Where the window of the current output begins and ends on each axis, in places. */
function windowNow() {
  const { conv, position } = state;
  return conv.lines.map((line, axis) => ({
    from: position[axis] * line.step,
    to: position[axis] * line.step + line.span,
  }));
}
