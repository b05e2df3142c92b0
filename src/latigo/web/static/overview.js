// Overview: how it is doing, what is wrong and since when, by project, by stage, and what happened.

import { get } from "./api.js";
import { counted, figure, fill, h, nameOf, percent, visible } from "./dom.js";
import { Panel } from "./panel.js";
import { href, ownHref } from "./router.js";
import { verdictOf } from "./states.js";
import { shareStrip, sparkline } from "./strip.js";
import { age, duration, fullTime, when } from "./time.js";

const SHOWN = 30, WEEK_S = 7 * 86400;

export const overview = {
  title: "Overview",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    let all = false;
    /** @type {any} */
    let history = null;
    /** @type {Map<string, (number | null)[]>} */
    let strips = new Map();
    const tiles = h("div", { class: "tiles" });
    const summary = screen.add(new Panel({
      name: "summary", title: "How it is doing", every: 10000,
      load: (signal) => get("/status", { project: project(screen) }, { signal }),
      draw: (status) => { fill(tiles, tilesOf(status, history)); projectsPanel.take(status); stagesPanel.take(status); return sentences(status); },
    }));
    const projectsPanel = taking(summary, screen.add(new Panel({
      name: "projects", title: "Projects", every: 120000, events: [],
      load: (signal) => get("/grid/summary", { from: "-7d", to: "now", step_s: 3600, project: project(screen), group: "project" }, { signal }),
      draw: (grid) => { strips = stripsOf(grid); return projectsOf(summary.data, strips, all, () => { all = !all; projectsPanel.show(); }); },
    })), (status) => projectsOf(status, strips, all, () => { all = !all; projectsPanel.show(); }));
    const happened = screen.add(new Panel({
      name: "happened", title: "What happened", atMost: 10000,
      load: (signal) => get("/events/recent", { limit: 20 }, { signal }), draw: ({ items }) => eventsOf(items),
    }));
    const stagesPanel = taking(summary, h("section", { class: "panel stages", "aria-label": "Stages" }), stagesOf);
    const past = screen.add(new Panel({
      name: "history", every: 120000, atMost: 60000,
      load: (signal) => get("/history", { series: "fresh,live_oldest,backlog,rate", range: "24h", points: 96 }, { signal }),
      draw: (data) => { history = data; if (summary.data) fill(tiles, tilesOf(summary.data, history)); return null; },
    }));
    main.append(summary.node, tiles, projectsPanel.node, h("div", { class: "columns" }, stagesPanel.node, happened.node));
    screen.update = () => { summary.refresh(); projectsPanel.refresh?.(); };
    void past;
  },
};

/** @param {any} screen */
function project(screen) {
  void screen;
  return new URLSearchParams(location.search).get("project") || null;
}

/** Let a panel draw again with each status. @param {Panel} source @param {any} panel @param {(status: any) => any} draw */
function taking(source, panel, draw) {
  if (panel instanceof Panel) {
    return Object.assign(panel, { take: (/** @type {any} */ status) => fill(panel.body, draw(status)) });
  }
  return { node: panel, take: (/** @type {any} */ status) => fill(panel, draw(status)), show: () => source.show() };
}

/** @param {any} status */
function sentences(status) {
  const list = status.sentences?.length ? status.sentences : [{ severity: status.verdict, text: status.headline }];
  return h("ol", { class: "sentences" }, list.slice(0, 6).map((/** @type {any} */ one, /** @type {number} */ at) => {
    const [sign, words, kind] = verdictOf(one.severity);
    return h("li", { class: kind },
      h("span", { class: "sign", title: words }, sign),
      h("span", { class: "text" }, visible(one.text),
        one.since ? h("span", { class: "quiet", title: fullTime(one.since) }, ` · since ${when(one.since)} (${age(one.since)})`) : null,
        one.next_try ? h("span", { class: "quiet" }, ` · Latigo tries again in ${duration((Date.parse(one.next_try) - Date.now()) / 1000)}`) : null,
        at === 0 && one.automatic ? h("span", { class: "quiet" }, ` · ${one.automatic}`) : null),
      one.href ? h("a", { href: ownHref(one.href) }, `${linkWords(one.href)} →`) : h("span", {}));
  }));
}

/** @param {string} address */
function linkWords(address) {
  const part = address.split(/[/?]/).filter((word) => word && !["ui", "api", "v1"].includes(word))[0] || "";
  return { models: "Models", failures: "Failures", queue: "Queue", backfills: "Backfills", settings: "Settings", anomalies: "Anomalies" }[part] || "Open";
}

