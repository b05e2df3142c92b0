// Settings and health: the systems that Latigo uses, its settings and where they come from, lists, actions, and versions.

import { get } from "./api.js";
import { copy, counted, figure, fill, h, nameOf, visible } from "./dom.js";
import { acts } from "./later.js";
import { listPanel, walk } from "./lists.js";
import { Panel } from "./panel.js";
import { href, place, set } from "./router.js";
import { age, fullTime, moment, when } from "./time.js";

const root = document.documentElement.dataset.base || "";
const TABS = [["health", "Health"], ["settings", "Settings"], ["lists", "Lists"], ["actions", "Actions"], ["about", "About"]];
const PARTS = /** @type {{[part: string]: string}} */ ({ ledger: "Ledger", task_queue: "Task queue", models: "Model server", sensors: "Source of readings", predictions: "Sink" });
const LINKS = [["api/v1/openapi.json", "the API"], ["metrics", "metrics for Prometheus"], ["livez", "whether this process is alive"], ["readyz", "whether it can do its work"]];

export const settings = {
  title: "Settings",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const tabs = h("div", { class: "tabs", role: "tablist" }), content = h("div", { role: "tabpanel" });
    main.append(h("section", { class: "panel", "aria-label": "Settings and health" }, tabs, content));
    /** @type {{[tab: string]: (screen: any) => any}} */
    const made = { health, settings: values, lists, actions, about };
    /** @type {any} */
    let panel = null;
    let shown = "";
    screen.update = () => {
      const wanted = place().query.get("tab") || "health";
      const tab = wanted in made ? wanted : "health";
      if (tab === shown) { panel?.refresh(); return; }
      shown = tab;
      fill(tabs, TABS.map(([key, text]) => h("button", { type: "button", role: "tab", "aria-selected": String(key === tab), onclick: () => set({ tab: key, q: null }) }, text)));
      if (panel) { panel.close(); screen.panels.splice(screen.panels.indexOf(panel), 1); }
      panel = screen.add(made[tab](screen));
      panel.node.classList.remove("panel");
      content.replaceChildren(panel.node);
      walk(() => panel.table || { move() {}, address: () => null });
    };
    screen.update();
  },
};

/** The systems that are used, those that are unavailable first. */
function health() {
  return listPanel({
    title: "Systems", name: "systems", path: "/about", events: ["circuits", "executors"], key: (row) => `${row.part} ${row.name}`,
    items: (data) => [...data.systems].sort((a, b) => Number(!!b.unavailable) - Number(!!a.unavailable)),
    empty: "Nothing is configured.",
    note: (data) => {
      const down = data.systems.filter((/** @type {any} */ one) => one.unavailable).length;
      const versions = data.executors.map((/** @type {any} */ one) => `${counted(one.executors, "executor")} of ${one.version}`).join(", ");
      return [
        h("p", {}, h("strong", {}, down ? `▲ ${counted(down, "system")} of ${data.systems.length} unavailable.` : `● All ${data.systems.length} systems are in use; no circuit is open.`)),
        h("p", { class: "quiet" }, `${versions || "No executor runs"}. The schema of the ledger is ${data.ledger_revision}${data.ledger_revision === data.newest_revision ? "" : `, and this version knows ${data.newest_revision}: run latigo migrate`}.`,
          data.executors.length > 1 ? " Executors have different versions, as during an upgrade." : ""),
        h("p", { class: "quiet" }, "To reach every system now, from the machine that runs Latigo: ", h("button", { type: "button", class: "plain", onclick: () => copy("latigo check") }, h("code", {}, "latigo check"))),
      ];
    },
    columns: [
      { title: "system", label: "", cell: (row) => nameOf(row.name) },
      { title: "is", cell: (row) => `${PARTS[row.part] || row.part} (${visible(row.kind)})` },
      { title: "state", cell: (row) => (row.unavailable ? h("span", { class: "sign needs-attention" }, "▲ not used for now") : "● in use") },
      { title: "since", cell: (row) => (row.unavailable ? h("span", { title: fullTime(row.unavailable.opened_at) }, `${when(row.unavailable.opened_at)} (${age(row.unavailable.opened_at)})`) : ""), optional: true },
      { title: "next probe", optional: true, cell: (row) => (row.unavailable ? when(row.unavailable.probe_at) : "") },
      { title: "note", kind: "wide", cell: (row) => visible(row.unavailable ? `${row.unavailable.reason}${row.unavailable.held_models ? ` · ${counted(row.unavailable.held_models, "model")} held` : ""}` : row.note) },
    ],
  });
}

