// The charts of a model over time, and the story of a moment. This module is loaded when the tab is opened.

import { get, post, Problem } from "./api.js";
import { bandColumn, bandOf } from "./band.js";
import { createChart, short } from "./chart.js";
import { comparison } from "./compare.js";
import { counted, figure, fill, h, meter, nameOf, percent, visible } from "./dom.js";
import { Panel } from "./panel.js";
import { place, set } from "./router.js";
import { clock, duration, fixed, inZone, moment, slot, zoneLabel } from "./time.js";

const WORST = 8, MOST_TAGS = 50, READINGS_DAYS = 1, HEIGHT = 130;
/** From so much of a window on, its rows are drawn as filled. */
const FILLED_FROM = 0.5;
/** Sensors report at times of their own: so many usual steps without a reading are a gap. */
const IRREGULAR = 6;

/**
 * Draw the charts of a model, and the story of a moment.
 * @param {{content: HTMLElement, screen: any, path: string, project: string, name: string, times: () => any, strips: Panel, wanted: () => boolean}} given
 */
export function seriesTab({ content, screen, path, project, name, times, strips, wanted }) {
  if (!wanted()) return null;
  const charts = h("div", { class: "charts" }), more = h("p", {});
  /** @type {Map<string, any>} */
  const drawn = new Map();
  let everything = false;
  /** @type {any} */
  let compared = null;
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
    draw: (data) => [storyOf(data), data.none ? null : again(data)],
  });
  for (const panel of [series, moments]) screen.add(panel);
  series.node.classList.remove("panel");
  series.node.append(charts, more);
  content.replaceChildren(h("div", { class: "model-body" }, series.node, moments.node));

  /** Return what predicting a moment again offers, or has found. @param {any} data */
  function again(data) {
    const at = data.slot_start;
    const found = compared?.at === at ? compared : null;
    const ask = async () => {
      compared = { at, asking: true };
      moments.show();
      try {
        compared = { at, ...await post(`${path}/verify`, { at }) };
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        compared = { at, error: error.message };
      }
      if (place().query.get("at")) moments.show();
    };
    return h("section", { class: "compare", "aria-label": "Predict again and compare" },
      h("p", {}, h("button", { type: "button", disabled: !!found?.asking, title: "Reads and predicts this slot again, and writes nothing. It costs a call of the model server.", onclick: ask },
        found?.asking ? "Predicting…" : "Predict again and compare")),
      found?.error ? h("p", { class: "problem", role: "alert" }, visible(found.error)) : null,
      found?.story ? comparison(found) : null);
  }

  /** @param {any} data */
  function note(data) {
    if (!data.time.length) return h("p", { class: "empty" }, "No predictions are stored in this range.");
    return h("p", { class: "row quiet" }, data.unread ? h("span", {}, `Readings are not shown: ${visible(data.unread)}.`) : null, data.bucket_s ? `Each point is ${duration(data.bucket_s)}: lowest, mean and highest are drawn.` : "Every row is drawn.",
      h("span", {}, "Drag to zoom in, Shift for the height, double click to go back."),
      Object.values(data.filled || {}).some((list) => list.some(isFilled)) ? h("span", {}, "Dotted: most of the rows had no reading of their own, and were filled.") : null,
      provisional().length ? h("span", {}, "Hollow: provisional, and may change with later readings.") : null);
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
      chart.lines = marked(gaps, one.tag ? filledAt(data, one.tag) : () => false, provisional());
      chart.made?.setData({ time: gaps.time, lines: chart.lines, from: screen.range.from, to: screen.range.to, threshold: one.threshold });
      if (one.band) drawBand(chart, one.band, data);
    }
  }

  /** Draw how odd a sensor was, below its chart and as wide as its lines. @param {any} chart @param {any} band @param {any} data */
  function drawBand(chart, band, data) {
    const node = bandOf(band, data, screen.range);
    if (chart.band) chart.band.replaceWith(node);
    else chart.plot.append(node);
    chart.band = node;
    requestAnimationFrame(() => placeBand(chart)); // the library lays out its lines after this
  }

  /** @param {any} chart */
  function placeBand({ made, band }) {
    const { left = 0, width = 0 } = made?.area() || {};
    if (!band || !width) return;
    Object.assign(band.style, { marginLeft: `${left}px`, width: `${width}px` });
    band.repaint();
  }

  /** Return the stretches that may still change. */
  function provisional() {
    return (strips.data?.stretches || []).filter((/** @type {any} */ one) => one.state === "provisional").map((/** @type {any} */ one) => [moment(one.start), moment(one.end)]);
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
      readout.textContent = at === null ? "" : `${clock(at, true)} ${zoneLabel(at)}: ${said(lines, made.values(at))}`;
    }
  }

  series.resized = () => {
    for (const chart of drawn.values()) {
      chart.made?.resize();
      requestAnimationFrame(() => placeBand(chart));
    }
  };
  let before = location.search;
  return {
    update() {
      if (location.search === before) return;
      const [was, now] = [new URLSearchParams(before), new URLSearchParams(location.search)];
      before = location.search;
      if (was.get("range") !== now.get("range")) series.refresh();
      if (was.get("at") !== now.get("at")) { moments.refresh(); for (const node of document.querySelectorAll("canvas.coverage")) /** @type {any} */ (node).repaint?.(); }
    },
    covered() { if (series.data) series.show(); },
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
    const band = bandColumn(tag, find, data);
    if (lines.length) charts.push({ key: `tag ${tag}`, main: false, label: tag, tag, threshold: null, lines, weight, share: anomaly ? weight : null, band });
  }
  return charts.sort((a, b) => b.weight - a.weight);
}