/** @param {any} status @param {any} history */
function tilesOf(status, history) {
  const { objective = {}, stale = {}, live = {}, backlog = {}, rates = {}, projects = [], executors = {} } = status;
  const sum = (/** @type {string} */ name) => projects.reduce((/** @type {number} */ total, /** @type {any} */ one) => total + (one[name] || 0), 0);
  const series = (/** @type {string} */ name) => history?.series?.[name]?.values ?? history?.series?.[name] ?? history?.[name] ?? null;
  const causes = Object.entries(stale.by_cause || {}).filter(([, number]) => number).sort((a, b) => Number(b[1]) - Number(a[1]));
  const possible = rates.possible;
  return [
    tile("Fresh", href("/models", { state: "stale" }), percent(objective.share), "",
      [objective.within_s ? `within ${duration(objective.within_s)} of due` : null,
        objective.budget_left === null || objective.budget_left === undefined ? null : `budget ${objective.budget_left < 0 ? "spent" : percent(objective.budget_left)}`,
        stale.total ? `${figure(stale.total)} stale: ${causes.slice(0, 3).map(([cause, number]) => `${number} ${cause}`).join(", ")}` : "none stale"], series("fresh"), "share of models that were fresh, last 24 h"),
    tile("Live", href("/queue"), figure(live.waiting ?? 0), "waiting",
      [live.oldest_s ? `oldest ${duration(live.oldest_s)}` : "nothing waits long"], series("live_oldest"), "age of the oldest live slot, last 24 h"),
    tile("Backfill", href("/backfills"), figure(backlog.slots), "slots",
      [backlog.slots ? `${figure(backlog.calls)} calls` : "nothing is left", backlog.eta_s ? `done in ${duration(backlog.eta_s)}` : null], series("backlog"), "slots left, last 24 h"),
    tile("Rate", href("/queue"), figure(rates.achieved, rates.achieved < 10 ? 1 : 0), "slots/s now",
      [`${figure(rates.needed, 1)} needed`, possible ? `${figure(possible, 1)} possible` : null, rates.limited_by || null,
        executors.alive === undefined ? null : counted(executors.alive, "executor")], series("rate"), "slots per second, last 24 h"),
    tile("Failures", href("/failures"), figure(sum("parked")), "models parked",
      [sum("stuck") ? `${figure(sum("stuck"))} stuck, newest slot included` : "none stuck"], null, ""),
    tile("Silent", href("/models", { state: "silent" }), figure(sum("silent")), "models", [sum("silent") ? "their sensors send no data" : "every sensor reports"], null, ""),
  ];
}

/**
 * @param {string} label @param {string} address @param {string} value @param {string} unit @param {(string | null)[]} notes
 * @param {(number | null)[] | null} series @param {string} words
 */
function tile(label, address, value, unit, notes, series, words) {
  return h("a", { class: "tile", href: address, key: label },
    h("span", { class: "label" }, label), h("span", { class: "value" }, value, " ", h("small", {}, unit)),
    series && series.filter((one) => one !== null).length > 1 ? sparkline(series, words) : null,
    notes.filter(Boolean).map((note) => h("span", { class: "note" }, visible(/** @type {string} */ (note)))));
}

/** Return the share that is not covered per hour, by project. @param {any} grid @returns {Map<string, (number | null)[]>} */
function stripsOf(grid) {
  const strips = new Map();
  for (const group of grid.groups || []) {
    const counts = group.counts || group.states || {};
    const of = (/** @type {string} */ name) => counts[name] || [];
    const columns = grid.columns || of("covered").length;
    const names = Object.keys(counts);
    strips.set(group.project, Array.from({ length: columns }, (_, at) => {
      const desired = names.filter((name) => !["not_desired", "none", "paused"].includes(name)).reduce((sum, name) => sum + (counts[name][at] || 0), 0);
      const done = ["covered", "provisional", "short", "absent"].reduce((sum, name) => sum + (of(name)[at] || 0), 0);
      return desired ? 1 - done / desired : null;
    }));
  }
  return strips;
}

/** @param {any} status @param {Map<string, (number | null)[]>} strips @param {boolean} all @param {() => void} toggle */
function projectsOf(status, strips, all, toggle) {
  if (!status) return null;
  const projects = status.projects || [];
  if (!projects.length) return h("p", { class: "empty" }, "No models yet: Latigo has no list of models. It reads one for each project in models.projects, every models.refresh.");
  const rows = [...projects].sort((a, b) => badness(b) - badness(a) || a.project.localeCompare(b.project));
  const shown = all ? rows : rows.slice(0, SHOWN);
  return [
    h("div", { class: "table" }, h("table", {},
      h("caption", { class: "hidden" }, "Projects, worst first"),
      h("thead", {}, h("tr", {}, ["project", "models", "fresh", "behind", "last 7 days", "stale", "parked", "silent", "list"].map((title, at) =>
        h("th", { scope: "col", class: [1, 5, 6, 7].includes(at) ? "number" : at === 4 ? "wide" : "" }, title)))),
      h("tbody", {}, shown.map((one) => projectRow(one, strips.get(one.project)))))),
    rows.length > SHOWN ? h("p", {}, h("button", { type: "button", onclick: toggle }, all ? `the worst ${SHOWN}` : `all ${rows.length}`)) : null,
  ];
}

