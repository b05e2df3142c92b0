// Anomalies: which models see something unusual, what changed, since when, and which sensors carry it.

import { get } from "./api.js";
import { short } from "./chart.js";
import { counted, figure, h, meter, nameOf, percent, visible } from "./dom.js";
import { walk } from "./lists.js";
import { Panel } from "./panel.js";
import { modelHref, place } from "./router.js";
import { sparkline } from "./strip.js";
import { Table } from "./table.js";
import { age, fullTime, rangeWords, when } from "./time.js";

const LIMIT = 100;

export const anomalies = {
  title: "Anomalies",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    let highest = 1;
    const table = new Table({
      caption: "Models by anomaly, worst first", key: (row) => `${row.project}/${row.model}`, open: (row) => modelHref(row.project, row.model, { at: row.max_at }),
      empty: "No window of this range has an anomaly on record. Models are listed as soon as one of their windows is settled.",
      columns: [
        { title: "model", label: "", cell: (row) => h("a", { href: modelHref(row.project, row.model) }, nameOf(`${row.project}/${row.model}`)) },
        { title: "rows over threshold now", cell: (row) => (row.share_now === null ? `highest ${short(row.now)}` : [row.share_now > 0 ? h("strong", { class: "over" }, "▲ ") : null, meter(row.share_now)]) },
        { title: "over the range", kind: "number", cell: (row) => percent(row.share) },
        { title: "change", kind: "number", cell: (row) => changed(row.change) },
        { title: "since", cell: (row) => (row.since ? h("span", { title: fullTime(row.since) }, `${row.since_before ? "before " : ""}${when(row.since)} (${age(row.since)})`) : "") },
        { title: "highest", cell: (row) => h("a", { href: modelHref(row.project, row.model, { at: row.max_at }), title: `total anomaly ${row.max}` }, when(row.max_at)) },
        { title: "share in the range", kind: "wide", label: "", cell: (row) => sparkline(row.series, "share of rows over the threshold in the range", highest) },
        { title: "carried by", cell: (row) => row.tags.slice(0, 3).map((/** @type {any} */ one) => h("div", {}, nameOf(one.tag), ` ${percent(one.share)}`)) },
      ],
    });
    const panel = screen.add(new Panel({
      name: "anomalies", title: "Models by anomaly", atMost: 15000,
      load: (signal) => {
        const { range } = screen;
        return get("/anomalies", {
          project: place().query.get("project") || null, limit: LIMIT,
          from: range.relative ? `-${range.text}` : new Date(range.from).toISOString(), to: range.relative ? "now" : new Date(range.to).toISOString(),
        }, { signal });
      },
      draw: (data, self) => {
        highest = Math.max(0, ...data.items.flatMap((/** @type {any} */ row) => (row.share === null ? [] : row.series)));
        return [
        data.items.length ? h("p", {}, h("strong", {}, data.over ? `${counted(data.over, "model")} of ${figure(data.total)} over ${data.over === 1 ? "its" : "their"} threshold now` : `None of ${counted(data.total, "model")} is over its threshold now`),
          h("span", { class: "quiet" }, ` · ${rangeWords(screen.range)}, worst first${data.total > data.items.length ? `; the first ${data.items.length}` : ""}`)) : null,
        table.draw(data.items, () => self.show()), apart(data)];
      },
    }));
    main.append(panel.node);
    walk(() => table);
    screen.update = () => { table.order = []; panel.refresh(); };
  },
};

/** @param {number | null} change */
function changed(change) {
  if (change === null || Math.abs(change) < 0.001) return change === null ? "–" : "none";
  return `${change > 0 ? "+" : "−"}${percent(Math.abs(change))}`;
}

/** @param {any} data */
function apart(data) {
  return [
    data.unscored_count ? h("p", { class: "quiet" }, `${counted(data.unscored_count, "model")} may have one and had no window settled in this range.`) : null,
    data.without_count ? h("details", {}, h("summary", {}, `${counted(data.without_count, "model")} without anomaly in their answers`),
      h("ul", {}, data.without.map((/** @type {any} */ one) => h("li", {}, h("a", { href: modelHref(one.project, one.model) }, visible(`${one.project}/${one.model}`)))))) : null,
  ];
}
