// Lines over time. uPlot draws them where the package has it; else plain.js does, behind the same six functions.

import { h } from "./dom.js";
import { later } from "./later.js";
import { colours } from "./states.js";
import { clock, day, ticks } from "./time.js";

/**
 * @typedef {{label: string, values: (number | null)[], colour: string, dash?: number[], width?: number, low?: (number | null)[], high?: (number | null)[],
 *   hollow?: boolean}} Line  `colour` is a name of states.js; `low` and `high` are drawn as a band
 * @typedef {{height: number, label: string, onCursor?: (at: number | null) => void, onZoom?: (from: number, to: number) => void,
 *   onReset?: () => void, onClick?: (at: number) => void}} Options
 * @typedef {{setData: (data: Data) => void, setCursor: (at: number | null) => void, resize: () => void, recolour: () => void,
 *   values: (at: number) => (number | null)[], area: () => {left: number, width: number}, destroy: () => void}} Chart  `area`: where its lines are
 * @typedef {{time: number[], lines: Line[], from: number, to: number, threshold?: number | null}} Data  times are milliseconds
 */

/** @type {Promise<any> | null} */
let loading = null;

/** Load uPlot; null where the package has none, or where it cannot be had. @returns {Promise<any>} */
function library() {
  const { charts, static: place } = document.documentElement.dataset;
  if (charts !== "uPlot") return Promise.resolve(null);
  loading ||= new Promise((done) => {
    const script = h("script", { src: `${place}uPlot.js` });
    script.onload = () => done(/** @type {any} */ (window).uPlot ?? null);
    script.onerror = () => done(null);
    document.head.append(h("link", { rel: "stylesheet", href: `${place}uPlot.css` }), script);
  });
  return loading;
}

/**
 * Draw a chart in a node.
 * @param {HTMLElement} node @param {Options} options @returns {Promise<Chart | null>}  null: it cannot be drawn now
 */
export async function createChart(node, options) {
  const uPlot = await library();
  return uPlot ? withLibrary(uPlot, node, options) : (await later("plain", "plain", node, options)) || null;
}

/** Return the index of the moment nearest to a time. @param {number[]} time @param {number} at */
export function nearest(time, at) {
  let low = 0, high = time.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (time[middle] < at) low = middle;
    else high = middle;
  }
  return high < 0 ? -1 : at - time[low] <= time[Math.max(high, 0)] - at ? low : high;
}

/** @param {Data | null} data @param {number} at */
export function valuesAt(data, at) {
  if (!data) return [];
  const index = nearest(data.time, at);
  const step = (/** @type {(number | null)[]} */ values) => {
    for (let away = 0; away < 4; away += 1) for (const place of [index - away, index + away]) if (values[place] !== undefined) return values[place];
    return null;
  };
  return data.lines.map(({ values }) => (index < 0 ? null : step(values)));
}

/** Return a number in at most six characters or so. @param {number | null} value */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

