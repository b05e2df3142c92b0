// Models: the heat map over time, and the same as a table.

import { get, Problem } from "./api.js";
import { counted, fill, figure, h, nameOf, visible } from "./dom.js";
import { Grid } from "./grid.js";
import { onScreen } from "./keys.js";
import { UNKNOWN } from "./shades.js";
import { acts } from "./later.js";
import { on } from "./live.js";
import { Panel } from "./panel.js";
import { go, href, modelHref, place, set } from "./router.js";
import { STATES } from "./states.js";
import { legend, scale } from "./strip.js";
import { Selection } from "./selecting.js";
import { Table } from "./table.js";
import { age, duration, fullTime, inZone, moment, slot, when, zoneLabel } from "./time.js";

const ORDERS = { grid: [["worst", "worst first"], ["name", "by name"], ["behind", "furthest behind"], ["parked", "parked longest"]],
  table: [["name", "by name"], ["behind", "furthest behind"], ["silent", "silent longest"], ["state", "by state"]] };
const STATES_OF = { grid: ["active", "paused", "unusable", "parked", "silent", "missing", "lacking"],
  table: ["active", "paused", "unusable", "parked", "silent", "missing", "retired", "disabled", "unregistered", "expected"] };
const CELL_WAIT_MS = 150, GRID_MS = 15000, SEARCH_WAIT_MS = 200;
/** Above so many models the server sends sums at first, and cells by so many rows. */
const MOST_MODELS = 20000, PART_ROWS = 500, MOST_ROWS = 5000;

export const models = {
  title: "Models",
  range: matchMedia("(max-width: 640px)").matches ? "24h" : "7d",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const controls = h("div", { class: "controls" });
    const content = h("div", {});
    main.append(h("section", { class: "panel", "aria-label": "What is shown" }, controls), content);
    /** @type {any} */
    let shown = null;
    let view = "";
    const update = () => {
      drawControls(controls);
      const wanted = place().query.get("view") === "table" ? "table" : "grid";
      if (wanted !== view) {
        shown?.close();
        view = wanted;
        shown = wanted === "table" ? tableView(screen, content) : gridView(screen, content);
      } else shown.update();
    };
    screen.update = update;
    update();
  },
};

/** @param {HTMLElement} controls */
function drawControls(controls) {
  const { query } = place();
  const [view, zoom] = [query.get("view") === "table" ? "table" : "grid", query.get("zoom") || "fit"];
  const buttons = (/** @type {string} */ label, /** @type {string[][]} */ choices, /** @type {string} */ chosen, /** @type {(value: string) => void} */ choose) =>
    h("div", { class: "choices", role: "group", "aria-label": label }, choices.map(([value, text]) =>
      h("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text)));
  if (!controls.firstChild) {
    const field = h("input", { type: "search", "aria-label": "Search among the models", placeholder: "parts of names", value: query.get("q") || "", maxlength: "200", spellcheck: "false" });
    /** @type {any} */
    let timer = 0;
    field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => set({ q: field.value.trim() || null }, true), SEARCH_WAIT_MS); });
    controls.append(h("label", {}, "Filter ", field), h("div", { class: "controls rest" }));
  } else {
    const field = /** @type {HTMLInputElement} */ (controls.querySelector("input"));
    if (document.activeElement !== field) field.value = query.get("q") || "";
  }
  const select = (/** @type {string} */ label, /** @type {string} */ name, /** @type {string[][]} */ options, /** @type {string} */ value) =>
    h("label", {}, `${label} `, h("select", { "aria-label": label, onchange: (/** @type {any} */ event) => set({ [name]: event.target.value }) },
      options.map(([key, text]) => h("option", { value: key, selected: key === value }, text))));
  const state = query.get("state") ?? "";
  const kind = /** @type {"grid"} */ (view);
  const states = [["", "any state"], ...STATES_OF[kind].map((word) => [word, word])];
  fill(controls.querySelector(".rest"),
    select("State", "state", states.some(([key]) => key === state) ? states : [...states, [state, state]], state),
    select("Order", "order", ORDERS[kind], orderOf(kind)),
    view === "grid" ? buttons("Zoom", [["projects", "projects"], ["fit", "fit"], ["3", "3 px"], ["8", "8 px"], ["16", "16 px"]], zoom, (value) => set({ zoom: value })) : null,
    buttons("View", [["grid", "heat map"], ["table", "table"]], view, (value) => set({ view: value })));
  for (const list of controls.querySelectorAll("select")) {
    const chosen = list.querySelector("option[selected]");
    if (chosen && document.activeElement !== list) list.value = chosen.getAttribute("value") || "";
  }
}