/** @param {any} one */
function badness(one) {
  return (one.stuck || 0) * 1e6 + (one.parked || 0) * 1e4 + (one.stale || 0) * 1e2 + (one.silent || 0);
}

/** @param {any} one @param {(number | null)[] | undefined} strip */
function projectRow(one, strip) {
  const bad = one.stuck || one.quarantined, late = one.stale || (one.circuit && one.circuit !== "closed");
  const [sign, words, kind] = verdictOf(one.verdict ?? (bad ? "needs_attention" : late ? "recovering" : "healthy"));
  const share = one.models ? (one.fresh <= 1 && !Number.isInteger(one.fresh) ? one.fresh : one.fresh / one.models) : null;
  const lost = strip ? strip.filter((value) => value !== null && value > 0.2).length : 0;
  return h("tr", { key: one.project },
    h("th", { scope: "row" }, h("span", { class: `sign ${kind}`, title: words }, `${sign} `), h("a", { href: href("/models", { project: one.project }) }, nameOf(one.project))),
    h("td", { class: "number", "data-title": "models" }, figure(one.models)),
    h("td", { "data-title": "fresh" }, share === null ? "–" : [h("span", { class: "share", role: "img", "aria-label": `${percent(share)} fresh` }, h("i", { "width%": share * 100 })), percent(share)]),
    h("td", { "data-title": "behind" }, one.behind_s ? `${duration(one.behind_s)}` : "on time"),
    h("td", { class: "wide", "data-title": "" }, strip ? shareStrip(strip, lost ? `${counted(lost, "hour")} of the last 7 days with more than a fifth not covered` : "covered in the last 7 days") : h("span", { class: "quiet" }, "–")),
    numberCell("stale", one.stale), numberCell("parked", one.parked, one.project, "parked"), numberCell("silent", one.silent, one.project, "silent"),
    h("td", { "data-title": "list" },
      one.quarantined ? h("strong", {}, "quarantined ") : null,
      h("span", { class: "quiet", title: one.revision ? `revision ${one.revision}` : "" }, one.listed_at ? `${age(one.listed_at)} ago` : "never read"),
      one.circuit && one.circuit !== "closed" ? h("strong", {}, " unreachable") : null));
}

/** @param {string} title @param {number} number @param {string} [project] @param {string} [state] */
function numberCell(title, number, project, state) {
  return h("td", { class: "number", "data-title": title }, number && state ? h("a", { href: href("/models", { project: project ?? null, state }) }, figure(number)) : figure(number ?? 0));
}

/** @param {any} status */
function stagesOf(status) {
  const stages = status.stages || [];
  const longest = Math.max(...stages.map((/** @type {any} */ one) => one.share || 0), 0);
  return [h("h2", {}, "Stages of a task, last 5 min"), stages.length ? h("div", { class: "table" }, h("table", {},
    h("caption", { class: "hidden" }, "Where the time of a task goes"),
    h("thead", {}, h("tr", {}, ["stage", "median", "95 %", "share of time"].map((title, at) => h("th", { scope: "col", class: at === 1 || at === 2 ? "number" : "" }, title)))),
    h("tbody", {}, stages.map((/** @type {any} */ one) => h("tr", { key: one.stage },
      h("th", { scope: "row" }, one.stage, one.share === longest && longest ? h("strong", {}, " ◂ longest") : null),
      h("td", { class: "number", "data-title": "median" }, duration(one.median_s)),
      h("td", { class: "number", "data-title": "95 %" }, duration(one.p95_s)),
      h("td", { "data-title": "share" }, h("span", { class: "share meter", role: "img", "aria-label": percent(one.share) }, h("i", { "width%": (one.share || 0) * 100 })), percent(one.share))))))) : h("p", { class: "empty" }, "No task has ended in the last 5 minutes.")];
}

/** @param {any[]} items */
function eventsOf(items) {
  if (!items.length) return h("p", { class: "empty" }, "Nothing yet. Revisions, circuits, lists, executors and what people did will be listed here.");
  return h("ol", { class: "events" }, items.map((one) => h("li", {},
    h("span", { class: "quiet", title: fullTime(one.at) }, when(one.at)),
    h("span", {}, one.href ? h("a", { href: ownHref(one.href) }, visible(one.text ?? one.kind)) : visible(one.text ?? one.kind), one.who ? h("span", { class: "quiet" }, ` · ${visible(one.who)}`) : null))));
}
