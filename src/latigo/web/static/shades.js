// The pixels of the heat map: a cell each, or the share of many models.

import { h } from "./dom.js";
import { channels, colours, STATES } from "./states.js";
import { mixed, strength } from "./strip.js";

const COVERED = 1, MISSING = 6, PARKED = 7, PAUSED = 9;
/** What stands in place of a cell that is not there yet. */
export const UNKNOWN = 255;

/**
 * Return a canvas with one pixel a cell.
 * @param {Uint8Array} cells @param {number} columns @param {number} first @param {number} rows
 */
export function exact(cells, columns, first, rows) {
  const [canvas, image, pixels] = blank(columns, rows), palette = paletteOf(), from = first * columns;
  for (let at = 0; at < pixels.length; at += 1) pixels[at] = palette[cells[from + at]];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * Return a canvas in which each pixel is the share of several rows.
 * @param {Uint8Array} cells @param {number} columns @param {number} first @param {number} rows @param {number} height
 */
export function shares(cells, columns, first, rows, height) {
  const [canvas, image, pixels] = blank(columns, height), toned = toner(), states = STATES.length;
  const counts = new Uint32Array(columns * states);
  let row = 0;
  for (let y = 0; y < height; y += 1) {
    counts.fill(0);
    const end = Math.max(row + 1, Math.round(((y + 1) / height) * rows));
    let at = (first + row) * columns;
    for (; row < Math.min(end, rows); row += 1) for (let column = 0; column < columns; column += 1) counts[column * states + cells[at++]] += 1;
    for (let column = 0; column < columns; column += 1) pixels[y * columns + column] = toned(counts.subarray(column * states, (column + 1) * states));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * Return a canvas of one row in which each pixel is the share of a group of models.
 * @param {DataView} view  16-bit numbers of models by group, column and state @param {number} columns @param {number} group
 */
export function sums(view, columns, group) {
  const [canvas, image, pixels] = blank(columns, 1), toned = toner(), states = STATES.length;
  for (let column = 0; column < columns; column += 1) {
    pixels[column] = toned(STATES.map(({ code }) => view.getUint16(((group * columns + column) * states + code) * 2, true)));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * Return what colours the numbers of models by state: from covered to missing by the root of the share in six steps,
 * parked from a half on, and what else most of them are where nothing is missing.
 * @returns {(counts: ArrayLike<number>) => number}
 */
function toner() {
  const palette = paletteOf(), steps = stepsOf(), states = STATES.length;
  return (counts) => {
    let desired = 0, most = COVERED;
    for (let code = 1; code < states; code += 1) {
      if (code === PAUSED) continue;
      desired += counts[code];
      if (code !== MISSING && counts[code] > counts[most]) most = code;
    }
    if (!desired) return palette[counts[PAUSED] ? PAUSED : 0];
    if (counts[PARKED] * 2 >= desired) return palette[PARKED];
    return counts[MISSING] ? steps[Math.round(strength(counts[MISSING] / desired) * 6)] : palette[most];
  };
}

/** Return an empty canvas, and its image with its pixels. @param {number} width @param {number} height @returns {[any, ImageData, Uint32Array]} */
function blank(width, height) {
  const canvas = h("canvas", { width: Math.max(1, width), height: Math.max(1, height) });
  const image = canvas.getContext("2d").createImageData(canvas.width, canvas.height);
  return [canvas, image, new Uint32Array(image.data.buffer)];
}

/** @param {string} colour */
function pixel(colour) {
  const [red, green, blue] = channels(colour);
  return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
}

function paletteOf() {
  const colour = colours();
  return Uint32Array.from({ length: 256 }, (_, code) => pixel(code === UNKNOWN ? colour.line : STATES[code] ? colour[STATES[code].key] : colour.none));
}

function stepsOf() {
  const colour = colours();
  return Array.from({ length: 7 }, (_, step) => pixel(mixed(colour.covered, colour.missing, step / 6)));
}
