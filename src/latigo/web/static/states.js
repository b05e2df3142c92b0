// What a cell can be, and the words for how things are. Colours are in the style sheet; codes are the server's.

/** @typedef {{code: number, key: string, word: string, meaning: string, letter: string, mark: string}} State */

/** @type {State[]} */
export const STATES = [
  ["none", "not desired", "before the model's since, or not due yet", " ", ""],
  ["covered", "covered", "predictions are in every required sink", "c", ""],
  ["short", "short", "some rows missing", "s", ""],
  ["provisional", "provisional", "may change with later readings", "p", "dot"],
  ["absent", "absent", "nothing to predict from", "a", ""],
  ["flight", "in flight", "published or claimed", "f", ""],
  ["missing", "missing", "due, and to be done", "M", ""],
  ["parked", "parked", "dead-lettered, needs an action", "X", "diagonal"],
  ["expired", "expired", "too old, will not be predicted", "e", "horizontal"],
  ["paused", "paused", "a person paused it", "=", "cross"],
].map(([key, word, meaning, letter, mark], code) => ({ code, key, word, meaning, letter, mark }));

/** States in which something wins when several meet, the strongest first. */
export const PRECEDENCE = ["parked", "missing", "flight", "absent", "provisional", "short", "expired", "paused", "covered", "none"]
  .map((key) => STATES.findIndex((state) => state.key === key));

/** @type {{[verdict: string]: [string, string]}} */
const VERDICTS = {
  healthy: ["●", "Healthy"],
  recovering: ["◐", "Recovering"],
  needs_attention: ["▲", "Needs attention"],
  unknown: ["?", "Unknown"],
};

/** Return the sign and the words of a verdict. @param {string} verdict @returns {[string, string, string]} */
export function verdictOf(verdict) {
  const key = String(verdict || "unknown").replaceAll(" ", "_");
  const known = VERDICTS[key] ? key : "unknown";
  return [...VERDICTS[known], known.replaceAll("_", "-")];
}

/** Return whether the browser replaces colours by a few of its own. */
export function forced() {
  return matchMedia("(forced-colors: active)").matches;
}

/** @type {{key: string, values: {[name: string]: string}} | null} */
let resolved = null;

/**
 * Return the colours of the style sheet for canvases, resolved for the scheme that holds now.
 * @returns {{[name: string]: string}}
 */
export function colours() {
  const key = `${document.documentElement.dataset.theme || "auto"} ${matchMedia("(prefers-color-scheme: dark)").matches} ${forced()}`;
  if (resolved && resolved.key === key) return resolved.values;
  const probe = document.createElement("span");
  probe.style.setProperty("forced-color-adjust", "none"); // canvases keep their colours, and have letters then
  document.body.append(probe);
  const read = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  /** @type {{[name: string]: string}} */
  const values = {};
  for (const state of STATES) values[state.key] = read(`state-${state.key}`);
  for (const name of ["text", "quiet", "line", "panel", "accent", "input", "output", "alarm"]) values[name] = read(name);
  probe.remove();
  resolved = { key, values };
  return values;
}

/** Return a colour as [red, green, blue]. @param {string} colour */
export function channels(colour) {
  const found = /** @type {string[]} */ (colour.match(/[\d.]+/g) || ["0", "0", "0"]);
  return found.slice(0, 3).map(Number);
}