/**
 * Put a gap where rows are missing: a line must not run over time without predictions.
 * @param {number[]} time @param {any[]} lines @param {number} step @param {number} [most]  steps from one row to the next
 */
function withGaps(time, lines, step, most = 1.9) {
  const steps = time.slice(1).map((at, index) => at - time[index]).sort((a, b) => a - b);
  const usual = step || steps[Math.floor(steps.length / 2)] || 0;
  const holes = /** @type {number[]} */ ([]);
  for (let at = 1; at < time.length; at += 1) if (usual && time[at] - time[at - 1] > usual * most) holes.push(at);
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
  const kept = readings.time.map((/** @type {number} */ _, /** @type {number} */ at) => at).filter((/** @type {number} */ at) => readings.mean[column][at] !== null);
  const pick = (/** @type {any[]} */ list) => kept.map((/** @type {number} */ at) => list[at]);
  const input = { label: "input", colour: "input", reading: true, values: pick(readings.mean[column]), ...(readings.bucket_s && readings.min[column] ? { low: pick(readings.min[column]), high: pick(readings.max[column]) } : {}) };
  const own = pick(readings.time), spaced = withGaps(own, [input], 0, IRREGULAR);
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

/** @param {number | null} share */
function isFilled(share) {
  return share !== null && share >= FILLED_FROM;
}

/** Return what says whether the input of a tag was filled at a time. @param {any} data @param {string} tag @returns {(at: number) => boolean} */
function filledAt(data, tag) {
  const shares = data.filled?.[tag];
  if (!shares) return () => false;
  const places = new Map(data.time.map((/** @type {number} */ at, /** @type {number} */ index) => [at, index]));
  return (at) => { const index = places.get(at); return index !== undefined && isFilled(shares[index]); };
}

/**
 * Return lines of which filled parts are dotted and provisional ones hollow, but for readings, which are neither. A part
 * goes on to its neighbours, so that nothing is torn apart.
 * @param {{time: number[], lines: any[]}} drawn @param {(at: number) => boolean} filled @param {number[][]} stretches  that are provisional
 */
function marked({ time, lines }, filled, stretches) {
  const dotted = time.map(filled), any = dotted.includes(true);
  const hollow = time.map((at) => stretches.some(([start, end]) => start <= at && at < end)), some = hollow.includes(true);
  return lines.flatMap((line) => {
    if (line.reading) return [line];
    const there = line.values.some((/** @type {any} */ value, /** @type {number} */ at) => dotted[at] && value !== null && value !== undefined);
    const parts = any && there ? [
      { ...line, values: line.values.map((/** @type {any} */ value, /** @type {number} */ at) => (dotted[at] ? null : value)) },
      { ...line, low: undefined, high: undefined, dash: [1, 4], part: true, values: line.values.map((/** @type {any} */ value, /** @type {number} */ at) => (dotted[at] || dotted[at - 1] || dotted[at + 1] ? value : value === undefined ? undefined : null)) },
    ] : [line];
    return some ? [...parts, { label: line.label, colour: line.colour, width: 0, hollow: true, part: true, values: line.values.map((/** @type {any} */ value, /** @type {number} */ at) => (hollow[at] ? value : null)) }] : parts;
  });
}

/** Return the values of lines in words; parts of a line have its label. @param {any[]} lines @param {(number | null)[]} values */
function said(lines, values) {
  /** @type {Map<string, number | null>} */
  const known = new Map();
  lines.forEach(({ label }, index) => { if (known.get(label) === undefined || known.get(label) === null) known.set(label, values[index] ?? null); });
  return [...known].map(([label, value]) => `${label} ${short(value)}`).join(", ");
}
