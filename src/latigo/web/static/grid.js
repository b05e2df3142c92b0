// The heat map: one canvas over one octet a cell; rows are models, columns time. Only what is in sight is drawn.

import { counted, figure, h, visible } from "./dom.js";
import { exact, shares, sums, UNKNOWN } from "./shades.js";
import { colours, forced, PRECEDENCE, STATES } from "./states.js";
import { drawMark } from "./strip.js";
import { duration, ticks } from "./time.js";

const AXIS = 34, BAND = 22, LEAST_COLUMN = 2, MOST_ROW = 18, NAMES_FROM = 11;
/** Rows of a tile, which is painted as a whole when any of it comes into sight; and how many cells the tiles that are kept have. */
const TILE = 128, MOST_TILED = 4_000_000;

/**
 * @typedef {{version: any, from: number, to: number, step: number, columns: number, rows: number, counts?: DataView | null,
 *   groups: {project: string, first: number, rows: number}[], ids: any[], names: string[], marks: {column: number, share: number, cause: string}[]}} Shape
 *   `counts`: models by group, column and state, where there are too many models to have all cells at once
 * @typedef {{row: number, column: number}} Cell
 */

export class Grid {
  /**
   * @param {{onCell: (cell: Cell | null, pinned: boolean) => void, onOpen: (cell: Cell) => void, onBlock: (text: string, block: {from: Cell, to: Cell} | null) => void,
   *   onNeed: (first: number, last: number) => void}} handlers  `onNeed`: cells of these rows come into sight and are not there
   */
  constructor(handlers) {
    this.handlers = handlers;
    this.canvas = h("canvas", {});
    this.space = h("div", { class: "space" });
    this.node = h("div", {
      class: "grid", tabindex: "0", role: "application", "aria-describedby": "detail",
      "aria-label": "Heat map of models and time. Arrow keys move, Enter opens the model. The table view says the same in words.",
    }, this.space, this.canvas);
    this.shape = /** @type {Shape | null} */ (null);
    this.cells = /** @type {Uint8Array} */ (new Uint8Array());
    this.label = 0; // width of the names
    this.column = 1; // width of a column
    this.zoom = "fit";
    this.collapsed = new Set();
    this.cell = /** @type {Cell | null} */ (null);
    this.pinned = false;
    this.block = /** @type {{from: Cell, to: Cell} | null} */ (null);
    this.images = new Map();
    this.bands = new Map();
    /** @type {Map<number, HTMLCanvasElement>} */
    this.tiles = new Map();
    this.painted = 0; // cells that were made to pixels so far: the work of scrolling, which a test measures
    this.waiting = 0;
    this.node.addEventListener("scroll", () => this.later());
    this.canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.moved(event));
    this.canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => this.pressed(event));
    this.canvas.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => this.released(event));
    this.canvas.addEventListener("pointerleave", () => { if (!this.pinned && !this.dragged) this.point(null); });
    this.canvas.addEventListener("dblclick", (/** @type {MouseEvent} */ event) => { const cell = this.cellAt(event); if (cell) handlers.onOpen(cell); });
    this.observer = new ResizeObserver(() => this.lay());
    this.observer.observe(this.node);
  }

  close() { this.observer.disconnect(); }

  /** Show other cells; the place that one looks at stays. @param {Shape} shape @param {Uint8Array} cells */
  setData(shape, cells) {
    this.shape = shape;
    this.cells = cells;
    if (this.cell && (this.cell.row >= shape.rows || this.cell.column >= shape.columns)) this.point(null);
    this.changed();
  }

  /** Replace the cells of some rows. @param {Map<any, Uint8Array>} rows  by id */
  setRows(rows) {
    if (!this.shape) return;
    const places = new Map(this.shape.ids.map((id, row) => [id, row]));
    for (const [id, octets] of rows) {
      const row = places.get(id);
      if (row !== undefined) this.cells.set(octets.subarray(0, this.shape.columns), row * this.shape.columns);
    }
    this.changed();
  }

  /** Have rows that were not there. @param {number} first @param {Uint8Array} octets */
  setPart(first, octets) {
    this.cells.set(octets, first * /** @type {Shape} */ (this.shape).columns);
    this.tiles.clear();
    this.later();
  }

  /** Draw everything anew: cells or colours are others. */
  changed() {
    this.images.clear();
    this.bands.clear();
    this.tiles.clear();
    this.lay();
  }

  /** @param {string} zoom */
  setZoom(zoom) {
    this.zoom = zoom;
    this.images.clear();
    this.lay();
  }

  /** Work out where everything is. */
  lay() {
    const { shape } = this;
    const width = this.node.clientWidth, height = this.node.clientHeight;
    if (!shape || !width || !height) return;
    const narrow = width < 560;
    const open = shape.groups.filter(({ project }) => this.zoom !== "projects" && !this.collapsed.has(project));
    const rows = open.reduce((sum, group) => sum + group.rows, 0);
    const room = height - AXIS - shape.groups.length * BAND - 2;
    let each = this.zoom === "fit" ? Math.min(MOST_ROW, room / Math.max(1, rows)) : Number(this.zoom) || 0;
    if (each >= 1) each = Math.floor(each);
    this.each = each = Math.max(each, Math.min(1, (open.length * 6) / Math.max(1, rows)));
    this.names = each >= NAMES_FROM;
    this.label = narrow ? 96 : Math.round(Math.min(240, Math.max(130, width * 0.17)));
    this.column = Math.max(LEAST_COLUMN, (width - this.label) / Math.max(1, shape.columns));
    let y = 0;
    this.places = shape.groups.map((group) => {
      const shown = open.includes(group);
      const place = { group, y, rows: shown ? group.rows : 0, height: shown ? Math.ceil(group.rows * each) : 0 };
      y += BAND + place.height;
      return place;
    });
    this.space.style.height = `${Math.max(y + AXIS, 1)}px`;
    this.space.style.width = `${this.label + this.column * shape.columns}px`;
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.draw();
  }

  later() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  /** Draw what is in sight; returns the milliseconds that it took. */
  draw() {
    const { shape, places } = this;
    if (!shape || !places) return 0;
    const began = performance.now();
    const colour = colours();
    this.seen = /** @type {{first: number, last: number} | null} */ (null); // rows in sight
    const scale = devicePixelRatio || 1;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const width = this.canvas.width / scale, height = this.canvas.height / scale;
    const { scrollTop, scrollLeft } = this.node;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = colour.panel;
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = false;
    context.font = "12px ui-monospace, DejaVu Sans Mono, monospace";
    context.textBaseline = "middle";
    const left = this.label - scrollLeft;
    const sight = height - AXIS;
    context.save();
    context.beginPath();
    context.rect(this.label, AXIS, width - this.label, sight);
    context.clip();
    for (const place of places) {
      const top = AXIS + place.y - scrollTop;
      if (top > height || top + BAND + place.height < AXIS) continue;
      context.drawImage(this.bandOf(place.group), left, top + 4, this.column * shape.columns, BAND - 8);
      if (place.height) this.drawRows(context, place, left, top + BAND, sight, colour);
    }
    context.restore();
    this.drawLabels(context, places, scrollTop, height, colour);
    this.drawAxis(context, left, width, colour);
    this.drawCross(context, left, width, height, colour);
    return performance.now() - began;
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {any} place @param {number} left @param {number} top @param {number} sight
   * @param {{[name: string]: string}} colour
   */
  drawRows(context, place, left, top, sight, colour) {
    const shape = /** @type {Shape} */ (this.shape);
    const each = /** @type {number} */ (this.each), wide = /** @type {number} */ (this.column) * shape.columns;
    if (each < 1) {
      context.drawImage(shape.counts ? this.bandOf(place.group) : this.shareOf(place), left, top, wide, place.height);
      return;
    }
    const first = Math.max(0, Math.floor((AXIS - top) / each)), last = Math.min(place.rows, Math.ceil((AXIS + sight - top) / each));
    if (last <= first) return;
    this.seen = { first: Math.min(this.seen?.first ?? Infinity, place.group.first + first), last: Math.max(this.seen?.last ?? 0, place.group.first + last) };
    this.need(place.group.first + first, place.group.first + last);
    this.drawTiles(context, place.group.first + first, place.group.first + last, left, top + first * each, wide);
    if (each >= 8) this.drawMarks(context, place.group.first + first, last - first, left, top + first * each, colour);
    if (each >= 6) {
      context.fillStyle = colour.panel;
      for (let row = first; row < last; row += 1) context.fillRect(left, top + row * each, wide, 1);
    }
  }

  /** Ask for rows that are not there. @param {number} first @param {number} last */
  need(first, last) {
    const { columns, counts } = /** @type {Shape} */ (this.shape);
    if (!counts) return;
    while (first < last && this.cells[first * columns] !== UNKNOWN) first += 1;
    while (first < last && this.cells[(last - 1) * columns] !== UNKNOWN) last -= 1;
    if (first < last) this.handlers.onNeed(first, last);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} first @param {number} last @param {number} left @param {number} top @param {number} wide */
  drawTiles(context, first, last, left, top, wide) {
    const { columns } = /** @type {Shape} */ (this.shape), each = /** @type {number} */ (this.each);
    for (let row = first; row < last;) {
      const tile = Math.floor(row / TILE), end = Math.min(last, (tile + 1) * TILE);
      context.drawImage(this.tileOf(tile), 0, row - tile * TILE, columns, end - row, left, top + (row - first) * each, wide, (end - row) * each);
      row = end;
    }
  }

  /** Return a canvas with one pixel a cell. @param {number} tile */
  tileOf(tile) {
    const { columns, rows } = /** @type {Shape} */ (this.shape);
    const known = this.tiles.get(tile);
    if (known) return known;
    const made = exact(this.cells, columns, tile * TILE, Math.min(TILE, rows - tile * TILE));
    this.painted += made.width * made.height;
    for (const oldest of this.tiles.keys()) {
      if (this.tiles.size * TILE * columns < MOST_TILED) break;
      this.tiles.delete(oldest);
    }
    this.tiles.set(tile, made);
    return made;
  }

  /** Return a canvas whose pixels stand for several rows each, by shares: nothing is exaggerated. @param {any} place */
  shareOf(place) {
    const known = this.images.get(place.group.project);
    if (known) return known;
    const { columns } = /** @type {Shape} */ (this.shape);
    const image = shares(this.cells, columns, place.group.first, place.rows, Math.max(1, place.height));
    this.images.set(place.group.project, image);
    return image;
  }

  /** Return the canvas of a project's band: the share that is not covered, by column. @param {any} group */
  bandOf(group) {
    const known = this.bands.get(group.project);
    if (known) return known;
    const { columns, counts, groups } = /** @type {Shape} */ (this.shape);
    const image = counts ? sums(counts, columns, groups.indexOf(group)) : shares(this.cells, columns, group.first, group.rows, 1);
    this.bands.set(group.project, image);
    return image;
  }

  /** @param {CanvasRenderingContext2D} context @param {number} first @param {number} rows @param {number} left @param {number} top @param {{[name: string]: string}} colour */
  drawMarks(context, first, rows, left, top, colour) {
    const { columns } = /** @type {Shape} */ (this.shape);
    const each = /** @type {number} */ (this.each), wide = /** @type {number} */ (this.column), letters = forced();
    for (let row = 0; row < rows; row += 1) {
      const from = (first + row) * columns;
      for (let column = 0; column < columns; column += 1) {
        const state = STATES[this.cells[from + column]];
        if (!state || (!state.mark && !letters)) continue;
        let end = column + 1;
        while (end < columns && this.cells[from + end] === state.code) end += 1;
        drawMark(context, state, colour, left + column * wide, top + row * each, (end - column) * wide, each);
        column = end - 1;
      }
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {any[]} places @param {number} scrollTop @param {number} height @param {{[name: string]: string}} colour */
  drawLabels(context, places, scrollTop, height, colour) {
    const shape = /** @type {Shape} */ (this.shape);
    const each = /** @type {number} */ (this.each), room = /** @type {number} */ (this.label) - 8;
    context.textAlign = "left";
    for (const place of places) {
      const top = AXIS + place.y - scrollTop;
      if (top > height || top + BAND + place.height < AXIS) continue;
      context.fillStyle = colour.text;
      context.font = "600 12px system-ui, sans-serif";
      const count = ` ${place.group.rows}`;
      const sign = place.height ? "▾ " : "▸ ";
      context.fillText(sign + middle(context, visible(place.group.project), room - context.measureText(sign + count).width) + count, 4, top + BAND / 2);
      if (!this.names || !place.height) continue;
      context.font = "12px ui-monospace, DejaVu Sans Mono, monospace";
      const first = Math.max(0, Math.floor((AXIS - top - BAND) / each)), last = Math.min(place.rows, Math.ceil((height - top - BAND) / each));
      for (let row = first; row < last; row += 1) {
        context.fillStyle = this.cell && this.cell.row === place.group.first + row ? colour.text : colour.quiet;
        context.fillText(middle(context, visible(shape.names[place.group.first + row]), room - 10), 14, top + BAND + (row + 0.5) * each);
      }
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {number} left @param {number} width @param {{[name: string]: string}} colour */
  drawAxis(context, left, width, colour) {
    const shape = /** @type {Shape} */ (this.shape);
    const wide = /** @type {number} */ (this.column) * shape.columns;
    context.fillStyle = colour.panel;
    context.fillRect(0, 0, width, AXIS);
    context.save();
    context.beginPath();
    context.rect(/** @type {number} */ (this.label), 0, width, AXIS);
    context.clip();
    context.fillStyle = colour.alarm;
    for (const { column } of shape.marks) {
      const x = left + (column + 0.5) * /** @type {number} */ (this.column);
      context.beginPath();
      context.moveTo(x - 4, 1);
      context.lineTo(x + 4, 1);
      context.lineTo(x, 8);
      context.fill();
    }
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = colour.quiet;
    context.strokeStyle = colour.line;
    context.textAlign = "center";
    for (const { at, text } of ticks(shape.from, shape.to, wide / 90)) {
      const x = left + ((at - shape.from) / (shape.to - shape.from)) * wide;
      if (x - context.measureText(text).width / 2 >= /** @type {number} */ (this.label)) context.fillText(text, x, 18);
      context.fillRect(x, 27, 1, 5);
    }
    context.restore();
    context.fillStyle = colour.line;
    context.fillRect(0, AXIS - 1, width, 1);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} left @param {number} width @param {number} height @param {{[name: string]: string}} colour */
  drawCross(context, left, width, height, colour) {
    const wide = /** @type {number} */ (this.column);
    if (!this.block && !this.cell) return;
    context.save();
    context.beginPath();
    context.rect(/** @type {number} */ (this.label), AXIS, width, height);
    context.clip();
    context.strokeStyle = colour.text;
    if (this.block) {
      const [first, last] = [Math.min(this.block.from.row, this.block.to.row), Math.max(this.block.from.row, this.block.to.row)];
      const [start, end] = [Math.min(this.block.from.column, this.block.to.column), Math.max(this.block.from.column, this.block.to.column) + 1];
      const top = this.topOf(first), bottom = this.topOf(last);
      if (top !== null && bottom !== null) {
        context.lineWidth = 2;
        context.strokeRect(left + start * wide, top, (end - start) * wide, Math.max(2, bottom - top + /** @type {number} */ (this.each)));
      }
    }
    if (this.cell) {
      const top = this.topOf(this.cell.row);
      const x = left + this.cell.column * wide;
      context.globalAlpha = 0.35;
      context.fillStyle = colour.text;
      context.fillRect(x, AXIS, 1, height);
      context.fillRect(x + Math.max(wide, 2), AXIS, 1, height);
      context.globalAlpha = 1;
      if (top !== null) {
        context.lineWidth = this.pinned ? 2 : 1;
        context.strokeRect(x - 0.5, top - 0.5, Math.max(wide, 3) + 1, Math.max(/** @type {number} */ (this.each), 3) + 1);
      }
    }
    context.restore();
  }

  /** Return where a row begins in the canvas; null where its project is closed. @param {number} row */
  topOf(row) {
    for (const { group, y, rows } of this.places || []) {
      if (row >= group.first && row < group.first + group.rows) {
        return rows ? AXIS + y + BAND + (row - group.first) * /** @type {number} */ (this.each) - this.node.scrollTop : null;
      }
    }
    return null;
  }

  /** @param {MouseEvent} event @returns {Cell | null} */
  cellAt(event) {
    const { shape } = this;
    if (!shape) return null;
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left - /** @type {number} */ (this.label) + this.node.scrollLeft, y = event.clientY - box.top - AXIS + this.node.scrollTop;
    const column = Math.floor(x / /** @type {number} */ (this.column));
    if (column < 0 || column >= shape.columns || event.clientY - box.top < AXIS || event.clientX - box.left < /** @type {number} */ (this.label)) return null;
    for (const { group, y: top, rows } of this.places || []) {
      const row = Math.floor((y - top - BAND) / /** @type {number} */ (this.each));
      if (y >= top + BAND && row < rows) return { row: group.first + row, column };
    }
    return null;
  }

  /** @param {MouseEvent} event */
  groupAt(event) {
    const y = event.clientY - this.canvas.getBoundingClientRect().top - AXIS + this.node.scrollTop;
    return (this.places || []).find((place) => y >= place.y && y < place.y + BAND)?.group ?? null;
  }

  /** @param {PointerEvent} event */
  moved(event) {
    const cell = this.cellAt(event);
    if (this.start && cell && event.buttons === 1 && event.pointerType === "mouse") {
      if (this.dragged || cell.row !== this.start.row || cell.column !== this.start.column) {
        this.dragged = true;
        this.block = { from: this.start, to: cell };
        this.later();
        return;
      }
    }
    if (!this.pinned && event.pointerType === "mouse") this.point(cell);
  }

  /** @param {PointerEvent} event */
  pressed(event) {
    this.start = this.cellAt(event);
    this.dragged = false;
  }

  /** @param {PointerEvent} event */
  released(event) {
    const cell = this.cellAt(event);
    if (this.dragged && this.block) {
      this.choose(this.block);
    } else if (cell) {
      this.choose(null);
      this.point(cell, true);
    } else {
      const group = this.groupAt(event);
      if (group) this.toggle(group.project);
    }
    this.start = null;
    this.dragged = false;
  }

  /** Open or close the rows of a project. @param {string} project */
  toggle(project) {
    if (!this.collapsed.delete(project)) this.collapsed.add(project);
    this.images.clear();
    this.lay();
  }

  /** Select a cell. @param {Cell | null} cell @param {boolean} [pinned] */
  point(cell, pinned = false) {
    this.cell = cell;
    this.pinned = pinned && cell !== null;
    this.handlers.onCell(cell, this.pinned);
    this.later();
  }

  /** Choose a block. @param {{from: Cell, to: Cell} | null} block */
  choose(block) {
    this.block = block;
    this.handlers.onBlock(block ? this.wordsOf(block) : "", block);
    this.later();
  }

  /** Move the selected cell by the keys. @param {number} rows @param {number} columns @param {boolean} [extend]  the block from where it was */
  step(rows, columns, extend = false) {
    const { shape } = this;
    if (!shape || !shape.rows || !shape.columns) return;
    const cell = this.cell || { row: 0, column: shape.columns - 1 };
    const next = {
      row: Math.max(0, Math.min(shape.rows - 1, cell.row + rows)),
      column: Math.max(0, Math.min(shape.columns - 1, cell.column + (this.cell ? columns : 0))),
    };
    const top = this.topOf(next.row), each = /** @type {number} */ (this.each);
    if (top !== null && top < AXIS + 4) this.node.scrollTop -= AXIS + 4 - top;
    if (top !== null && top + each > this.node.clientHeight) this.node.scrollTop += top + each - this.node.clientHeight + 4;
    const x = this.label + next.column * this.column - this.node.scrollLeft;
    if (x < this.label) this.node.scrollLeft -= this.label - x;
    if (x + this.column > this.node.clientWidth) this.node.scrollLeft += x + this.column - this.node.clientWidth;
    if (extend || this.block) this.choose(extend ? { from: this.block?.from || cell, to: next } : null);
    this.point(next, true);
  }

  clear() { this.choose(null); this.point(null); }

  /** Return the state of a cell; null where it is not there yet, and is asked for. @param {Cell} cell */
  stateOf({ row, column }) {
    this.need(row, row + 1);
    return STATES[this.cells[row * /** @type {Shape} */ (this.shape).columns + column]] || null;
  }

  /** Return the project of a row. @param {number} row */
  projectOf(row) {
    return /** @type {Shape} */ (this.shape).groups.find((group) => row >= group.first && row < group.first + group.rows)?.project ?? "";
  }

  /** Return what a block holds, in words. @param {{from: Cell, to: Cell}} block */
  wordsOf({ from, to }) {
    const shape = /** @type {Shape} */ (this.shape);
    const [first, last] = [Math.min(from.row, to.row), Math.max(from.row, to.row)];
    const [start, end] = [Math.min(from.column, to.column), Math.max(from.column, to.column)];
    const counts = new Array(UNKNOWN + 1).fill(0);
    for (let row = first; row <= last; row += 1) for (let column = start; column <= end; column += 1) counts[this.cells[row * shape.columns + column]] += 1;
    const said = PRECEDENCE.filter((code) => counts[code] && code !== 0).map((code) => `${figure(counts[code])} ${STATES[code].word}`);
    if (counts[UNKNOWN]) said.push("what is not in sight is not counted");
    return `${counted(last - first + 1, "model")} × ${duration(((end - start + 1) * shape.step) / 1000)}: ${said.join(", ") || "nothing desired"}`;
  }
}

/** Return a text that is cut in the middle to a width. @param {CanvasRenderingContext2D} context @param {string} text @param {number} width */
function middle(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let keep = Math.min(text.length - 1, Math.floor(width / Math.max(1, context.measureText("n").width)) - 1);
  for (; keep > 2; keep -= 1) {
    const cut = `${text.slice(0, Math.ceil(keep * 0.4))}…${text.slice(-Math.floor(keep * 0.6))}`;
    if (context.measureText(cut).width <= width) return cut;
  }
  return "…";
}
