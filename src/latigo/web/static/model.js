// One model: how it is, its coverage, its series, the story of a moment, what was settled, and what it is made of.

import { get, Problem } from "./api.js";
import { copy, counted, figure, fill, h, nameOf, quoted, visible } from "./dom.js";
import { onScreen } from "./keys.js";
import { acts, later } from "./later.js";
import { listPanel } from "./lists.js";
import { Panel } from "./panel.js";
import { href, place, set } from "./router.js";
import { colours, PRECEDENCE, STATES, verdictOf } from "./states.js";
import { canvas, drawMark, legend } from "./strip.js";
import { age, duration, fixed, fullTime, moment, rangeOf, slot, when, zoneLabel } from "./time.js";

const TABS = [["series", "Series"], ["receipts", "Receipts"], ["about", "About"]];

export const model = {
  title: "Model",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const { parts } = place();
    const [project, name] = [parts[1], parts.slice(2).join("/")];
    const path = `/models/${encodeURIComponent(project)}/${encodeURIComponent(name)}`;
    const times = () => ({ from: new Date(screen.range.from).toISOString(), to: new Date(screen.range.to).toISOString() });
    const renew = () => { screen.range = rangeOf(place().query.get("range"), model.range); };

    /** @type {any} */
    let shown = null;
    const head = screen.add(new Panel({ name: "the-model", load: (signal) => get(path, {}, { signal }), draw: (data) => { shown?.known?.(); return headOf(project, name, data, times); } }));
    const strips = screen.add(new Panel({
      name: "coverage", title: "Coverage", atMost: 5000,
      load: (signal) => { renew(); return get(`${path}/coverage`, times(), { signal }); }, draw: (data) => { shown?.covered?.(); return stripsOf(data, screen.range); },
    }));
    const tabs = h("div", { class: "tabs", role: "tablist" });
    const content = h("div", { role: "tabpanel" });
    const details = h("section", { class: "panel", "aria-label": "Details" }, tabs, content);
    const others = h("p", { hidden: true }, h("a", { href: href("/models", { view: "table", project: null, q: name.split(/[^\p{L}\p{N}]+/u)[0] }) }, "Models with a similar name"));
    main.append(head.node, others, strips.node, details);
    const showHead = head.show.bind(head);
    head.show = () => {
      showHead();
      const unknown = head.data === null && head.problem?.status === 404;
      others.hidden = !unknown;
      strips.node.hidden = details.hidden = unknown;
    };

    let tab = "";
    const update = () => {
      const wanted = TABS.some(([key]) => key === place().query.get("tab")) ? /** @type {string} */ (place().query.get("tab")) : "series";
      fill(tabs, TABS.map(([key, text]) => h("button", { type: "button", role: "tab", "aria-selected": String(key === wanted), onclick: () => set({ tab: key }) }, text)));
      if (wanted !== tab) {
        shown?.close();
        tab = wanted;
        /** @type {{[tab: string]: () => any}} */
        const made = { series: () => lazily((wanted) => later("series", "seriesTab", { content, screen, path, project, name, times, strips, wanted })), receipts: () => receiptsTab(content, screen, path), about: () => aboutTab(content, screen, head, path, project) };
        shown = made[wanted]();
      } else shown.update();
    };
    let before = screen.range.text;
    screen.update = () => {
      if (screen.range.text !== before) { before = screen.range.text; strips.refresh(); }
      update();
    };
    update();
    onScreen([
      { keys: "ArrowLeft", does: "moment one slot earlier", run: () => shown.step?.(-1, head.data?.known?.slot) },
      { keys: "ArrowRight", does: "moment one slot later", run: () => shown.step?.(1, head.data?.known?.slot) },
      { keys: "Escape", does: "clear the moment", run: () => set({ at: null }) },
    ]);
  },
};

/** Return a tab whose module is loaded when it is opened. @param {(wanted: () => boolean) => Promise<any>} make */
function lazily(make) {
  /** @type {any} */
  let tab = null;
  let closed = false;
  make(() => !closed).then((made) => { tab = made; });
  return {
    update() { tab?.update(); },
    covered() { tab?.covered(); },
    /** @param {...any} given */
    step(...given) { tab?.step(...given); },
    close() { closed = true; tab?.close?.(); },
  };
}