/** @param {"grid" | "table"} view */
function orderOf(view) {
  const order = place().query.get("order");
  return ORDERS[view].find(([key]) => key === order)?.[0] ?? ORDERS[view][0][0];
}

/** @param {"grid" | "table"} view */
function filters(view) {
  const { query } = place();
  const state = query.get("state");
  const names = (/** @type {string} */ key) => query.getAll(key).filter(Boolean);
  return { project: names("project"), ...(view === "table" ? { model: names("model"), sensor: query.get("sensor") || null } : {}), q: query.get("q") || null, state: state && STATES_OF[view].includes(state) ? state : null, order: orderOf(view) };
}

/** @param {any} screen @param {HTMLElement} content */
function gridView(screen, content) {
  const detail = h("p", { class: "detail", id: "detail", "aria-live": "polite" });
  const block = h("p", { class: "block" });
  const notes = h("p", { class: "quiet" });
  /** @type {any} */
  let shape = null;
  /** @type {any} */
  let timer = 0;
  let restored = false;
  const touched = matchMedia("(pointer: coarse), (max-width: 640px)").matches;
  let asked = "";

  /** @type {{first: number, last: number} | null} */
  let wanted = null;
  /** @type {Promise<void> | null} */
  let loading = null;
  const address = (/** @type {any} */ cell) => modelHref(grid.projectOf(cell.row), shape.names[cell.row], { at: new Date(shape.from + cell.column * shape.step).toISOString() });
  const grid = new Grid({
    onNeed: need,
    onOpen: (cell) => go(address(cell)),
    onBlock: (text, chosen) => fill(block, chosen ? [h("strong", {}, text), " ", h("span", { class: "row", role: "group", "aria-label": "Actions" }, actionsOf(grid, chosen))] : null),
    onCell: (cell, pinned) => {
      clearTimeout(timer);
      if (!cell) { fill(detail, h("span", { class: "quiet" }, touched ? "Tap a cell: this line says what it is." : "Point at a cell, or move with the arrow keys: this line says what it is. Drag, or move with Shift, to choose a block.")); return; }
      const start = shape.from + cell.column * shape.step;
      const [project, name] = [grid.projectOf(cell.row), shape.names[cell.row]];
      const line = (/** @type {any} */ more, state = grid.stateOf(cell)) => fill(detail,
        h("a", { href: address(cell) }, nameOf(`${project}/${name}`)), ` · ${slot(start, start + shape.step)} ${zoneLabel(start)} · `,
        state ? h("strong", {}, state.word) : null, more ? ` ${more}` : state ? ` (${state.meaning})` : "", pinned ? h("span", { class: "quiet" }, " · Enter opens it, Esc lets it go") : null);
      line("");
      if (pinned) set({ at: `${project}/${name}@${new Date(start).toISOString()}` }, true);
      timer = setTimeout(async () => {
        try {
          const said = await get("/cell", { project, model: name, at: new Date(start).toISOString() });
          await loading;
          if (grid.cell && grid.cell.row === cell.row && grid.cell.column === cell.column) line(inZone(visible(said.text)));
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
        }
      }, CELL_WAIT_MS);
    },
  });

  const panel = screen.add(new Panel({
    name: "models", title: "Coverage", events: [], extra: h("span", { class: "quiet" }),
    load: async (signal) => {
      const narrow = matchMedia("(max-width: 640px)").matches && !place().query.get("range");
      const range = screen.range;
      const query = { ...filters("grid"), from: range.relative ? `-${narrow ? "24h" : range.text}` : new Date(range.from).toISOString(), to: range.relative ? "now" : new Date(range.to).toISOString() };
      asked = JSON.stringify(query);
      const meta = await get("/grid", query, { signal });
      if (!shape || meta.version !== shape.version || asked !== shape.asked) {
        const known = meta.rows && meta.columns ? await get(meta.sums_only ? "/grid/summary" : "/grid/cells", { version: meta.version }, { signal, octets: true }) : new Uint8Array();
        meta.cells = known;
        if (meta.sums_only) {
          meta.counts = new DataView(known.buffer, known.byteOffset, known.byteLength);
          meta.cells = new Uint8Array(meta.rows * meta.columns).fill(UNKNOWN);
          if (grid.seen && grid.seen.last <= meta.rows) { const [from, octets] = await part(meta, grid.seen.first, grid.seen.last); meta.cells.set(octets, from * meta.columns); }
        }
      }
      meta.asked = asked;
      return meta;
    },
    draw: (meta) => {
      if (meta.cells) { take(meta); meta.cells = null; }
      notes.textContent = meta.rows ? `${counted(meta.rows, "model")}, a column is ${duration(meta.step_s)}${meta.sums_only ? `. With more than ${figure(MOST_MODELS)} models, fit shows the share of each project: choose a zoom, a project or a search for single models` : ""}` : "";
      return meta.rows ? marksOf(meta) : nothing(screen);
    },
  }));
  content.replaceChildren(panel.node);
  grid.node.hidden = true;
  panel.node.append(grid.node, detail, block, h("div", { class: "row" }, legend(), scale(), notes));
  grid.handlers.onCell(null, false);
  panel.resized = () => grid.lay();

  /** Load rows that have come into sight, of those that were asked for last. @param {number} first @param {number} last */
  function need(first, last) {
    wanted = { first, last };
    loading ||= loadParts().finally(() => { loading = null; });
  }

  async function loadParts() {
    while (wanted) {
      const of = shape, { first, last } = wanted;
      wanted = null;
      try {
        const [from, octets] = await part(of, first, last);
        if (shape === of) grid.setPart(from, octets);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        panel.refreshSoon();
      }
    }
  }

  /** Return whole parts of a grid. @param {any} of @param {number} first @param {number} last @returns {Promise<[number, Uint8Array]>} */
  async function part({ version, rows }, first, last) {
    const from = Math.floor(first / PART_ROWS) * PART_ROWS, end = Math.min(rows, Math.ceil(last / PART_ROWS) * PART_ROWS, from + MOST_ROWS);
    return [from, await get("/grid/cells", { version, rows: `${from}-${end - 1}` }, { octets: true })];
  }

  /** @param {any} meta */
  function take(meta) {
    const from = moment(meta.start), step = meta.step_s * 1000;
    shape = {
      version: meta.version, asked: meta.asked, from, step, to: from + step * meta.columns, columns: meta.columns, rows: meta.rows, ids: meta.ids, names: meta.names, marks: meta.marks || [],
      counts: meta.counts || null, groups: (meta.groups || []).map((/** @type {any} */ group) => ({ project: group.project, first: group.first_row, rows: group.rows })),
    };
    grid.node.hidden = !meta.rows;
    grid.zoom = place().query.get("zoom") || "fit";
    grid.setData(shape, meta.cells);
    if (!restored) restore();
    restored = true;
  }

  function restore() {
    const wanted = place().query.get("at");
    const found = wanted && /^([\s\S]*)@([^@]+)$/.exec(wanted);
    if (!found) return;
    const column = Math.floor((Date.parse(found[2]) - shape.from) / shape.step);
    const row = shape.names.findIndex((/** @type {string} */ name, /** @type {number} */ at) => `${grid.projectOf(at)}/${name}` === found[1]);
    if (row >= 0 && column >= 0 && column < shape.columns) { grid.point({ row, column }, true); grid.step(0, 0); }
  }

  let last = performance.now();
  const leave = on("grid", async (data) => {
    if (!shape || performance.now() - last < GRID_MS / 3) return;
    last = performance.now();
    if (data.reload || !data.rows || !data.rows.length) { panel.refresh(); return; }
    try {
      const ids = new Set(shape.ids), rows = data.rows.filter((/** @type {any} */ id) => ids.has(id));
      if (!rows.length) return;
      const now = await get("/grid/rows", { version: shape.version, ids: rows.join(",") });
      if (moment(now.start) !== shape.from || now.columns !== shape.columns) { panel.refresh(); return; }
      grid.setRows(new Map(now.ids.map((/** @type {any} */ id, /** @type {number} */ at) => [id, Uint8Array.from(now.cells[at], (digit) => digit.charCodeAt(0) - 48)])));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      panel.refresh();
    }
  });
  onScreen([
    { keys: "ArrowDown j", does: "next model", run: (/** @type {any} */ event) => grid.step(1, 0, event.shiftKey) }, { keys: "ArrowUp k", does: "previous model", run: (/** @type {any} */ event) => grid.step(-1, 0, event.shiftKey) },
    { keys: "ArrowRight", does: "later", run: (/** @type {any} */ event) => grid.step(0, 1, event.shiftKey) }, { keys: "ArrowLeft", does: "earlier", run: (/** @type {any} */ event) => grid.step(0, -1, event.shiftKey) },
    { keys: "Enter", does: "open the model at that moment", run: () => { if (grid.cell) go(address(grid.cell)); } },
    { keys: "Escape", does: "clear the selection", run: () => { grid.clear(); set({ at: null }, true); } },
  ]);
  let before = JSON.stringify([filters("grid"), screen.range.text]);
  /** @type {any} */ (window).latigoGrid = grid;
  return {
    update() {
      const now = JSON.stringify([filters("grid"), screen.range.text]);
      if (now !== before) { before = now; shape = null; panel.refresh(); }
      grid.setZoom(place().query.get("zoom") || "fit");
    },
    close() { leave(); grid.close(); panel.close(); screen.panels.splice(screen.panels.indexOf(panel), 1); },
  };
}