/** The settings of the process that answers. */
function values() {
  const field = h("input", { type: "search", "aria-label": "Search among the settings", placeholder: "parts of keys", value: place().query.get("q") || "", spellcheck: "false", oninput: () => set({ q: field.value || null }, true) });
  return listPanel({
    title: "Settings", name: "values", path: "/settings", events: [], key: (row) => row.key, extra: field,
    items: (data) => data.settings.filter((/** @type {any} */ row) => (place().query.get("q") || "").toLowerCase().split(/\s+/).every((part) => row.key.toLowerCase().includes(part))),
    empty: "No key has all of these parts.",
    note: (data) => [
      h("p", { class: "quiet" }, "Of the process that answers: those that are no default first, secrets masked. They change with its restart, but for the limits, which ", h("a", { href: href("/queue") }, "can be changed"), " while it runs, and secrets in files, which are read again by themselves."),
      data.overrides.length ? [h("h3", {}, "Overrides"), h("ul", {}, data.overrides.map((/** @type {any} */ one) => h("li", {}, h("code", {}, visible(one.match)), ` matches ${counted(one.models, "model")}: `,
        h("code", {}, visible(Object.entries(one.changes).map(([key, value]) => `${key} = ${text(value)}`).join(", "))))))] : null,
    ],
    columns: [
      { title: "key", label: "", cell: (row) => h("code", {}, visible(row.key)) },
      { title: "value", kind: "wide", cell: (row) => [h("code", {}, visible(text(row.value))), live(row)] },
      { title: "from", cell: (row) => (row.source === "default" ? h("span", { class: "quiet" }, "default") : visible(row.source === "secret file" ? `a file that ${row.where} names` : row.where || row.source)) },
      { title: "default", kind: "wide", cell: (row) => (row.changed && row.default !== null ? h("span", { class: "quiet" }, visible(text(row.default))) : "") },
      { title: "changes", optional: true, cell: (row) => (row.live ? h("a", { href: href("/queue") }, "while it runs") : "") },
    ],
  });
}

/** @param {any} value */
function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return what holds instead of a setting. @param {any} row */
function live(row) {
  if (!row.live?.changed_at) return null;
  return h("p", {}, `▲ ${figure(row.live.now, row.live.now % 1 ? 2 : 0)} now, set by ${visible(row.live.changed_by)} ${when(row.live.changed_at)}: ${visible(row.live.reason || "no reason given")}`);
}

