// One model: how it is, its coverage, its series, the story of a moment, what was settled, and what it is made of.

import { get, Problem } from "./api.js";
import { createChart, short } from "./chart.js";
import { copy, counted, figure, fill, h, meter, nameOf, percent, quoted, visible } from "./dom.js";
import { onScreen } from "./keys.js";
import { acts } from "./later.js";
import { listPanel } from "./lists.js";
import { Panel } from "./panel.js";
import { href, place, set } from "./router.js";
import { colours, PRECEDENCE, STATES, verdictOf } from "./states.js";
import { canvas, legend, markColour, patternOf } from "./strip.js";
import { clock, duration, fixed, fullTime, inZone, moment, rangeOf, slot, when, zoneLabel } from "./time.js";

const WORST = 8, MOST_TAGS = 50, READINGS_DAYS = 1, HEIGHT = 130, TABS = [["series", "Series"], ["receipts", "Receipts"], ["about", "About"]];

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

    const head = screen.add(new Panel({ name: "the-model", load: (signal) => get(path, {}, { signal }), draw: (data) => headOf(project, name, data, times) }));
    const strips = screen.add(new Panel({
      name: "coverage", title: "Coverage", atMost: 5000,
      load: (signal) => { renew(); return get(`${path}/coverage`, times(), { signal }); }, draw: (data) => stripsOf(data, screen.range),
    }));
    const tabs = h("div", { class: "tabs", role: "tablist" });
    const content = h("div", { role: "tabpanel" });
    main.append(head.node, strips.node, h("section", { class: "panel", "aria-label": "Details" }, tabs, content));

    /** @type {any} */
    let shown = null;
    let tab = "";
    const update = () => {
      const wanted = TABS.some(([key]) => key === place().query.get("tab")) ? /** @type {string} */ (place().query.get("tab")) : "series";
      fill(tabs, TABS.map(([key, text]) => h("button", { type: "button", role: "tab", "aria-selected": String(key === wanted), onclick: () => set({ tab: key }) }, text)));
      if (wanted !== tab) {
        shown?.close();
        tab = wanted;
        shown = { series: () => seriesTab(content, screen, path, project, name, times), receipts: () => receiptsTab(content, screen, path), about: () => aboutTab(content, screen, head, project) }[wanted]?.();
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
      known.parked || data.failures.some((/** @type {any} */ one) => one.state === "parked") ? acts("Release…", "release", [{ project, model: name }], name) : null,
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
          const pattern = patternOf(context, state.mark, markColour(state.key, colour));
          if (pattern) { context.fillStyle = pattern; context.fillRect(x(one.from), 0, Math.max(1, x(one.to) - x(one.from)), height); }
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

/** @param {HTMLElement} content @param {any} screen @param {string} path @param {string} project @param {string} name @param {() => any} times */
function seriesTab(content, screen, path, project, name, times) {
  const charts = h("div", { class: "charts" }), more = h("p", {});
  /** @type {Map<string, any>} */
  const drawn = new Map();
  let everything = false;
  const series = new Panel({
    name: "series", title: "", atMost: 15000,
    load: async (signal) => {
      const range = times();
      const of = `${encodeURIComponent(project)}/${encodeURIComponent(name)}`;
      const data = await get(`/predictions/${of}`, { ...range, points: 900, columns: everything ? "all" : `worst${WORST}` }, { signal });
      const tags = [...new Set(data.columns.map((/** @type {any} */ one) => one.tag).filter(Boolean))];
      const days = (screen.range.to - screen.range.from) / 86400e3;
      const stored = data.columns.some((/** @type {any} */ one) => one.group === "model-input");
      if (stored || !tags.length || !data.time.length || days > READINGS_DAYS) return data;
      try {
        data.readings = await get(`/readings/${of}`, { ...range, points: 900, tag: tags.slice(0, MOST_TAGS) }, { signal });
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        data.unread = error.message;
      }
      return data;
    },
    draw: (data) => { draw(data); return note(data); },
  });
  const moments = new Panel({
    name: "moment", title: "Moment", events: [],
    load: (signal) => {
      const at = place().query.get("at");
      return at ? get(`${path}/explain`, { at }, { signal }) : Promise.resolve({ none: true, received: performance.now() });
    },
    draw: storyOf,
  });
  for (const panel of [series, moments]) screen.add(panel);
  series.node.classList.remove("panel");
  series.node.append(charts, more);
  content.replaceChildren(h("div", { class: "model-body" }, series.node, moments.node));

  /** @param {any} data */
  function note(data) {
    if (!data.time.length) return h("p", { class: "empty" }, "No predictions are stored in this range.");
    return h("p", { class: "row quiet" }, data.unread ? h("span", {}, `Readings are not shown: ${visible(data.unread)}.`) : null, data.bucket_s ? `Each point is ${duration(data.bucket_s)}: lowest, mean and highest are drawn.` : "Every row is drawn.",
      h("span", {}, "Drag to zoom in, Shift for the height, double click to go back."));
  }

  /** @param {any} data */
  async function draw(data) {
    if (!data.time.length) { for (const [key] of drawn) drop(key); return; }
    const { time } = data;
    const shown = panelsOf(data);
    fill(more, everything || data.shares.length > WORST ? h("button", { type: "button", onclick: () => { everything = !everything; series.refresh(); } },
      everything ? `the ${WORST} sensors that carry most of the anomaly` : `all ${data.shares.length} sensors`) : null);
    for (const key of drawn.keys()) if (!shown.some((one) => one.key === key)) drop(key);
    for (const one of shown) {
      let chart = drawn.get(one.key);
      if (!chart) {
        const title = h("h3", {}), plot = h("div", { class: "chart" }, title), readout = h("span", { class: "readout" });
        charts.append(plot);
        chart = { plot, title, readout, lines: one.lines };
        drawn.set(one.key, chart);
        chart.made = await createChart(plot, {
          height: one.main ? HEIGHT + 30 : HEIGHT, label: one.label, onCursor: point, onZoom: (from, to) => set({ range: fixed(from, to) }),
          onReset: () => set({ range: null }), onClick: (at) => set({ at: new Date(Math.floor(at / 1000) * 1000).toISOString() }),
        });
      }
      fill(chart.title, one.main ? h("span", {}, one.label) : nameOf(one.label), one.share ? h("span", { class: "quiet" }, `carries ${percent(one.share)}`) : null,
        one.main ? null : h("span", { class: "quiet" }, [...(data.readings && !one.lines.some((/** @type {any} */ line) => line.label === "input") ? ["input"] : []), ...one.lines.map((/** @type {any} */ line) => line.label)].map((label) => h("b", { class: `key ${label}` }, label))));
      if (chart.readout.parentNode !== chart.title) chart.title.after(chart.readout);
      const gaps = one.tag ? withReadings(withGaps(time, one.lines, data.bucket_s * 1000), data.readings, one.tag) : withGaps(time, one.lines, data.bucket_s * 1000);
      chart.lines = gaps.lines;
      chart.made?.setData({ time: gaps.time, lines: gaps.lines, from: screen.range.from, to: screen.range.to, threshold: one.threshold });
    }
  }
  /** @param {string} key */
  function drop(key) {
    drawn.get(key).made?.destroy();
    drawn.get(key).plot.remove();
    drawn.delete(key);
  }

  /** @param {number | null} at */
  function point(at) {
    for (const { made, readout, lines } of drawn.values()) {
      if (!made) continue;
      made.setCursor(at);
      readout.textContent = at === null ? "" : `${clock(at, true)} ${zoneLabel(at)}: ${made.values(at).map((/** @type {number | null} */ value, /** @type {number} */ index) => `${lines[index]?.label ?? ""} ${short(value)}`).join(", ")}`;
    }
  }

  series.resized = () => { for (const { made } of drawn.values()) made?.resize(); };
  let before = location.search;
  return {
    update() {
      if (location.search === before) return;
      const [was, now] = [new URLSearchParams(before), new URLSearchParams(location.search)];
      before = location.search;
      if (was.get("range") !== now.get("range")) series.refresh();
      if (was.get("at") !== now.get("at")) { moments.refresh(); for (const node of document.querySelectorAll("canvas.coverage")) /** @type {any} */ (node).repaint?.(); }
    },
    /** @param {number} slots @param {number} [seconds] */
    step(slots, seconds = 1800) {
      const at = Date.parse(place().query.get("at") || "") || Date.now() - seconds * 1000;
      set({ at: new Date(at + slots * seconds * 1000).toISOString() }, true);
    },
    close() { for (const key of [...drawn.keys()]) drop(key); for (const panel of [series, moments]) { panel.close(); screen.panels.splice(screen.panels.indexOf(panel), 1); } },
  };
}

/**
 * Return the charts that answer to an answer: the total anomaly, then sensors by how much they carry of it.
 * @param {any} data
 */
function panelsOf(data) {
  const columns = (data.columns || []).map((/** @type {any} */ one, /** @type {number} */ at) => ({ ...one, at }));
  const values = (/** @type {number} */ at) => data.mean[at];
  const line = (/** @type {any} */ one, /** @type {string} */ label, /** @type {string} */ colour, /** @type {any} */ more = {}) => ({
    label, colour, values: values(one.at), ...(data.bucket_s && data.min?.[one.at] ? { low: data.min[one.at], high: data.max[one.at] } : {}), ...more,
  });
  const find = (/** @type {string} */ group, /** @type {string | null} */ tag = null) => columns.find((/** @type {any} */ one) => one.group === group && (tag === null || one.tag === tag));
  const charts = [];
  const total = find("total-anomaly-confidence") || find("total-anomaly-scaled") || find("total-anomaly-unscaled");
  if (total) {
    const threshold = total.group === "total-anomaly-confidence" ? 1 : data.thresholds[total.group] ?? null;
    charts.push({ key: "total", main: true, label: total.group === "total-anomaly-confidence" ? "Anomaly, as a multiple of its threshold" : "Anomaly, total", threshold, lines: [line(total, "anomaly", "alarm")], weight: Infinity });
  }
  const tags = [...new Set(columns.map((/** @type {any} */ one) => one.tag).filter(Boolean))];
  for (const tag of tags) {
    const [input, output] = [find("model-input", tag), find("model-output", tag)];
    const anomaly = find("anomaly-confidence", tag) || find("tag-anomaly-scaled", tag) || find("tag-anomaly-unscaled", tag);
    const lines = [input && line(input, "input", "input"), output && line(output, "output", "output", { dash: [5, 3], width: 1.8 })].filter(Boolean);
    if (!lines.length && anomaly) lines.push(line(anomaly, "anomaly", "alarm"));
    const weight = data.shares.find((/** @type {any} */ one) => one.tag === tag)?.share ?? 0;
    if (lines.length) charts.push({ key: `tag ${tag}`, main: false, label: tag, tag, threshold: null, lines, weight, share: anomaly ? weight : null });
  }
  return charts.sort((a, b) => b.weight - a.weight);
}

/**
 * Put a gap where rows are missing: a line must not run over time without predictions.
 * @param {number[]} time @param {any[]} lines @param {number} step
 */
function withGaps(time, lines, step) {
  const steps = time.slice(1).map((at, index) => at - time[index]).sort((a, b) => a - b);
  const usual = step || steps[Math.floor(steps.length / 2)] || 0;
  const holes = [];
  for (let at = 1; at < time.length; at += 1) if (usual && time[at] - time[at - 1] > usual * 1.9) holes.push(at);
  if (!holes.length) return { time, lines };
  const spread = (/** @type {any[]} */ list, /** @type {(at: number) => any} */ filler) => {
    const result = [];
    let next = 0;
    for (let at = 0; at < list.length; at += 1) {
      if (holes[next] === at) { result.push(filler(at)); next += 1; }
      result.push(list[at]);
    }
    return result;
  };
  const empty = () => null;
  return {
    time: spread(time, (at) => time[at - 1] + usual),
    lines: lines.map((line) => ({ ...line, values: spread(line.values, empty), ...(line.low ? { low: spread(line.low, empty), high: spread(line.high, empty) } : {}) })),
  };
}

/**
 * Add the readings of a tag to the lines of its chart: at their own times, and nothing at those of others.
 * @param {{time: number[], lines: any[]}} drawn @param {any} readings @param {string} tag
 */
function withReadings(drawn, readings, tag) {
  const column = readings ? readings.columns.findIndex((/** @type {any} */ one) => one.tag === tag) : -1;
  if (column < 0) return drawn;
  const input = { label: "input", colour: "input", values: readings.mean[column], ...(readings.bucket_s && readings.min[column] ? { low: readings.min[column], high: readings.max[column] } : {}) };
  const spaced = withGaps(readings.time, [input], readings.bucket_s * 1000);
  const time = [...new Set([...drawn.time, ...spaced.time])].sort((a, b) => a - b);
  const places = new Map(time.map((at, index) => [at, index]));
  const spread = (/** @type {number[]} */ own, /** @type {any[]} */ list) => {
    const result = new Array(time.length);
    list.forEach((value, at) => { result[/** @type {number} */ (places.get(own[at]))] = value; });
    return result;
  };
  const all = (/** @type {number[]} */ own, /** @type {any} */ line) => ({ ...line, values: spread(own, line.values), ...(line.low ? { low: spread(own, line.low), high: spread(own, line.high) } : {}) });
  return { time, lines: [...spaced.lines.map((line) => all(spaced.time, line)), ...drawn.lines.map((line) => all(drawn.time, line))] };
}

/** @param {any} data */
function storyOf(data) {
  if (data.none) return h("p", { class: "empty" }, "Click a moment in the strip or a chart, or press ← and →. The story of its slot stands here: which task, from what readings, and how long it took.");
  const stages = Object.entries(data.receipt?.stages || {});
  const total = stages.reduce((sum, [, ms]) => sum + Number(ms), 0) || 1;
  const tags = data.receipt?.inputs?.tags || [];
  return [
    h("p", {}, h("strong", {}, `${slot(data.slot_start, data.slot_end)} ${zoneLabel(moment(data.slot_start))} · ${String(data.state).replaceAll("_", " ")}`)),
    h("div", { class: "story" }, data.story.map((/** @type {string} */ one) => h("p", {}, inZone(visible(one))))),
    stages.length ? [h("h3", {}, "Stages"), h("dl", { class: "pairs" }, stages.map(([name, ms]) => [h("dt", {}, name), h("dd", {}, meter(Number(ms) / total, duration(Number(ms) / 1000)))]))] : null,
    tags.length ? h("details", {}, h("summary", {}, `Readings of ${counted(tags.length, "sensor")}`), h("dl", { class: "pairs" }, tags.map((/** @type {any} */ tag) => [h("dt", {}, nameOf(tag.tag)), h("dd", {}, `${figure(tag.readings)} readings, ${figure(tag.rows)} rows`)]))) : null,
  ];
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

/** @param {HTMLElement} content @param {any} screen @param {Panel} head @param {string} project */
function aboutTab(content, screen, head, project) {
  const body = h("div", {});
  content.replaceChildren(body);
  const draw = () => {
    const data = head.data;
    if (!data) return;
    const tags = data.tags || [];
    fill(body,
      h("h3", {}, counted(tags.length, "sensor")),
      h("ul", {}, tags.map((/** @type {any} */ tag) => h("li", {}, nameOf(tag), data.spec?.assets?.[tag] ? h("span", { class: "quiet" }, ` ${visible(data.spec.assets[tag])}`) : null))),
      h("h3", {}, "Dataset"), h("pre", { tabindex: "0" }, visible(JSON.stringify(data.spec, null, 1) || "not described yet").replaceAll("␊", "\n")),
      h("p", {}, h("a", { href: href("/models", { project }) }, "All models of the project")));
  };
  draw();
  return { update: draw, close() {} };
}