/**
 * Return the buttons for the models and the time of a block. They are those of now: rows may move while it is shown.
 * @param {Grid} grid @param {any} block
 */
function actionsOf(grid, { from, to }) {
  const { names, groups, columns, from: begin, step } = /** @type {any} */ (grid.shape);
  const { q, state } = filters("grid");
  const [first, last] = [Math.min(from.row, to.row), Math.max(from.row, to.row)], [start, end] = [Math.min(from.column, to.column), Math.max(from.column, to.column) + 1];
  const chosen = [], parked = [];
  for (const { project, first: top, rows } of groups) {
    const whole = !q && !state && first <= top && top + rows <= last + 1;
    if (whole) chosen.push(project);
    for (let row = Math.max(first, top); row <= Math.min(last, top + rows - 1); row += 1) {
      if (!whole) chosen.push(`${project}/${names[row]}`);
      if (grid.cells.subarray(row * columns + start, row * columns + end).some((code) => STATES[code].key === "parked")) parked.push(`${project}/${names[row]}`);
    }
  }
  const time = { names: chosen, from: new Date(begin + start * step).toISOString(), to: new Date(begin + end * step).toISOString() };
  return [acts("Back-fill…", "backfill", time), acts("Predict again…", "backfill", { ...time, replace: true }),
    parked.length ? acts("Release…", "release", { names: parked, from: time.from, to: time.to }, counted(parked.length, "model")) : null];
}

