// Overview: how it is doing, what is wrong and since when, by project, by stage, and what happened.

import { get } from "./api.js";
import { counted, figure, fill, h, meter, nameOf, percent, visible, withoutCommand } from "./dom.js";
import { Panel } from "./panel.js";
import { href, ownHref, place } from "./router.js";
import { STATES, verdictOf } from "./states.js";
import { shareStrip, sparkline } from "./strip.js";
import { Table } from "./table.js";
import { age, duration, fullTime, when } from "./time.js";

/** A line of fewer points says nothing yet. */
const LEAST_POINTS = 8;
const SHOWN = 30, MOST_CAUSES = 6, STATE_COUNT = STATES.length, MISSING = 6, PARKED = 7, EXPIRED = 8;

export const overview = {
  title: "Overview",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    let all = false;
    /** @type {Map<string, (number | null)[]>} */
    let strips = new Map();
    const tiles = h("div", { class: "tiles" });
    const stages = h("section", { class: "panel stages", "aria-label": "Stages" });
    const drawProjects = () => projectsOf(screen.status(), strips, all, () => { all = !all; projects.show(); });
    const causes = h("section", { class: "panel summary", "aria-label": "How it is doing" });
    const projects = screen.add(new Panel({
      name: "projects", title: "Projects", events: [],
      load: async (signal) => {
        const grid = await get("/grid", { from: "-7d", to: "now", step_s: 3600, order: "name" }, { signal });
        return { grid, counts: grid.rows ? await get("/grid/summary", { version: grid.version }, { signal, octets: true }) : null, received: grid.received };
      },
      draw: ({ grid, counts }) => { strips = stripsOf(grid, counts); return drawProjects(); },
    }));
    const happened = screen.add(new Panel({
      name: "happened", title: "What happened", atMost: 10000,
      load: (signal) => get("/events/recent", { limit: 20 }, { signal }), draw: ({ items }) => eventsOf(items),
    }));
    const past = screen.add(new Panel({
      name: "history", events: [], load: (signal) => get("/history", { points: 96 }, { signal }), draw: () => { screen.onStatus(); return null; },
    }));
    screen.onStatus = () => {
      const status = screen.status();
      stages.hidden = !status;
      causes.setAttribute("aria-busy", String(!status));
      if (!status) { fill(causes, h("p", { class: "quiet" }, "Loading…")); return; }
      causes.className = `panel summary ${verdictOf(status.state)[2]}`;
      fill(causes, causesOf(status));
      fill(tiles, tilesOf(status, past.data?.lines || []));
      fill(stages, stagesOf(status));
      if (projects.data === null) fill(projects.body, drawProjects());
      else projects.show();
    };
    main.append(causes, tiles, projects.node, h("div", { class: "columns" }, stages, happened.node));
    screen.update = () => screen.onStatus();
    screen.onStatus();
  },
};

/** @param {any} status */
function causesOf(status) {
  const list = status.causes.length ? status.causes : [{ state: status.state, text: status.headline }];
  return h("ol", { class: "sentences" }, list.slice(0, MOST_CAUSES).map((/** @type {any} */ one, /** @type {number} */ at) => {
    const [sign, words, kind] = verdictOf(one.state);
    return h("li", {},
      h("span", { class: `sign ${kind}`, title: words }, sign),
      h("span", { class: "text" }, visible(withoutCommand(at ? one.text : status.headline)),
        one.since ? h("span", { class: "quiet", title: fullTime(one.since) }, ` · since ${when(one.since)} (${age(one.since)})`) : null,
        one.next_try ? h("span", { class: "quiet" }, ` · Latigo tries again in ${duration((Date.parse(one.next_try) - Date.now()) / 1000)}`) : null),
      one.href ? h("a", { href: ownHref(one.href) }, `${linkWords(one.href)} →`) : h("span", {}));
  }), list.length > MOST_CAUSES ? h("li", {}, h("span", {}), h("span", { class: "quiet" }, `and ${list.length - MOST_CAUSES} more: latigo status lists all`), h("span", {})) : null);
}

/** Return the name of the screen that an address of the API is of. @param {string} address */
function linkWords(address) {
  return address.charAt(0).toUpperCase() + address.slice(1).split(/[/?]/)[0];
}

