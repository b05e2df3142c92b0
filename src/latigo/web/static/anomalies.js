// Anomalies: which models see something unusual, since when, and which sensors carry it.

import { get } from "./api.js";
import { counted, figure, h, nameOf, percent, visible } from "./dom.js";
import { walk } from "./lists.js";
import { Panel } from "./panel.js";
import { modelHref, place } from "./router.js";
import { sparkline } from "./strip.js";
import { Table } from "./table.js";
import { age, fullTime, rangeWords, when } from "./time.js";
import { short } from "./chart.js";

const LIMIT = 100;

export const anomalies = {
  title: "Anomalies",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const table = new Table({
      caption: "Models by anomaly, worst first", key: (row) => `${row.project}/${row.model}`,
      open: (row) => modelHref(row.project, row.model),
      empty: "No model has an anomaly output that is stored in this range.",
      columns: [
        { title: "model", label: "", cell: (row) => h("a", { href: modelHref(row.project, row.model) }, nameOf(`${row.project}/${row.model}`)) },
        { title: "now", kind: "number", cell: (row) => level(row.now ?? row.current) },
        { title: "highest", kind: "number", cell: (row) => h("span", { title: row.max_at ? fullTime(row.max_at) : "" }, level(row.max ?? row.highest)) },
        { title: "above threshold", kind: "number", cell: (row) => (row.share_above ?? row.above_share ? percent(row.share_above ?? row.above_share) : "never") },
        { title: "since", cell: (row) => (row.since ? h("span", { title: fullTime(row.since) }, `${when(row.since)} (${age(row.since)})`) : "") },
        { title: "over the range", kind: "wide", label: "", cell: (row) => (row.series ? sparkline(row.series, "anomaly over threshold in the range") : "") },
        { title: "carried by", kind: "wide", cell: (row) => (row.tags || []).slice(0, 3).map((/** @type {any} */ tag) => [nameOf(tag.tag ?? tag), tag.share === undefined ? "" : ` ${percent(tag.share)}`, " "]) },
      ],
    });
    const panel = screen.add(new Panel({
      name: "anomalies", title: "Models by anomaly", atMost: 15000, every: 60000,
      load: (signal) => {
        const { range } = screen;
        return get("/anomalies", {
          project: place().query.get("project") || null, limit: LIMIT,
          from: range.relative ? `-${range.text}` : new Date(range.from).toISOString(), to: range.relative ? "now" : new Date(range.to).toISOString(),
        }, { signal });
      },
      draw: (data, self) => [
        h("p", { class: "quiet" }, `Anomaly as a multiple of each model's threshold: 1 is the threshold. ${rangeWords(screen.range)}, worst first.`),
        table.draw(data.items, () => self.show()),
        data.next || data.items.length === LIMIT ? h("p", { class: "quiet" }, `The worst ${figure(data.items.length)}; choose a project for the rest.`) : null,
        without(data),
      ],
    }));
    main.append(panel.node);
    walk(() => table);
    screen.update = () => { table.order = []; panel.refresh(); };
  },
};

/** @param {number | null} value */
function level(value) {
  if (value === null || value === undefined) return "–";
  return value >= 1 ? h("strong", { class: "over" }, `▲ ${short(value)}`) : short(value);
}

/** @param {any} data */
function without(data) {
  const names = data.without || data.without_anomaly || [];
  const number = data.without_count ?? names.length;
  if (!number) return null;
  return h("details", {}, h("summary", {}, `${counted(number, "model")} without anomaly outputs`),
    h("p", {}, names.slice(0, 200).map((/** @type {any} */ one) => [h("a", { href: modelHref(one.project, one.model) }, visible(`${one.project}/${one.model}`)), "  "])));
}