/** @param {any} meta */
function marksOf(meta) {
  const marks = meta.marks || [];
  if (!marks.length) return null;
  const causes = new Map();
  for (const mark of marks) {
    const known = causes.get(mark.cause) || { first: mark.column, last: mark.column };
    causes.set(mark.cause, { first: Math.min(known.first, mark.column), last: Math.max(known.last, mark.column) });
  }
  const from = moment(meta.start), step = meta.step_s * 1000;
  return h("p", { class: "quiet" }, "▼ More than a fifth of the models lack something ", [...causes].slice(0, 3).map(([cause, { first, last }], at) =>
    [at ? "; " : "", `${slot(from + first * step, from + (last + 1) * step)} ${zoneLabel(from)}, commonest cause: `, h("strong", {}, visible(cause || "not known"))]));
}

/** @param {any} screen */
function nothing(screen) {
  const { q, state, project: projects_ } = filters("table");
  const project = projects_.join(", ");
  if (q || state || project) {
    return h("p", { class: "empty" }, `No model matches${q ? ` “${visible(q)}”` : ""}${state ? ` in the state ${state}` : ""}${project ? ` in ${visible(project)}` : ""}. `,
      h("button", { type: "button", onclick: () => set({ q: null, state: null, project: null }) }, "Show all models"));
  }
  const projects = screen.status()?.projects || [];
  return h("p", { class: "empty" }, projects.length
    ? `No models yet: Latigo last read the list of ${projects.map((/** @type {any} */ one) => `${visible(one.project)} ${one.listed_at ? `${age(one.listed_at)} ago` : "never"}`).join(", ")}; Gordo listed none that can be predicted.`
    : "No models yet: Latigo has no list of models so far. It reads one for each project in models.projects.");
}

