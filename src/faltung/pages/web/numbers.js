// Numbers: out of the page's JSON, through activations, into text.

const TYPES = { u1: Uint8Array, i2: Int16Array, f4: Float32Array, f8: Float64Array };

/** The array that Python encoded: shape and values, the values exactly those of Python. */
function decode(told) {
  if (told === null) return null;
  const bytes = Uint8Array.from(atob(told.data), (letter) => letter.charCodeAt(0));
  const stored = new TYPES[told.type](bytes.buffer);
  const values = told.isDouble ? new Float64Array(stored.length) : new Float32Array(stored.length);
  for (let at = 0; at < stored.length; at++) values[at] = stored[at] / told.divisor;
  return { shape: told.shape, values };
}

/** The error function: a series of positive terms for small x, a continued fraction of erfc beyond. */
function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2.5) {
    let term = x,
      sum = x;
    for (let n = 1; n < 100 && term > sum * 1e-17; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 };
const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const relu6 = (x) => Math.min(Math.max(x, 0), 6);
const elu = (x, alpha) => (x > 0 ? x : alpha * Math.expm1(x));

/** Name -> function of the sum and the parameter; the formulas are those of the library's reference. */
const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  relu6,
  leaky_relu: (x, slope) => (x > 0 ? x : slope * x),
  elu,
  selu: (x) => SELU.scale * elu(x, SELU.alpha),
  gelu: (x) => 0.5 * x * erfc(-x / Math.SQRT2),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x * sigmoid(x),
  sigmoid,
  tanh: (x) => Math.tanh(x),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  hard_sigmoid: (x) => relu6(x + 3) / 6,
  hard_silu: (x) => (x * relu6(x + 3)) / 6,
};

const activate = (x, name, parameter) => (name ? ACTIVATIONS[name](x, parameter ?? 0) : x);

/** A number in at most `digits` significant digits, with a true minus sign. */
function format(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  let text = String(Number(value.toPrecision(digits)));
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    text = Number.isInteger(value) && size < 1e7 ? String(value) : shortPower(value, digits);
  }
  return text.replaceAll("-", "−");
}

function shortPower(value, digits) {
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  return `${Number(mantissa)}e${Number(power)}`;
}

const grouped = (count) => count.toString().replace(/\B(?=(\d{3})+$)/g, ",");
const shapeText = (sizes) => (sizes.length === 1 ? `(${sizes[0]},)` : `(${sizes.join(", ")})`);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The largest magnitude of some finite values; 1 where there is none. */
function largest(values, from = 0, to = values.length) {
  let most = 0;
  for (let at = from; at < to; at++) {
    const size = Math.abs(values[at]);
    if (size > most && size < Infinity) most = size;
  }
  return most || 1;
}
