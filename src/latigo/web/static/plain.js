// Plain lines over time, where the package has no uPlot. This module is loaded with the first chart then.

import { short, span, valuesAt } from "./chart.js";
import { h } from "./dom.js";
import { colours } from "./states.js";
import { ticks } from "./time.js";

/**
 * Draw a chart in a node.
 * @param {HTMLElement} node @param {import("./chart.js").Options} options @returns {import("./chart.js").Chart}
 */
export function plain(node, options) {
  const canvas = h("canvas", { role: "img", "aria-label": options.label });
  const plot = h("div", { class: "plot" }, canvas);
  node.append(plot);
  /** @type {import("./chart.js").Data | null} */
  let data = null;
  /** @type {number | null} */
  let cursor = null;
  const LEFT = 54, BOTTOM = 22;

  function draw() {
    const width = node.clientWidth, { height } = options, shown = data;
    if (!shown || !width) return;
    const scale = devicePixelRatio || 1, colour = colours();
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.clearRect(0, 0, width, height);
    const [low, high] = span(shown);
    const x = (/** @type {number} */ at) => LEFT + ((at - shown.from) / (shown.to - shown.from)) * (width - LEFT);
    const y = (/** @type {number} */ value) => (1 - (value - low) / (high - low)) * (height - BOTTOM - 4) + 4;
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = colour.quiet;
    pen.strokeStyle = colour.line;
    for (const { at, text } of ticks(shown.from, shown.to, width / 90)) {
      pen.textAlign = "center";
      pen.fillText(text, x(at), height - 6);
      stroke(pen, [[x(at), 0], [x(at), height - BOTTOM]]);
    }
    pen.textAlign = "right";
    for (let step = 0; step <= 3; step += 1) {
      const value = low + ((high - low) * step) / 3;
      pen.fillText(short(value), LEFT - 5, Math.max(10, y(value)));
      stroke(pen, [[LEFT, y(value)], [width, y(value)]]);
    }
    for (const line of shown.lines) {
      pen.strokeStyle = colour[line.colour];
      pen.lineWidth = line.width ?? 1.5;
      pen.setLineDash(line.dash ?? []);
      if (line.hollow) { rings(pen, x, y, line); continue; }
      for (const list of [line.low, line.high, line.values]) {
        if (!list) continue;
        pen.globalAlpha = list === line.values ? 1 : 0.4;
        pen.beginPath();
        let down = false;
        list.forEach((value, at) => {
          if (value === undefined) return;
          if (value === null) { down = false; return; }
          if (down) pen.lineTo(x(shown.time[at]), y(value));
          else pen.moveTo(x(shown.time[at]), y(value));
          down = true;
        });
        pen.stroke();
      }
      pen.globalAlpha = 1;
    }
    pen.setLineDash([6, 4]);
    pen.strokeStyle = colour.alarm;
    if (shown.threshold !== null && shown.threshold !== undefined) stroke(pen, [[LEFT, y(shown.threshold)], [width, y(shown.threshold)]]);
    pen.setLineDash([]);
    pen.strokeStyle = colour.quiet;
    if (cursor !== null && cursor >= shown.from && cursor <= shown.to) stroke(pen, [[x(cursor), 0], [x(cursor), height - BOTTOM]]);
  }

  /** @param {CanvasRenderingContext2D} pen @param {(at: number) => number} x @param {(value: number) => number} y @param {import("./chart.js").Line} line */
  function rings(pen, x, y, line) {
    pen.lineWidth = 1.5;
    pen.fillStyle = colours().panel;
    line.values.forEach((value, at) => {
      if (value === null || value === undefined || !data) return;
      pen.beginPath();
      pen.arc(x(data.time[at]), y(value), 3, 0, 7);
      pen.fill();
      pen.stroke();
    });
  }

  /** @param {CanvasRenderingContext2D} pen @param {number[][]} points */
  function stroke(pen, points) {
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(points[0][0], points[0][1]);
    pen.lineTo(points[1][0], points[1][1]);
    pen.stroke();
  }

  /** @param {MouseEvent} event */
  function momentOf(event) {
    if (!data) return null;
    const box = canvas.getBoundingClientRect();
    const at = data.from + ((event.clientX - box.left - LEFT) / (box.width - LEFT)) * (data.to - data.from);
    return at < data.from ? null : at;
  }

  canvas.addEventListener("mousemove", (/** @type {MouseEvent} */ event) => options.onCursor?.(momentOf(event)));
  canvas.addEventListener("mouseleave", () => options.onCursor?.(null));
  canvas.addEventListener("dblclick", () => options.onReset?.());
  canvas.addEventListener("click", (/** @type {MouseEvent} */ event) => { const at = momentOf(event); if (at !== null) options.onClick?.(at); });
  return {
    setData(given) { data = given; draw(); },
    setCursor(at) { cursor = at; draw(); },
    resize: draw,
    recolour: draw,
    values: (at) => valuesAt(data, at),
    area: () => ({ left: LEFT, width: node.clientWidth - LEFT }),
    destroy() { plot.remove(); },
  };
}