/** @param {Data} data @returns {[number, number]} */
export function span(data) {
  let low = Infinity, high = -Infinity;
  for (const { values, low: lows, high: highs } of data.lines) {
    for (const list of [values, lows, highs]) for (const value of list || []) if (value !== null && value !== undefined) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  if (data.threshold !== null && data.threshold !== undefined && low <= high) { high = Math.max(high, data.threshold * 1.1); low = Math.min(low, 0); }
  if (low > high) return [0, 1];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

/** @param {any} uPlot @param {HTMLElement} node @param {Options} options @returns {Chart} */
function withLibrary(uPlot, node, options) {
  /** @type {Data | null} */
  let data = null;
  /** @type {any} */
  let plot = null;
  let silent = false;

  const axis = (/** @type {any} */ extra) => ({
    stroke: () => colours().quiet, grid: { stroke: () => colours().line, width: 1 }, ticks: { stroke: () => colours().line, width: 1, size: 4 }, font: "11px system-ui, sans-serif", ...extra,
  });

  function build() {
    const shown = data;
    if (!shown) return;
    const range = () => data || shown;
    const series = /** @type {any[]} */ ([{ label: "" }]), columns = /** @type {any[][]} */ ([shown.time.map((at) => at / 1000)]), bands = [];
    for (const line of shown.lines) {
      series.push({
        label: line.label, stroke: () => colours()[line.colour], width: line.width ?? 1.5, dash: line.dash, spanGaps: false, points: line.hollow ? { show: true, size: 6, width: 1.5, fill: () => colours().panel, stroke: () => colours()[line.colour] } : { show: false },
      });
      columns.push(line.values);
      if (line.low && line.high) {
        const edge = { stroke: () => colours()[line.colour], width: 0.5, points: { show: false }, spanGaps: false };
        series.push({ ...edge, label: `${line.label}, most` }, { ...edge, label: `${line.label}, least` });
        columns.push(line.high, line.low);
        bands.push({ series: [series.length - 2, series.length - 1], fill: () => `${toHex(colours()[line.colour])}33` });
      }
    }
    const kind = shown.lines.map(({ label, dash, hollow, low }) => `${label} ${dash} ${hollow} ${!!low}`).join("\n");
    if (plot && plot.kind === kind) { plot.setData(columns); return; }
    plot?.destroy();
    plot = new uPlot({
      width: Math.max(80, node.clientWidth), height: options.height, series, bands, legend: { show: false }, pxAlign: true,
      scales: { x: { time: false, range: () => [range().from / 1000, range().to / 1000] }, y: { range: (/** @type {any} */ self, /** @type {number} */ low, /** @type {number} */ high) => (self.zoomedY ? [low, high] : span(range())) } },
      axes: [
        axis({ size: 24, splits: (/** @type {any} */ self) => ticks(range().from, range().to, self.width / 90).map(({ at }) => at / 1000), values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((at) => (clock(at * 1000) === "00:00" ? day(at * 1000) : range().to - range().from > 10 * 86400e3 ? day(at * 1000) : clock(at * 1000))) }),
        axis({ size: 54, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(short) }),
      ],
      cursor: {
        drag: { x: true, y: false, setScale: false }, points: { size: 5 },
        bind: { dblclick: () => () => { if (plot) plot.zoomedY = false; options.onReset?.(); plot?.redraw(true); return null; } },
      },
      hooks: {
        setCursor: [(/** @type {any} */ self) => { if (!silent) options.onCursor?.(self.cursor.left >= 0 ? self.posToVal(self.cursor.left, "x") * 1000 : null); }],
        setSelect: [(/** @type {any} */ self) => {
          const { left, width, top, height } = self.select;
          if (self.cursor.drag.y && height > 4) {
            const [high, low] = [self.posToVal(top, "y"), self.posToVal(top + height, "y")];
            self.zoomedY = true;
            self.setScale("y", { min: low, max: high });
          } else if (width > 4) options.onZoom?.(self.posToVal(left, "x") * 1000, self.posToVal(left + width, "x") * 1000);
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
        draw: [(/** @type {any} */ self) => threshold(self)],
      },
    }, columns, node);
    plot.kind = kind;
    plot.over.addEventListener("mousedown", (/** @type {MouseEvent} */ event) => { plot.cursor.drag.y = event.shiftKey; plot.cursor.drag.x = !event.shiftKey; }, true);
    plot.over.addEventListener("click", (/** @type {MouseEvent} */ event) => options.onClick?.(plot.posToVal(event.offsetX, "x") * 1000));
    const canvas = plot.root.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", options.label);
  }

  /** @param {any} self */
  function threshold(self) {
    if (data === null || data.threshold === null || data.threshold === undefined) return;
    const { ctx, bbox } = self;
    const y = self.valToPos(data.threshold, "y", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colours().alarm;
    ctx.setLineDash([6, 4]);
    ctx.lineWidth = 1.2 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.globalAlpha = 0.14;
    for (const [start, end] of above(data)) {
      const [a, b] = [self.valToPos(start / 1000, "x", true), self.valToPos(end / 1000, "x", true)];
      ctx.fillRect(a, bbox.top, Math.max(1, b - a), bbox.height);
    }
    ctx.restore();
  }

  return {
    setData(given) { data = given; build(); },
    setCursor(at) {
      if (!plot || !data) return;
      silent = true;
      plot.setCursor(at === null ? { left: -10, top: -10 } : { left: plot.valToPos(at / 1000, "x"), top: options.height / 3 });
      silent = false;
    },
    resize() { if (plot && node.clientWidth) plot.setSize({ width: node.clientWidth, height: options.height }); },
    recolour() { plot?.redraw(false); },
    values: (at) => valuesAt(data, at),
    area: () => ({ left: plot?.over.offsetLeft || 0, width: plot?.over.clientWidth || 0 }),
    destroy() { plot?.destroy(); plot = null; },
  };
}

/** Return the stretches in which the first line is above the threshold. @param {Data} data */
function above(data) {
  const stretches = [];
  const { values } = data.lines[0] || { values: [] };
  const step = data.time.length > 1 ? (data.time[data.time.length - 1] - data.time[0]) / (data.time.length - 1) : 0;
  let start = -1;
  for (let at = 0; at <= data.time.length; at += 1) {
    const over = at < data.time.length && values[at] != null && /** @type {number} */ (values[at]) > /** @type {number} */ (data.threshold);
    if (over && start < 0) start = at;
    if (!over && start >= 0) { stretches.push([data.time[start], data.time[at - 1] + step]); start = -1; }
  }
  return stretches;
}

/** @param {string} colour */
function toHex(colour) {
  return `#${(colour.match(/[\d.]+/g) || []).slice(0, 3).map((value) => Math.round(Number(value)).toString(16).padStart(2, "0")).join("")}`;
}