/** @param {any} screen @param {HTMLElement} content */
function tableView(screen, content) {
  const selection = new Selection(() => panel.show());
  const table = new Table({
    caption: "Models", key: (row) => `${row.project}/${row.model}`, selection, open: (row) => modelHref(row.project, row.model), empty: null,
    order: orderOf("table"), onOrder: (order) => set({ order }),
    columns: [
      { title: "model", order: "name", label: "", cell: (row) => h("a", { href: modelHref(row.project, row.model) }, nameOf(`${row.project}/${row.model}`)) },
      { title: "state", order: "state", label: "", cell: (row) => stateWord(row.parked ? "parked" : row.silent_since ? "silent" : row.state) },
      { title: "behind", order: "behind", kind: "number", cell: (row) => behind(row) },
      { title: "covered until", cell: (row) => time(row.covered_until) },
      { title: "cause", kind: "wide", optional: true, cell: (row) => (row.cause ? visible(row.cause) : "") },
      { title: "silent since", order: "silent", optional: true, cell: (row) => (row.silent_since ? time(row.silent_since) : "") },
      { title: "not listed since", optional: true, cell: (row) => (row.missing_since ? time(row.missing_since) : "") },
      { title: "slot", kind: "number", cell: (row) => duration(row.slot) },
      { title: "delay", kind: "number", cell: (row) => duration(row.delay) },
      { title: "since", cell: (row) => time(row.since) },
      { title: "revision", cell: (row) => h("span", { class: "quiet" }, visible(row.revision || "–")) },
      { title: "anomaly", optional: true, cell: (row) => (row.anomaly === null ? "" : row.anomaly ? "yes" : "no") },
    ],
  });
  const panel = screen.add(new Panel({
    name: "models", title: "Models", events: ["status"], atMost: 5000,
    load: (signal) => get("/models", { ...filters("table"), limit: 100, cursor: place().query.get("cursor") }, { signal }),
    draw: (data, self) => [
      place().query.get("sensor") ? h("p", { class: "row" }, "Models that read ", nameOf(place().query.get("sensor") || ""), h("button", { type: "button", onclick: () => set({ sensor: null }) }, "All models")) : null,
      data.items.length ? table.draw(data.items, () => self.show()) : nothing(screen),
      selection.bar(table, (chosen) => bulkActions(screen, chosen)),
      h("p", { class: "row" },
        place().query.get("cursor") ? h("button", { type: "button", onclick: () => set({ cursor: null }) }, "First page") : null,
        data.next ? h("button", { type: "button", onclick: () => set({ cursor: data.next }) }, "Next page") : null,
        data.items.length ? h("span", { class: "quiet" }, `${counted(data.items.length, "model")}${data.next ? ", and more" : ""}`) : null),
    ],
  }));
  content.replaceChildren(panel.node);
  onScreen([
    { keys: "j ArrowDown", does: "next row", run: () => table.move(1) }, { keys: "k ArrowUp", does: "previous row", run: () => table.move(-1) },
    { keys: "Enter", does: "open the model", run: () => { const address = table.address(); if (address) go(address); } },
    { keys: "x", does: "select the row, or let it go", run: () => selection.toggle(table, Math.max(0, table.selected), false) },
    { keys: "X", does: "select up to this row", run: () => selection.toggle(table, Math.max(0, table.selected), true) },
    { keys: "Escape", does: "let the selection go", run: () => selection.clear() },
  ]);
  let before = location.search;
  return {
    update() {
      if (location.search === before) return;
      before = location.search;
      table.options.order = orderOf("table");
      table.order = [];
      panel.refresh();
    },
    close() { panel.close(); screen.panels.splice(screen.panels.indexOf(panel), 1); },
  };
}

/** Return the buttons for the models that are selected, whatever the list shows by now. @param {any} screen @param {any[]} chosen */
function bulkActions(screen, chosen) {
  const names = chosen.map(({ project, model }) => `${project}/${model}`);
  const range = () => ({ names, from: new Date(screen.range.from).toISOString(), to: new Date(screen.range.to).toISOString() });
  return [acts("Back-fill…", "backfill", range), acts("Predict again…", "backfill", () => ({ ...range(), replace: true })),
    acts("Release…", "release", { names }, counted(names.length, "model"))];
}

/** Return how far a model is behind its newest due slot. @param {any} row */
function behind(row) {
  if (!row.covered_until || !row.slot) return "–";
  const late = (Date.now() - moment(row.covered_until)) / 1000 - row.delay - row.slot;
  return late > 60 ? duration(late) : "on time";
}

/** @param {any} at */
export function time(at) {
  return at ? h("span", { title: fullTime(at) }, when(at, true)) : "–";
}

/** Return the word of a state, with its colour before it. @param {string} name */
export function stateWord(name) {
  const key = String(name || "").replaceAll("_", " ");
  return h("span", { class: `state state-${key.replaceAll(" ", "-")}` }, STATES.some(({ word }) => word === key) ? key : key || "–");
}