/** @param {any} status @param {any[]} lines */
function tilesOf(status, lines) {
  const { freshness, backlog, rates, outstanding, projects, executors } = status;
  const sum = (/** @type {string} */ name) => projects.reduce((/** @type {number} */ total, /** @type {any} */ one) => total + (one[name] || 0), 0);
  const causes = Object.entries(freshness.stale_by_cause || {}).filter(([, number]) => number).sort((a, b) => Number(b[1]) - Number(a[1]));
  const models = freshness.fresh + freshness.stale;
  const possible = rates.possible_slots_per_second, needed = rates.needed_slots_per_second, now = rates.covered_slots_per_second;
  const line = (/** @type {string} */ name) => lines.find(({ series }) => series === name)?.values ?? [];
  return [
    tile("Fresh", href("/models", { order: "behind", view: "table" }), models ? percent(freshness.fresh / models) : "–", "now",
      [freshness.share === null ? null : `${percent(freshness.share)} of the last 30 days, goal ${percent(freshness.target)}`,
        freshness.budget_left === null ? null : freshness.budget_left <= 0 ? "budget spent" : `budget left ${percent(freshness.budget_left)}`,
        freshness.stale ? `${figure(freshness.stale)} stale${causes.length ? `, by cause: ${causes.slice(0, 3).map(([cause, number]) => `${cause === "latigo" ? "Latigo itself" : cause} ${figure(Number(number))}`).join(", ")}` : ""}` : null], line("fresh"),
      models > 0 && freshness.fresh / models < freshness.target),
    tile("Live", href("/queue"), figure(outstanding.live), "tasks out",
      [outstanding.oldest_live_at ? `oldest ${age(outstanding.oldest_live_at)}` : "nothing waits", outstanding.waiting ? `${figure(outstanding.waiting)} wait for another attempt, or for the end of a pause` : null], line("live_oldest")),
    tile("Backfill", href("/backfills"), figure(backlog.slots), "slots left",
      [backlog.slots ? `${figure(backlog.calls)} calls` : "nothing is left", backlog.seconds ? `done in ${duration(backlog.seconds)}` : null], line("backlog")),
    tile("Rate", href("/queue"), figure(now, now < 10 ? 1 : 0), "slots/s now",
      [`${figure(needed, needed < 10 ? 1 : 0)} needed${possible ? `, ${figure(possible, possible < 10 ? 1 : 0)} possible` : ""}`,
        status.limited_by && !status.limited_by.startsWith("nothing") ? `limited by ${status.limited_by}` : null, counted(executors.length, "executor")], line("rate")),
    tile("Failures", href("/failures"), figure(sum("parked")), sum("parked") === 1 ? "model parked" : "models parked",
      [sum("stuck") ? `${figure(sum("stuck"))} get no predictions` : sum("parked") ? "newer slots are predicted" : "nothing waits for you"], [], sum("stuck") > 0),
    tile("Silent", href("/failures", { by: "sensor" }), figure(sum("silent")), sum("silent") === 1 ? "model" : "models",
      [sum("silent") && status.silent_sensor_count ? `wait for ${counted(status.silent_sensor_count, "sensor")} without readings` : "every sensor reports"]),
  ];
}

/** @param {string} label @param {string} address @param {string} value @param {string} unit @param {(string | null)[]} notes @param {(number | null)[]} [line] @param {boolean} [bad] */
function tile(label, address, value, unit, notes, line = [], bad = false) {
  return h("a", { class: bad ? "tile bad" : "tile", href: address, key: label },
    h("span", { class: "label" }, label), h("span", { class: "value" }, value, " ", h("small", {}, unit)),
    line.filter((value) => value !== null).length >= LEAST_POINTS ? sparkline(line, `${label}, last 24 h`, Math.max(...line.map(Number))) : null,
    notes.filter(Boolean).map((note) => h("span", { class: "note" }, visible(/** @type {string} */ (note)))));
}

/**
 * Return the share that is not covered per column, by project.
 * @param {any} grid @param {Uint8Array | null} octets  16-bit counts by group, column and state
 * @returns {Map<string, (number | null)[]>}
 */
function stripsOf(grid, octets) {
  const strips = new Map();
  if (!octets) return strips;
  const counts = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  grid.groups.forEach((/** @type {any} */ group, /** @type {number} */ at) => {
    strips.set(group.project, Array.from({ length: grid.columns }, (_, column) => {
      const of = (/** @type {number} */ code) => counts.getUint16(((at * grid.columns + column) * STATE_COUNT + code) * 2, true);
      const lacking = of(MISSING) + of(PARKED) + of(EXPIRED);
      const desired = lacking + of(1) + of(2) + of(3) + of(4) + of(5);
      return desired ? lacking / desired : null;
    }));
  });
  return strips;
}