/** @param {string} project @param {string} name @param {any} data @param {() => any} times */
function headOf(project, name, data, times) {
  const known = data.known || {};
  const [state, text] = verdictAndWords(data, known);
  const [sign, words, kind] = verdictOf(state);
  const command = `latigo explain ${quoted(`${project}/${name}`)} --at now`;
  const failures = data.failures.slice(0, 5);
  const stretch = (/** @type {string} */ text, replace = false) => acts(text, "backfill", () => ({ names: [`${project}/${name}`], ...times(), replace }));
  return [
    h("h1", { class: "row" }, h("span", { class: `sign ${kind}`, title: words }, sign), h("a", { href: href("/models", { project }) }, nameOf(project)), "/",
      h("button", { type: "button", class: "plain", title: `Copy ${visible(name)}`, onclick: () => copy(name) }, nameOf(name))),
    h("p", {}, h("strong", {}, text)),
    failures.length ? h("ul", {}, failures.map((/** @type {any} */ one) => h("li", {}, h("strong", {}, `${one.state} ${slotOf(one)}`), ` since ${when(one.since)}: ${visible(one.detail || one.reason)}`,
      one.next_attempt ? h("span", { class: "quiet" }, ` · next attempt ${when(one.next_attempt)}`) : null)),
    data.failure_count > failures.length ? h("li", { class: "quiet" }, `and ${data.failure_count - failures.length} more`) : null) : null,
    h("p", { class: "facts" }, [
      ["revision", known.revision], ["epoch", known.epoch], ["slot", known.slot && duration(known.slot)], ["delay", known.delay !== undefined && known.delay !== null && duration(known.delay)],
      ["fold", known.fold && duration(known.fold)], ["since", known.since && when(known.since)], ["state", known.state],
      ["to do", data.missing_count ? counted(data.missing_count, "window") : null],
    ].filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false).map(([label, value]) => h("span", {}, `${label} `, h("b", {}, visible(String(value)))))),
    data.known ? h("p", { class: "row actions", role: "group", "aria-label": "Actions" },
      acts("Predict now…", "runNow", project, name), stretch("Back-fill…"), stretch("Predict again…", true),
      known.parked || data.failures.some((/** @type {any} */ one) => one.state === "parked") ? acts("Release…", "release", { project, model: name }, name) : null,
      known.state === "paused" ? acts("Resume…", "resume", project, name) : acts("Pause…", "pause", project, name)) : null,
    h("p", { class: "row" }, h("button", { type: "button", onclick: () => copy(command) }, `Copy: ${visible(command)}`),
      grafana(project, name) ? h("a", { href: grafana(project, name), target: "_blank", rel: "noreferrer" }, "Open in Grafana") : null),
  ];
}

/** @param {any} one */
function slotOf(one) {
  return one.first && one.last ? slot(one.first, one.last) : "";
}

/** Return the verdict of a model, and it in words. @param {any} data @param {any} known @returns {[string, string]} */
function verdictAndWords(data, known) {
  const next = data.next_due ? ` Next at ${when(data.next_due, true)} ${zoneLabel()}.` : "";
  const until = known.covered_until ? `predictions until ${when(known.covered_until, true)} ${zoneLabel()}` : "";
  if (known.state && known.state !== "active") return ["unknown", `Not predicted now: the model is ${known.state}.${until ? ` It has ${until}.` : ""}`];
  if (known.parked) return ["needs_attention", `Parked: ${data.failures.find((/** @type {any} */ one) => one.state === "parked")?.detail || "it needs an action"}. It has ${until || "no predictions yet"}.`];
  if (known.silent_since) return ["recovering", `Its sensors have sent nothing since ${when(known.silent_since)} ${zoneLabel()}. Latigo goes on when they report.`];
  if (!until) return ["recovering", `Nothing predicted yet.${next}`];
  const due = data.newest_due ? moment(data.newest_due) + (known.slot || 0) * 1000 : 0;
  if (due && moment(known.covered_until) < due) return ["recovering", `Late: ${until}, and due until ${when(due, true)}.${next}`];
  return ["healthy", `Fresh: ${until}, as expected.${next}`];
}

/** @param {string} project @param {string} name */
function grafana(project, name) {
  const template = document.documentElement.dataset.grafana;
  if (!template) return null;
  const { from, to } = rangeOf(place().query.get("range"), model.range);
  return template.replace(/\{(project|model|from|to)\}/g, (_, key) => encodeURIComponent({ project, model: name, from: Math.round(from), to: Math.round(to) }[/** @type {"from"} */ (key)]));
}

