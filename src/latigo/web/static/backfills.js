// Backfills: what was asked for, how far each is, and one of them in detail.

import { get } from "./api.js";
import { counted, figure, h, meter, visible } from "./dom.js";
import { acts } from "./later.js";
import { listPanel, walk } from "./lists.js";
import { Panel } from "./panel.js";
import { href, place } from "./router.js";
import { fullTime, when, zoneLabel } from "./time.js";

const VERBS = /** @type {{[kind: string]: string}} */ ({ fill: "fill what is missing", replace: "predict again", copy: "copy to a sink", recompute: "predict again", sweep: "predict again" });

export const backfills = {
  title: "Backfills",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const id = place().parts[1];
    if (id) { one(main, screen, id); return; }
    const panel = screen.add(listPanel({
      title: "Backfills", extra: acts("New backfill…", "backfill", () => ({ from: new Date(screen.range.from).toISOString(), to: "now" })), name: "requests", path: "/requests", query: () => ({ limit: 100 }), events: ["request", "status"],
      key: (row) => String(row.id), open: (row) => href(`/backfills/${row.id}`),
      empty: "No backfill was ever asked for. Missing time is filled by itself; ask for one to reach further back, or to predict again.",
      columns: [
        { title: "request", label: "", cell: (row) => h("a", { href: href(`/backfills/${row.id}`) }, `#${row.id} ${VERBS[row.kind] ?? row.kind ?? ""}`) },
        { title: "state", cell: (row) => row.state },
        { title: "of", cell: (row) => visible(selection(row)) },
        { title: "time", cell: (row) => range(row) },
        { title: "progress", cell: progress },
        { title: "actions", label: "", cell: changes },
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
  const { names, sensor, sink } = row.selector;
  const text = [names?.length ? names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "") : null, sensor ? `sensor ${sensor}` : null, sink ?? row.sink ? `to ${sink ?? row.sink}` : null].filter(Boolean).join("; ");
  return text || counted(row.models, "model");
}

/** Return the buttons for what may be done with a request. @param {any} row */
function changes(row) {
  const verbs = { active: ["pause", "cancel"], paused: ["resume", "cancel"] }[/** @type {"active"} */ (row.state)] || [];
  return verbs.length ? h("span", { class: "row" }, verbs.map((verb) => acts(`${verb[0].toUpperCase()}${verb.slice(1)}…`, "changeRequest", row.id, verb))) : null;
}

/** @param {any} row */
function range(row) {
  return h("span", { title: `${fullTime(row.start)} – ${fullTime(row.end)}` }, `${when(row.start, true)} – ${when(row.end, true)} ${zoneLabel()}`);
}

/** @param {any} row */
function progress(row) {
  const share = row.slots ? (row.slots - row.slots_left) / row.slots : 1;
  return [meter(share), row.slots_parked ? ` · ${figure(row.slots_parked)} slots failed` : "",
    row.backfill_paused ? " · waits: backfill is paused" : ""];
}

/** @param {HTMLElement} main @param {any} screen @param {string} id */
function one(main, screen, id) {
  const panel = screen.add(new Panel({
    title: `Backfill #${visible(id)}`, name: "request", events: ["request", "status"],
    load: (signal) => get(`/requests/${encodeURIComponent(id)}`, {}, { signal }),
    draw: (row) => [
      h("p", {}, h("strong", {}, VERBS[row.kind] ?? row.kind), ` · ${row.state}${row.note ? `: ${visible(row.note)}` : ""} · `, visible(selection(row)), " · ", range(row)),
      h("p", {}, progress(row)),
      h("dl", { class: "pairs" }, [["models", figure(row.models)], ["models left", figure(row.models_left)], ["slots", figure(row.slots)], ["slots left", figure(row.slots_left)],
        ["slots that failed", figure(row.slots_parked)], ["tasks out now", figure(row.tasks)], ["asked by", `${visible(row.who)}, ${when(row.at)} ${zoneLabel()}`], ["why", visible(row.why || "–")],
        ["ended", row.ended_at ? when(row.ended_at) : "–"]].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      changes(row),
    ],
  }));
  main.append(h("p", {}, h("a", { href: href("/backfills") }, "← all backfills")), panel.node);
  screen.update = () => panel.refresh();
}
