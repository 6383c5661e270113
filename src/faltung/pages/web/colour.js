// Colours of values: orange above zero, blue below (Okabe and Ito's, told apart by every kind of colour vision), the
// surface of the page at zero. Data that are never negative run from the surface to ink: an image looks like an image.

const POLES = {
  light: { low: [0, 98, 168], high: [213, 94, 0], zero: [255, 255, 255], ink: [26, 32, 44], paper: [255, 255, 255] },
  dark: { low: [86, 180, 233], high: [240, 138, 48], zero: [30, 36, 46], ink: [236, 239, 244], paper: [21, 25, 33] },
};

let isPrinting = false;
addEventListener("beforeprint", () => (isPrinting = true));
addEventListener("afterprint", () => (isPrinting = false));

/** The theme that is shown; paper is always light. */
function themeNow() {
  if (isPrinting || matchMedia("print").matches) return "light";
  return (
    document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")
  );
}

const mix = (from, to, share) => from.map((part, at) => Math.round(part + (to[at] - part) * share));
const css = (rgb) => `rgb(${rgb[0]},${rgb[1]},${rgb[2]})`;
const brightness = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b) / 255;

/** How strongly a value is coloured, 0 to 1: a root, so that small values are still seen. */
const strength = (share) => Math.sqrt(clamp(share, 0, 1)) * 0.82;

/** A function from value to [r, g, b]; `isGrey` for data that are never negative and have a lot of cells. */
function scale(most, isGrey = false) {
  const poles = POLES[themeNow()];
  if (isGrey) return (value) => mix([12, 14, 18], [250, 250, 250], clamp(value / most, 0, 1));
  return (value) => {
    if (!Number.isFinite(value)) return mix(poles.zero, poles.ink, 0.5);
    return mix(poles.zero, value < 0 ? poles.low : poles.high, strength(Math.abs(value) / most));
  };
}

/** The ink that is readable on a colour. */
const inkOn = (rgb) => (brightness(rgb) > 0.55 ? "#141a24" : "#ffffff");

const variables = new Map();

/** A colour of the style sheet; each is looked up once for a theme. */
function variable(name) {
  const key = [themeNow(), isPrinting, name].join();
  if (!variables.has(key)) {
    variables.set(key, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return variables.get(key);
}