/** @param {any} data @param {import("./time.js").Range} range */
function stripsOf(data, range) {
  const stretches = (data.stretches || []).map((/** @type {any} */ one) => ({ ...one, from: moment(one.start), to: moment(one.end) }));
  const seen = [...new Set(stretches.map((/** @type {any} */ one) => stateKey(one.state)))];
  const words = PRECEDENCE.map((code) => STATES[code]).filter((state) => seen.includes(state.key)).map((state) => state.word).join(", ");
  const revisions = data.revisions || [];
  const lateness = data.lateness || [], brief = range.to - range.from < 600e3;
  return [
    h("div", { class: "strips" },
      h("span", {}, "state"), strip(`States in the range: ${words || "none"}`, range, (context, x, width, height) => {
        const colour = colours();
        context.fillStyle = colour.none;
        context.fillRect(0, 0, width, height);
        for (const one of stretches) {
          const state = STATES.find(({ key }) => key === stateKey(one.state)) || STATES[0];
          context.fillStyle = colour[state.key];
          context.fillRect(x(one.from), 0, Math.max(1, x(one.to) - x(one.from)), height);
          drawMark(context, state, colour, x(one.from), 0, Math.max(1, x(one.to) - x(one.from)), height);
        }
      }, stretches),
      revisions.length > 1 ? [h("span", {}, "revision"), strip(`${revisions.length} revisions`, range, (context, x, width, height) => {
        const colour = colours();
        revisions.forEach((/** @type {any} */ one, /** @type {number} */ at) => {
          const from = moment(one.start), to = moment(one.end);
          context.fillStyle = at % 2 ? colour.line : colour.quiet;
          context.fillRect(x(from), height * 0.2, Math.max(1, x(to) - x(from)), height * 0.6);
        });
      }, [])] : null,
      lateness.length ? [h("span", {}, "lateness"), strip(`Time from due to settled, at most ${duration(Math.max(...lateness.map((/** @type {any} */ one) => one.late_s)))}`, range, (context, x, width, height) => {
        const most = Math.max(...lateness.map((/** @type {any} */ one) => one.late_s), 60);
        context.fillStyle = colours().accent;
        for (const one of lateness) {
          const tall = Math.max(1, (Math.max(0, one.late_s) / most) * height);
          context.fillRect(x(moment(one.end)) - 2, height - tall, 2, tall);
        }
      }, [])] : null,
      h("span", {}), h("div", { class: "row" }, h("span", {}, `${when(range.from, brief)} – ${when(range.to, brief)} ${zoneLabel(range.to)}`), legend(seen))),
    stretches.length ? null : h("p", { class: "empty" }, "Nothing is desired in this range."),
  ];
}

/** @param {string} state */
function stateKey(state) {
  const word = String(state).replaceAll("_", " ");
  return (STATES.find((one) => one.word === word || one.key === word) || STATES[0]).key;
}

/**
 * Return a strip over a range: a click is a moment, dragging a range.
 * @param {string} label @param {import("./time.js").Range} range
 * @param {(context: CanvasRenderingContext2D, x: (at: number) => number, width: number, height: number) => void} draw @param {any[]} stretches
 */
function strip(label, range, draw, stretches) {
  const at = (/** @type {any} */ event) => range.from + (event.offsetX / event.target.clientWidth) * (range.to - range.from);
  return canvas("coverage", label, (context, width, height) => {
    const x = (/** @type {number} */ when_) => ((Math.max(range.from, Math.min(range.to, when_)) - range.from) / (range.to - range.from)) * width;
    draw(context, x, width, height);
    const chosen = Date.parse(place().query.get("at") || "");
    if (chosen) { context.fillStyle = colours().text; context.fillRect(x(chosen) - 1, 0, 2, height); }
  }, {
    onpointerdown: (/** @type {any} */ event) => { event.target.pressed = at(event); },
    onpointerup: (/** @type {any} */ event) => {
      const [start, end] = [event.target.pressed, at(event)];
      if (start !== undefined && Math.abs(end - start) > (range.to - range.from) / 100) set({ range: fixed(Math.min(start, end), Math.max(start, end)) });
      else set({ at: new Date(end).toISOString() });
    },
    onpointermove: (/** @type {any} */ event) => {
      const found = stretches.find((one) => one.from <= at(event) && at(event) < one.to);
      if (found) event.target.title = `${slot(found.from, found.to)} ${zoneLabel(found.from)}: ${String(found.state).replaceAll("_", " ")}${found.cause ? `, ${found.cause}` : ""}`;
    },
  });
}

