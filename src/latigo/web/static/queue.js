// Queue and executors: what flows, who works, what is unavailable, and what takes longest.

import { get } from "./api.js";
import { figure, h, nameOf, visible } from "./dom.js";
import { listPanel } from "./lists.js";
import { Panel } from "./panel.js";
import { modelHref } from "./router.js";
import { age, duration, fullTime, slot, when } from "./time.js";

export const queue = {
  title: "Queue",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const flow = new Panel({ title: "Flow", name: "flow", load: (signal) => get("/queue", {}, { signal }), draw: flowOf });
    const executors = listPanel({
      title: "Executors", name: "executors", path: "/executors", events: ["executors", "status"], key: (row) => String(row.id ?? row.executor ?? row.name),
      empty: "No executor is running, so nothing is predicted. Start one: latigo serve --role executor",
      columns: [
        { title: "executor", label: "", cell: (row) => nameOf(String(row.id ?? row.executor ?? row.name)) },
        { title: "in flight", cell: (row) => [h("span", { class: "share meter", role: "img", "aria-label": `${row.in_flight} of ${row.concurrency}` }, h("i", { "width%": (100 * row.in_flight) / (row.concurrency || 1) })), `${row.in_flight} of ${row.working_limit ?? row.concurrency}, at most ${row.concurrency}`] },
        { title: "seen", cell: (row) => (row.seen_at ? `${age(row.seen_at)} ago` : "–") },
        { title: "since", cell: (row) => when(row.since ?? row.started_at) },
        { title: "version", cell: (row) => visible(row.version || "–") },
        { title: "drained", cell: (row) => (row.drained_at ? `since ${when(row.drained_at)}` : "") },
      ],
    });
    const circuits = listPanel({
      title: "Circuits", name: "circuits", path: "/circuits", events: ["circuits", "status"], key: (row) => row.downstream ?? row.name,
      empty: "Every system is available: no circuit is open.",
      columns: [
        { title: "system", label: "", cell: (row) => nameOf(row.downstream ?? row.name) },
        { title: "state", cell: (row) => row.state ?? "open" },
        { title: "since", cell: (row) => h("span", { title: row.opened_at ? fullTime(row.opened_at) : "" }, when(row.opened_at ?? row.since)) },
        { title: "reason", kind: "wide", cell: (row) => visible(row.reason || "") },
        { title: "next probe", cell: (row) => (row.next_probe ? `in ${duration((Date.parse(row.next_probe) - Date.now()) / 1000)}` : row.pause_s ? `every ${duration(row.pause_s)}` : "–") },
      ],
    });
    const tasks = listPanel({
      title: "In flight, oldest first", name: "tasks", path: "/tasks", query: () => ({ order: "oldest", limit: 100 }), key: (row) => String(row.id ?? row.task),
      empty: "No task is out.", open: (row) => modelHref(row.project, row.model),
      columns: [
        { title: "model", label: "", cell: (row) => h("a", { href: modelHref(row.project, row.model) }, nameOf(`${row.project}/${row.model}`)) },
        { title: "window", cell: (row) => (row.start ?? row.from ? slot(row.start ?? row.from, row.end ?? row.to) : "–") },
        { title: "lane", cell: (row) => row.lane },
        { title: "state", cell: (row) => row.state },
        { title: "attempt", kind: "number", cell: (row) => figure(row.attempt ?? row.attempts) },
        { title: "for", kind: "number", cell: (row) => duration(row.age_s ?? row.for_s) },
        { title: "executor", cell: (row) => visible(row.executor ?? row.worker ?? "") },
      ],
    });
    for (const panel of [flow, circuits, executors, tasks]) { screen.add(panel); main.append(panel.node); }
    screen.update = () => {};
  },
};

/** @param {any} data */
function flowOf(data) {
  const steps = data.flow || data.steps;
  const boxes = Array.isArray(steps) ? steps.map((/** @type {any} */ one) => [one.stage ?? one.name, one.tasks ?? one.count, one.oldest_s])
    : Object.entries(steps || data.outstanding || {}).filter(([, value]) => typeof value === "number").map(([name, value]) => [name.replaceAll("_", " "), value]);
  const partitions = data.partitions || [];
  return [
    h("p", { class: "row" }, boxes.map(([name, count, oldest], at) => [at ? "→" : null, h("span", { class: "tile" }, h("span", { class: "label" }, name), h("span", { class: "value" }, figure(Number(count))),
      oldest ? h("span", { class: "note" }, `oldest ${duration(Number(oldest))}`) : null)])),
    data.held_by || data.limited_by ? h("p", {}, "Held back by: ", visible(data.held_by || data.limited_by)) : null,
    partitions.length ? h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ["partition", "lag", "oldest", "owner"].map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, partitions.map((/** @type {any} */ one) => h("tr", {}, h("th", { scope: "row" }, visible(`${one.channel ?? ""} ${one.partition ?? ""}`)), h("td", { "data-title": "lag" }, figure(one.lag)),
        h("td", { "data-title": "oldest" }, duration(one.oldest_s)), h("td", { "data-title": "owner" }, visible(one.owner ?? "–")))))))
      : h("p", { class: "quiet" }, "There are no partitions: tasks go through the process's memory or the ledger's database."),
  ];
}
