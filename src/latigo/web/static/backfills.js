// Backfills: what was asked for, how far each is, and one of them in detail.

import { get } from "./api.js";
import { figure, h, percent, visible } from "./dom.js";
import { listPanel, walk } from "./lists.js";
import { Panel } from "./panel.js";
import { href, place } from "./router.js";
import { duration, fullTime, when, zoneLabel } from "./time.js";

const VERBS = /** @type {{[kind: string]: string}} */ ({ fill: "fill what is missing", backfill: "fill what is missing", replace: "predict again" });

export const backfills = {
  title: "Backfills",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const id = place().parts[1];
    if (id) { one(main, screen, id); return; }
    const panel = screen.add(listPanel({
      title: "Backfills", name: "requests", path: "/requests", query: () => ({ limit: 100 }), events: ["request", "status"],
      key: (row) => String(row.id), open: (row) => href(`/backfills/${row.id}`),
      empty: "No backfill was ever asked for. Missing time is filled by itself; ask for one to reach further back: latigo backfill --help",
      columns: [
        { title: "request", label: "", cell: (row) => h("a", { href: href(`/backfills/${row.id}`) }, `#${row.id} ${VERBS[row.kind] ?? row.kind ?? ""}`) },
        { title: "state", cell: (row) => row.state },
        { title: "of", cell: (row) => visible(selection(row)) },
        { title: "time", cell: (row) => range(row) },
        { title: "progress", cell: progress },
        { title: "by", cell: (row) => [visible(row.who || ""), h("span", { class: "quiet", title: row.at ? fullTime(row.at) : "" }, ` ${when(row.at)}`)] },
      ],
    }));
    main.append(panel.node);
    walk(() => panel.table);
    screen.update = () => panel.refresh();
  },
};

/** @param {any} row */
function selection(row) {
  const { selector } = row;
  if (!selector) return row.selection ?? "";
  if (typeof selector === "string") return selector;
  return Object.entries(selector).filter(([, value]) => value && (!Array.isArray(value) || value.length)).map(([name, value]) => `${name} ${[value].flat().join(", ")}`).join("; ") || "all models";
}

/** @param {any} row */
function range(row) {
  return row.from ? h("span", { title: `${fullTime(row.from)} – ${fullTime(row.to)}` }, `${when(row.from)} – ${when(row.to)} ${zoneLabel()}`) : "–";
}

/** @param {any} row */
function progress(row) {
  const { slots = row.slots, left = 0, failed = 0 } = row.counts || {};
  if (!slots) return "–";
  const share = (slots - left) / slots;
  return [h("span", { class: "share meter", role: "img", "aria-label": percent(share) }, h("i", { "width%": share * 100 })), percent(share), failed ? ` · ${figure(failed)} failed` : "",
    row.eta_s ? ` · ${duration(row.eta_s)} left` : ""];
}

/** @param {HTMLElement} main @param {any} screen @param {string} id */
function one(main, screen, id) {
  const panel = screen.add(new Panel({
    title: `Backfill #${visible(id)}`, name: "request", events: ["request", "status"],
    load: (signal) => get(`/requests/${encodeURIComponent(id)}`, {}, { signal }),
    draw: (row) => [
      h("p", {}, h("strong", {}, VERBS[row.kind] ?? row.kind ?? ""), ` · ${row.state} · `, visible(selection(row)), " · ", range(row)),
      h("p", {}, progress(row)),
      h("dl", { class: "pairs" }, Object.entries(row.counts || {}).map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, figure(Math.round(Number(value))))]),
        row.who ? [h("dt", {}, "asked by"), h("dd", {}, visible(row.who), " ", when(row.at))] : null, row.note ? [h("dt", {}, "note"), h("dd", {}, visible(row.note))] : null),
      (row.failures || []).length ? [h("h3", {}, "Failures it met"), h("ul", {}, row.failures.map((/** @type {any} */ failure) => h("li", {}, visible(failure.text ?? `${failure.reason ?? ""} ${failure.models ?? ""}`))))] : null,
      h("p", { class: "quiet" }, `Pause, resume or cancel it: latigo backfills pause ${visible(id)}`),
    ],
  }));
  main.append(h("p", {}, h("a", { href: href("/backfills") }, "← all backfills")), panel.node);
  screen.update = () => panel.refresh();
}
