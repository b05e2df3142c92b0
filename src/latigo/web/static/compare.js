// A slot that was predicted again, and what a sink holds of it.

import { short } from "./chart.js";
import { figure, h, nameOf, visible } from "./dom.js";
import { colours } from "./states.js";
import { canvas } from "./strip.js";
import { fullTime, inZone, when, zoneLabel } from "./time.js";

const SHOWN = 6;

/** Return a comparison in words, the columns that differ, and numbers of some columns. @param {any} found */
export function comparison(found) {
  const { equal, story, columns, compared, times } = found;
  return h("div", { class: "comparison", role: "status" },
    h("p", {}, h("strong", {}, equal ? "● The same as what is stored" : "▲ Not the same as what is stored")),
    h("div", { class: "story" }, story.map((/** @type {string} */ one) => h("p", {}, inZone(visible(one))))),
    columns.length ? h("div", { class: "table" }, h("table", {}, h("caption", { class: "hidden" }, "Columns that differ"),
      h("thead", {}, h("tr", {}, ["column", "rows", "most at", "stored", "now"].map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, columns.map((/** @type {any} */ one) => h("tr", {},
        h("th", { scope: "row", "data-title": "column" }, nameOf(one.tag ? `${one.column_group} ${one.tag}` : one.column_group)),
        h("td", { class: "number", "data-title": "rows" }, figure(one.rows)),
        h("td", { "data-title": "most at", title: fullTime(one.time) }, when(one.time, true)),
        h("td", { class: "number", "data-title": "stored" }, short(one.stored)),
        h("td", { class: "number", "data-title": "now" }, short(one.predicted))))))) : null,
    times.length ? [h("p", { class: "quiet" }, h("b", { class: "key" }, "stored"), h("b", { class: "key output" }, "predicted now"), ` ${when(times[0], true)} – ${when(times[times.length - 1], true)} ${zoneLabel()}`),
      h("div", { class: "twice" }, compared.slice(0, SHOWN).map(both))] : null);
}

/** @param {any} column */
function both({ column_group: group, tag, stored, predicted }) {
  const known = [...stored, ...predicted].filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const label = `${group}${tag ? ` of ${tag}` : ""}: stored ${short(stored.find((/** @type {any} */ value) => value !== null) ?? null)} and on, predicted now ${short(predicted.find((/** @type {any} */ value) => value !== null) ?? null)} and on`;
  return h("figure", {}, h("figcaption", {}, nameOf(tag || group), tag ? h("span", { class: "quiet" }, group.replace("model-", "")) : null), canvas("pair", visible(label), (context, width, height) => {
    const colour = colours();
    const x = (/** @type {number} */ at) => 4 + (stored.length > 1 ? at / (stored.length - 1) : 0.5) * (width - 8);
    const y = (/** @type {number} */ value) => height - 4 - (high > low ? (value - low) / (high - low) : 0.5) * (height - 8);
    for (const [values, name, dash] of /** @type {[(number | null)[], string, number[]][]} */ ([[stored, "input", []], [predicted, "output", [5, 3]]])) {
      context.strokeStyle = context.fillStyle = colour[name];
      context.lineWidth = 1.6;
      context.setLineDash(dash);
      context.beginPath();
      let pen = false;
      values.forEach((value, at) => {
        if (value === null) { pen = false; return; }
        if (pen) context.lineTo(x(at), y(value));
        else context.moveTo(x(at), y(value));
        if (name === "input") context.fillRect(x(at) - 2, y(value) - 2, 4, 4);
        pen = true;
      });
      context.stroke();
    }
  }));
}
