// Queue and executors: what flows, who works, what is unavailable, and what takes longest.

import { get } from "./api.js";
import { counted, figure, h, meter, nameOf, visible } from "./dom.js";
import { listPanel } from "./lists.js";
import { Panel } from "./panel.js";
import { modelHref } from "./router.js";
import { Table } from "./table.js";
import { age, duration, fullTime, slot, when } from "./time.js";

export const queue = {
  title: "Queue",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const flow = new Panel({ title: "Flow", name: "flow", load: (signal) => get("/queue", {}, { signal }), draw: flowOf });
    const left = new Panel({
      name: "left", events: ["executors"], every: 60000, load: (signal) => get("/events/recent", { limit: 20 }, { signal }),
      draw: () => { if (executors.data) executors.show(); return null; },
    });
    const executors = listPanel({
      note: () => leftOf(left.data?.items || []),
      title: "Executors", name: "executors", path: "/executors", events: ["executors", "status"], key: (row) => row.id,
      empty: "No executor is running, so nothing is predicted. Start one: latigo serve --role executor",
      columns: [
        { title: "executor", label: "", cell: (row) => nameOf(row.id) },
        { title: "in flight", cell: (row) => meter(row.in_flight / Math.max(row.concurrency, 1), `${row.in_flight}, limit now ${row.working_limit} of ${row.concurrency}`) },
        { title: "seen", cell: seen },
        { title: "since", cell: (row) => h("span", { title: fullTime(row.started_at) }, when(row.started_at)) },
        { title: "version", cell: (row) => visible(row.version) },
        { title: "drained", optional: true, cell: (row) => (row.drained_at ? `since ${when(row.drained_at)} by ${visible(row.drained_by)}: ${visible(row.drain_reason)}` : "") },
      ],
    });
    const circuits = listPanel({
      title: "Circuits", name: "circuits", path: "/circuits", events: ["circuits", "status"], key: (row) => row.downstream,
      empty: "Every system is available: no circuit is open.",
      columns: [
        { title: "system", label: "", cell: (row) => nameOf(row.downstream) },
        { title: "since", cell: (row) => h("span", { title: fullTime(row.opened_at) }, when(row.opened_at)) },
        { title: "reason", kind: "wide", cell: (row) => visible(row.reason || "") },
        { title: "next probe", cell: (row) => `in ${duration((Date.parse(row.probe_at) - Date.now()) / 1000)}` },
        { title: "models held", kind: "number", cell: (row) => figure(row.held_models) },
      ],
    });
    const tasks = listPanel({
      title: "In flight, oldest first", name: "tasks", path: "/tasks", query: () => ({ limit: matchMedia("(max-width: 640px)").matches ? 25 : 100 }), key: (row) => `${row.project}/${row.model} ${row.start} ${row.lane}`,
      empty: "No task is out.", open: (row) => modelHref(row.project, row.model),
      columns: [
        { title: "model", label: "", cell: (row) => h("a", { href: modelHref(row.project, row.model) }, nameOf(`${row.project}/${row.model}`)) },
        { title: "window", cell: (row) => slot(row.start, row.end) },
        { title: "lane", cell: (row) => row.lane },
        { title: "state", cell: (row) => row.state },
        { title: "attempt", kind: "number", cell: (row) => figure(row.attempts + 1) },
        { title: "for", kind: "number", cell: (row) => age(row.claimed_at ?? row.planned_at) },
        { title: "executor", optional: true, cell: (row) => (row.executor ? nameOf(row.executor) : "") },
        { title: "last attempt", optional: true, kind: "wide", cell: (row) => visible(row.detail) },
      ],
    });
    for (const panel of [flow, circuits, executors, tasks]) { screen.add(panel); main.append(panel.node); }
    screen.add(left);
    screen.update = () => {};
  },
};

/** Executors are seen every few seconds; one that is not may be stopped, or cut off from the ledger. */
const UNSEEN_S = 20;

/** @param {any} row */
function seen(row) {
  const late = (Date.now() - Date.parse(row.seen_at)) / 1000 > UNSEEN_S;
  return late ? h("strong", { class: "over", title: fullTime(row.seen_at) }, `▲ not seen for ${age(row.seen_at)}`) : `${age(row.seen_at)} ago`;
}

/** Return which executors have left within the last hour, by themselves or not. @param {any[]} events */
function leftOf(events) {
  const gone = events.filter(({ kind, text, at }) => kind === "executor" && text.endsWith(" left") && Date.now() - Date.parse(at) < 3600e3);
  return gone.length ? h("p", {}, "▼ Within the last hour: ", gone.slice(0, 5).map(({ text, at }, place) => [place ? ", " : "", h("span", { title: fullTime(at) }, `${visible(text)} at ${when(at)}`)]),
    gone.length > 5 ? ` and ${gone.length - 5} more` : "", ". One that ended or does not answer is listed here; what it had is taken over by others.") : null;
}

const QUEUES = /** @type {{[kind: string]: string}} */ ({
  internal: "Tasks go through this process's memory; there are no partitions.",
  postgres: "Tasks go through the ledger's database; there are no partitions.",
  eventhub: "Tasks go through Event Hubs.",
});

/** @param {any} data */
function flowOf(data) {
  const { tasks, queued, oldest } = data.ledger;
  const boxes = [["outstanding", tasks.outstanding, null], ["of them live", tasks.live, tasks.oldest_live_at], ["not published yet", tasks.unpublished, null],
    ["not taken yet", queued, oldest], ["wait for another attempt, or for the end of a pause", tasks.waiting, null]];
  return [
    h("p", {}, QUEUES[data.kind] ?? ""),
    h("div", { class: "tiles" }, boxes.map(([name, count, since]) => h("div", { class: "tile" }, h("span", { class: "label" }, name), h("span", { class: "value" }, figure(count)),
      since ? h("span", { class: "note" }, `oldest ${age(since)}`) : null))),
    data.outages.map((/** @type {any} */ one) => h("p", { class: "problem" }, `The queue is unreachable for ${counted(one.processes, one.role)} since ${when(one.since)}: ${visible(one.reason)}`)),
    data.partitions.length ? new Table({
      caption: "Partitions", key: (row) => row.partition, columns: [
        { title: "partition", label: "", cell: (row) => visible(row.partition) }, { title: "lag", kind: "number", cell: (row) => figure(row.lag) },
        { title: "checkpoint", kind: "number", cell: (row) => row.checkpoint ?? "–" }, { title: "last", kind: "number", cell: (row) => row.last }, { title: "read", cell: (row) => `${age(row.read_at)} ago` }],
    }).draw(data.partitions, () => {}) : null,
  ];
}