/** @param {any} status @param {Map<string, (number | null)[]>} strips @param {boolean} all @param {() => void} toggle */
function projectsOf(status, strips, all, toggle) {
  if (!status) return null;
  const wanted = place().query.get("project");
  const projects = status.projects.filter((/** @type {any} */ one) => !wanted || one.project === wanted);
  if (!projects.length) return h("p", { class: "empty" }, "No models yet: Latigo has read no list of models so far. It reads one for each project in models.projects, every models.refresh.");
  const rows = [...projects].sort((a, b) => badness(b) - badness(a) || a.project.localeCompare(b.project));
  const shown = all ? rows : rows.slice(0, SHOWN);
  return [
    h("div", { class: "table" }, h("table", {},
      h("caption", { class: "hidden" }, "Projects, worst first"),
      h("thead", {}, h("tr", {}, ["project", "models", "fresh", "behind", "last 7 days: what is missing", "stale", "parked", "silent", "list of models"].map((title, at) =>
        h("th", { scope: "col", class: [1, 5, 6, 7].includes(at) ? "number" : at === 4 ? "wide" : "" }, title)))),
      h("tbody", {}, shown.map((one) => projectRow(one, strips.get(one.project), status.now))))),
    rows.length > SHOWN ? h("p", {}, h("button", { type: "button", onclick: toggle }, all ? `the worst ${SHOWN}` : `all ${rows.length}`)) : null,
  ];
}

/** @param {any} one */
function badness(one) {
  return (one.state === "needs_attention" ? 1e9 : one.state === "recovering" ? 1e8 : 0) + (one.stuck || 0) * 1e5 + one.parked * 1e3 + one.stale * 10 + one.silent;
}

/** @param {any} one @param {(number | null)[] | undefined} strip @param {string} now */
function projectRow(one, strip, now) {
  const [sign, words, kind] = verdictOf(one.state);
  const models = one.fresh + one.stale;
  const lost = strip ? strip.filter((value) => value !== null && value > 0.2).length : 0;
  return h("tr", { key: one.project },
    h("th", { scope: "row" }, h("span", { class: `sign ${kind}`, title: words }, `${sign} `), h("a", { href: href("/models", { project: one.project }) }, nameOf(one.project))),
    h("td", { class: "number", "data-title": "models" }, figure(one.active)),
    h("td", { "data-title": "fresh" }, models ? meter(one.fresh / models, undefined, "fresh") : "–"),
    h("td", { "data-title": "behind" }, one.late && one.behind_s ? h("span", { title: one.oldest ? `settled until ${fullTime(one.oldest)}` : "" }, `${duration(one.behind_s)}, ${counted(one.late, "model")}`) : "on time"),
    h("td", { class: "wide", "data-title": "" }, strip ? shareStrip(strip, lost ? `${counted(lost, "hour")} of the last 7 days with more than a fifth missing` : "nothing large is missing in the last 7 days") : h("span", { class: "quiet" }, "–")),
    numberCell("stale", one.stale), numberCell("parked", one.parked, one.project, "parked"), numberCell("silent", one.silent, one.project, "silent"),
    h("td", { "data-title": "list" },
      one.doubted_since ? h("strong", {}, "quarantined ") : null,
      h("span", { class: "quiet", title: one.revision ? `revision ${one.revision}` : "" }, one.listed_at ? `${age(one.listed_at, Math.max(Date.parse(now), Date.parse(one.listed_at)))} old` : "never read"),
      one.circuit ? h("strong", { title: visible(one.circuit) }, " unreachable") : null));
}

/** @param {string} title @param {number} number @param {string} [project] @param {string} [state] */
function numberCell(title, number, project, state) {
  return h("td", { class: "number", "data-title": title }, number && state ? h("a", { href: href("/models", { project: project ?? null, state }) }, figure(number)) : figure(number ?? 0));
}

/** @param {any} status */
function stagesOf(status) {
  const stages = status.stages || [];
  const longest = Math.max(...stages.map((/** @type {any} */ one) => one.share || 0), 0);
  return [h("h2", {}, "Stages of a task, last 5 min"), stages.length ? new Table({
    caption: "Where the time of a task goes", key: (one) => one.stage, columns: [
      { title: "stage", label: "", cell: (one) => [one.stage, one.share === longest && longest ? h("strong", {}, " ◂ longest") : null] },
      { title: "median", kind: "number", cell: (one) => duration(one.median_s) }, { title: "95 %", kind: "number", cell: (one) => duration(one.p95_s) },
      { title: "share of time", cell: (one) => meter(one.share) }],
  }).draw(stages, () => {}) : h("p", { class: "empty" }, "No task has ended in the last 5 minutes.")];
}

/** @param {any[]} items */
function eventsOf(items) {
  if (!items.length) return h("p", { class: "empty" }, "Nothing yet. Revisions, circuits, lists, executors and what people did will be listed here.");
  return h("ol", { class: "events" }, items.map((one) => h("li", {},
    h("span", { class: "quiet", title: fullTime(one.at) }, when(one.at)),
    h("span", {}, visible(one.text), one.who && !one.text.includes(one.who) ? h("span", { class: "quiet" }, ` · ${visible(one.who)}`) : null))));
}
