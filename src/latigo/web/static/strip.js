// Small canvases: strips of states or shares over time, and sparklines.

import { h } from "./dom.js";
import { channels, colours, forced, STATES } from "./states.js";

/**
 * Return a canvas that draws itself whenever it has a size; `label` says the same in words.
 * @param {string} name @param {string} label
 * @param {(context: CanvasRenderingContext2D, width: number, height: number) => void} draw
 * @param {{[name: string]: any}} [properties]
 */
export function canvas(name, label, draw, properties = {}) {
  const node = h("canvas", { class: name, role: "img", "aria-label": label, title: label, ...properties });
  node.paint = draw;
  node.repaint = () => paint(node);
  requestAnimationFrame(() => paint(node));
  return node;
}

/** @param {any} node */
export function paint(node) {
  const { clientWidth: width, clientHeight: height } = node;
  if (!width || !height) return;
  const scale = devicePixelRatio || 1;
  node.width = Math.round(width * scale);
  node.height = Math.round(height * scale);
  const context = node.getContext("2d");
  context.scale(scale, scale);
  context.clearRect(0, 0, width, height);
  node.paint(context, width, height);
}

addEventListener("resize", () => { for (const node of document.querySelectorAll("canvas")) if (/** @type {any} */ (node).paint) paint(node); });

/** Return the colour between two by a share. @param {string} from @param {string} to @param {number} share */
export function mixed(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, at) => Math.round(value + (b[at] - value) * share)).join(",")})`;
}

/** Return how strongly a share of missing cells is coloured: in six steps, by its root, so that little is seen and not too much. @param {number} share */
export function strength(share) {
  return share <= 0 ? 0 : Math.ceil(Math.sqrt(Math.min(1, share)) * 6) / 6;
}

/** Draw shares of what is not covered, one a column; null where nothing was desired. @param {(number | null)[]} shares @param {string} label */
export function shareStrip(shares, label) {
  return canvas("strip", label, (context, width, height) => {
    const colour = colours();
    const each = width / Math.max(1, shares.length);
    shares.forEach((share, at) => {
      context.fillStyle = share === null ? colour.none : mixed(colour.covered, colour.missing, strength(share));
      context.fillRect(at * each, 0, each + 0.5, height);
    });
  });
}

/** Draw a line of numbers up to a height that lines next to it share; null is a gap. @param {(number | null)[]} values @param {string} label @param {number} high */
export function sparkline(values, label, high) {
  return canvas("spark", label, (context, width, height) => {
    context.strokeStyle = colours().accent;
    context.lineWidth = 1.5;
    context.beginPath();
    let pen = false;
    values.forEach((value, at) => {
      if (value === null || value === undefined) { pen = false; return; }
      const x = (at / (values.length - 1)) * width;
      const y = height - 2 - (value / (high || 1)) * (height - 4);
      if (pen) context.lineTo(x, y);
      else context.moveTo(x, y);
      pen = true;
    });
    context.stroke();
  });
}

/** @type {Map<string, CanvasPattern>} */
const patterns = new Map();

/** Return the pattern of a state, which tells it from others without colour; null for none. @param {CanvasRenderingContext2D} context @param {string} mark @param {string} colour */
function patternOf(context, mark, colour) {
  if (!mark) return null;
  const key = `${mark} ${colour}`;
  const known = patterns.get(key);
  if (known) return known;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.2;
  pen.beginPath();
  if (mark === "dot") pen.rect(2, 2, 1.6, 1.6);
  if (mark === "diagonal" || mark === "cross") { pen.moveTo(-1, 7); pen.lineTo(7, -1); }
  if (mark === "cross") { pen.moveTo(-1, -1); pen.lineTo(7, 7); }
  if (mark === "horizontal") { pen.moveTo(0, 3); pen.lineTo(6, 3); }
  if (mark === "dot") pen.fill();
  else pen.stroke();
  const made = /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
  patterns.set(key, made);
  return made;
}

const LETTER_WIDTH = 8, LETTER_HEIGHT = 9;

/**
 * Draw what tells a state from others without its colour: its pattern, and its letter where the browser forces colours.
 * @param {CanvasRenderingContext2D} context @param {import("./states.js").State} state @param {{[name: string]: string}} colour
 * @param {number} x @param {number} y @param {number} width @param {number} height
 */
export function drawMark(context, state, colour, x, y, width, height) {
  const pattern = patternOf(context, state.mark, markColour(state.key, colour));
  if (pattern) {
    context.fillStyle = pattern;
    context.fillRect(x, y, width, height);
  }
  if (!forced() || width < LETTER_WIDTH || height < LETTER_HEIGHT || state.letter === " ") return;
  const font = `${Math.min(12, height - 1)}px monospace`;
  context.font = font;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = colour.panel;
  context.fillRect(x, y, LETTER_WIDTH, height);
  context.fillStyle = colour.text;
  context.fillText(state.letter, x + 1, y + height / 2);
}

/** Return the colour of the pattern of a state. @param {string} key @param {{[name: string]: string}} colour */
function markColour(key, colour) {
  return key === "parked" || key === "provisional" ? colour.panel : colour.quiet;
}

/** Return what the colours mean where one stands for many models: the share that is missing. */
export function scale() {
  return h("p", { class: "legend", title: "Where a pixel stands for many models, it shows the share of them that lacks predictions, and parked from a half on" },
    h("b", {}, "share missing 0 ", canvas("swatch scale", "", (context, width, height) => {
      const colour = colours();
      for (let step = 0; step <= 6; step += 1) {
        context.fillStyle = mixed(colour.covered, colour.missing, step / 6);
        context.fillRect((step * width) / 7, 0, width / 7 + 1, height);
      }
    }, { role: "presentation" }), "100 %"));
}

/** Return the legend of the states that are given. @param {string[]} [keys] */
export function legend(keys = STATES.map(({ key }) => key)) {
  return h("p", { class: "legend" }, STATES.filter(({ key }) => keys.includes(key)).map((state) =>
    h("b", { title: state.meaning }, canvas("swatch", "", (context, width, height) => {
      const colour = colours();
      context.fillStyle = colour[state.key];
      context.fillRect(0, 0, width, height);
      drawMark(context, state, colour, 0, 0, width, height);
    }, { role: "presentation" }), state.word)));
}