/** @param {HTMLElement} content @param {any} screen @param {string} path */
function receiptsTab(content, screen, path) {
  const panel = listPanel({
    title: "", name: "receipts", path: `${path}/receipts`, key: (row) => `${row.task} ${row.settled_at}`,
    query: () => ({ limit: 100, outcome: place().query.get("outcome") || null }),
    empty: "Nothing is settled yet: the first window appears here as soon as it has ended.",
    columns: [
      { title: "window", label: "", cell: (row) => h("a", { href: href(place().path, { at: row.start }) }, slot(row.start, row.end)) },
      { title: "settled", cell: (row) => h("span", { title: fullTime(row.settled_at) }, when(row.settled_at)) },
      { title: "lane", cell: (row) => row.lane },
      { title: "outcome", cell: (row) => row.outcome },
      { title: "reason", kind: "wide", cell: (row) => visible(row.detail || row.reason) },
      { title: "rows", kind: "number", cell: (row) => figure(row.rows) },
      { title: "attempts", kind: "number", cell: (row) => figure(row.attempts + 1) },
      { title: "took", kind: "number", cell: (row) => (row.stages ? duration(Object.entries(row.stages).reduce((sum, [name, ms]) => sum + (name === "claim" ? 0 : Number(ms)), 0) / 1000) : "–") },
      { title: "executor", cell: (row) => nameOf(row.worker ?? "–") },
    ],
  });
  panel.node.classList.remove("panel");
  screen.add(panel);
  content.replaceChildren(panel.node);
  return { update() { panel.refresh(); }, close() { panel.close(); screen.panels.splice(screen.panels.indexOf(panel), 1); } };
}

/** @param {HTMLElement} content @param {any} screen @param {Panel} head @param {string} path @param {string} project */
function aboutTab(content, screen, head, path, project) {
  const body = h("div", {});
  const newest = screen.add(new Panel({
    name: "newest", events: [], every: 60000, draw: () => { draw(); return null; },
    load: (signal) => get(path.replace("/models/", "/readings/"), { from: "-1439m", points: 900 }, { signal }).catch((error) => {
      if (!(error instanceof Problem)) throw error;
      return { columns: [], received: performance.now(), problem: error.message };
    }),
  }));
  newest.node.classList.remove("panel");
  content.replaceChildren(newest.node, body);
  /** Return the newest reading of a sensor, as far as the source was asked. @param {string} tag */
  const reading = (tag) => {
    const data = newest?.data;
    const column = data ? data.columns.findIndex((/** @type {any} */ one) => one.tag === tag) : -1;
    if (column < 0) return "";
    const at = data.mean[column].findLastIndex((/** @type {number | null} */ value) => value !== null);
    return at < 0 ? " · no reading within 24 h" : ` · ${figure(data.mean[column][at], 2)} ${age(data.time[at])} ago`;
  };
  const draw = () => {
    const data = head.data;
    if (!data) return;
    const tags = data.tags || [];
    fill(body,
      h("h3", {}, counted(tags.length, "sensor")),
      newest?.data?.problem ? h("p", { class: "quiet" }, `Readings are not shown: ${visible(newest.data.problem)}`) : null,
      h("ul", {}, tags.map((/** @type {any} */ tag) => h("li", {}, nameOf(tag), data.spec?.assets?.[tag] ? h("span", { class: "quiet" }, ` ${visible(data.spec.assets[tag])}`) : null, h("span", { class: "quiet" }, reading(tag)), " · ",
        h("a", { href: href("/models", { view: "table", project: null, sensor: tag }), title: `Models that read ${visible(tag)}` }, "other models"), " · ",
        h("a", { href: href("/failures", { by: "sensor", project: null, sensor: tag }) }, "its failures")))),
      h("h3", {}, "Dataset"), h("pre", { tabindex: "0" }, visible(JSON.stringify(data.spec, null, 1) || "not described yet").replaceAll("␊", "\n")),
      h("p", {}, h("a", { href: href("/models", { project }) }, "All models of the project")));
  };
  draw();
  return { update: draw, known: draw, close() { newest.close(); screen.panels.splice(screen.panels.indexOf(newest), 1); } };
}