/** The lists of models. */
function lists() {
  return listPanel({
    title: "Lists of models", name: "lists", path: "/projects", events: ["status"], key: (row) => row.project, empty: "No project is known yet.",
    open: (row) => href("/models", { project: row.project, view: "table" }),
    columns: [
      { title: "project", label: "", cell: (row) => h("a", { href: href("/models", { project: row.project, view: "table" }) }, nameOf(row.project)) },
      { title: "last read", cell: (row) => (row.listed_at ? h("span", { title: fullTime(row.listed_at) }, `${age(row.listed_at)} ago`) : "never") },
      { title: "revision", cell: (row) => h("span", { class: "quiet" }, visible(row.revision || "–")) },
      ...[["active", "active"], ["paused", "paused"], ["unusable", "unusable"], ["missing", "missing"], ["retired", "retired"], ["not built", "not_built"], ["undescribed", "undescribed"]].map(([title, name]) =>
        ({ title, kind: "number", optional: name !== "active", cell: (/** @type {any} */ row) => (row[name] || name === "active" ? figure(row[name]) : "") })),
      { title: "state", kind: "wide", cell: (row) => (row.doubted_since
        ? [h("strong", {}, "▲ Quarantined"), ` since ${when(row.doubted_since)}: the list has lost many models at once, and the one of before is used. `, acts("Accept…", "acceptLoss", row.project)]
        : row.error ? `▲ ${visible(row.error)}` : row.outdated_since && moment(row.outdated_since) ? `The server lists an older revision since ${when(row.outdated_since)}` : "● as listed") },
    ],
  });
}

/** What people did. */
function actions() {
  return listPanel({
    title: "What people did", name: "actions", path: "/actions", query: () => ({ limit: 100, who: place().query.get("who") || null, kind: place().query.get("kind") || null }), key: (row) => String(row.id),
    empty: "No action is recorded yet. What people change is listed here, with who, when and why.",
    note: () => (place().query.get("who") || place().query.get("kind") ? h("p", { class: "row" }, `Only ${[place().query.get("who"), place().query.get("kind")].filter(Boolean).map((one) => visible(one || "")).join(", ")}`,
      h("button", { type: "button", onclick: () => set({ who: null, kind: null }) }, "All actions")) : null),
    columns: [
      { title: "when", label: "", cell: (row) => h("span", { title: fullTime(row.at) }, when(row.at)) },
      { title: "who", cell: (row) => h("button", { type: "button", class: "plain", title: "Only theirs", onclick: () => set({ who: row.who }) }, visible(row.who ?? "")) },
      { title: "what", cell: (row) => h("button", { type: "button", class: "plain", title: "Only of this kind", onclick: () => set({ kind: row.kind }) }, visible(row.kind)) },
      { title: "of", cell: (row) => visible(Object.entries(row.selector || {}).filter(([name, value]) => value !== null && !["why", "note"].includes(name) && !(name === "reason" && value === row.reason)).map(([name, value]) => `${name} ${[value].flat().join(", ")}`).join("; ")) },
      { title: "result", cell: (row) => visible(row.state ?? row.result ?? "") },
      { title: "why", kind: "wide", cell: (row) => visible(row.reason) },
    ],
  });
}

/** Versions, and the addresses for programs. */
function about() {
  return new Panel({
    name: "versions", title: "About", events: [], load: (signal) => get("/about", {}, { signal }),
    draw: (data) => [
      h("dl", { class: "pairs" }, [
        ["Latigo", data.version], ["Python", `${data.python}, ${data.platform}`], ["Ledger", `${data.ledger_server}, schema ${data.ledger_revision}`],
        ...data.packages.map((/** @type {any} */ one) => [one.name, `${one.version}${one.licence ? ` · ${one.licence}` : ""}`]),
        ...(document.documentElement.dataset.charts ? [["uPlot", "draws the charts · MIT"]] : []),
      ].map(([name, value]) => [h("dt", {}, name), h("dd", {}, visible(value))])),
      h("p", { class: "row" }, h("button", { type: "button", onclick: () => diagnostics(data) }, "Copy diagnostics"), h("span", { class: "quiet" }, "Versions, systems and their circuits; no secret and no reading.")),
      h("h3", {}, "For programs"),
      h("ul", {}, LINKS.map(([path, what]) => h("li", {}, h("a", { href: `${root}/${path}` }, `/${path}`), ` ${what}`))),
    ],
  });
}

/** @param {any} data */
function diagnostics(data) {
  const { received, age: _age, ...kept } = data;
  void received;
  copy(JSON.stringify({ ...kept, page: location.pathname, browser: navigator.userAgent }, null, 1), "Copied the diagnostics");
}
