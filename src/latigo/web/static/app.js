// The frame: verdict, navigation, project, range, zone and search. The module of a screen is loaded when it is first shown.

import { get } from "./api.js";
import { copy, figure, fill, h, say, visible, withoutCommand } from "./dom.js";
import { everywhere, onScreen, showKeys } from "./keys.js";
import { mark, on, start, togglePause } from "./live.js";
import { Panel } from "./panel.js";
import { changed, go, href, onPlace, place, set } from "./router.js";
import { searchBox } from "./search.js";
import { verdictOf } from "./states.js";
import { chooseZone, clock, duration, fixed, offerZones, rangeOf, rangeWords, zoneChoices, zoneLabel, zoneName } from "./time.js";

/**
 * @typedef {{title: string, range: string, draw: (main: any, screen: Screen) => void, placed?: (screen: Screen) => void}} ScreenKind
 * @typedef {{panels: Panel[], range: import("./time.js").Range, add: (panel: Panel) => Panel, status: () => any,
 *   projects: () => string[], update: (() => void) | null, onStatus?: () => void, identity: string}} Screen
 */

const NAVIGATION = [
  ["", "Overview", "o"], ["models", "Models", "m"], ["anomalies", "Anomalies", "a"], ["failures", "Failures", "f"],
  ["backfills", "Backfills", "b"], ["queue", "Queue", "q"], ["settings", "Settings", "s"],
];
const RANGES = ["1h", "6h", "24h", "7d", "30d", "92d"];

const data = document.documentElement.dataset;
offerZones(data.zone || "");
data.theme = localStorage.getItem("latigo-theme") || "auto";

/** @type {Screen | null} */
let screen = null;
/** @type {ScreenKind} */
let kind = { title: "Latigo", range: "24h", draw: () => {} };
let turn = 0;
/** @type {string[]} */
let projects = [];

const navigation = h("nav", { class: "main", "aria-label": "Screens" });
const verdict = h("div", {});
const banner = h("div", {});
const more = h("nav", { class: "more", "aria-label": "More screens" }); // those that the bar of a narrow window has no room for
const main = h("main", { id: "main", tabindex: "-1" });
const markButton = h("button", { type: "button", class: "mark plain", title: "Pause or resume live updates (p)", onclick: pauseOrGoOn });
const choices = h("div", { class: "choosing" });
const tools = h("div", { class: "tools" }, searchBox(), choices);

document.body.replaceChildren(
  h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => { event.preventDefault(); main.focus(); } }, "Skip to the content"),
  h("header", { class: "top" },
    h("div", { class: "bar" }, h("a", { class: "brand", href: href("/") }, "Latigo"), navigation, tools, markButton),
    banner, verdict),
  main, more, h("p", { id: "message", role: "status", hidden: true }));

const status = new Panel({
  name: "status", load: (signal) => get("/status", {}, { signal }), draw: () => null, every: 10000, events: ["status", "failures", "circuits", "executors", "trouble"],
});
const showStatus = status.show.bind(status);
status.show = () => { showStatus(); drawFrame(); screen?.onStatus?.(); };

/** Draw what is the same on every screen. */
function drawFrame() {
  const { parts, query } = place();
  const summary = status.data;
  const here = parts[0] || "";
  if (summary) projects = summary.projects.map((/** @type {any} */ one) => one.project);
  const counts = { failures: summary?.projects.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.parked, 0), backfills: summary?.requests.active };
  const minor = (/** @type {string} */ part) => part === "settings" || part === "anomalies";
  fill(more, NAVIGATION.filter(([part]) => minor(part)).map(([part, title]) => h("a", { href: href(`/${part}`), "aria-current": here === part ? "page" : null }, title)));
  fill(navigation, NAVIGATION.map(([part, title, key]) => h("a", {
    href: href(`/${part}`), class: minor(part) ? "minor" : null, "aria-current": here === part ? "page" : null, title: `${title} (g ${key})`,
  }, title, counts[/** @type {"failures"} */ (part)] ? h("span", { class: "count" }, figure(counts[/** @type {"failures"} */ (part)])) : null)));
  const project = query.get("project");
  const range = currentRange();
  fill(choices,
    choice("Project", project ?? "", [["", "all projects"], ...new Set([...projects, ...(project ? [project] : [])])].map((one) =>
      typeof one === "string" ? [one, visible(one)] : one), (value) => set({ project: value })),
    choice("Range", range.relative ? range.text : "fixed", [...new Set([...RANGES, ...(range.relative ? [range.text] : [])])].map((text) => [text, rangeWords(rangeOf(text, text))])
      .concat(range.relative ? [["fix", "fix this range"]] : [["fixed", rangeWords(range)]]), (value) => {
      if (value === "fix") set({ range: fixed(range.from, range.to) });
      else if (value !== "fixed") set({ range: value });
    }),
    choice("Time zone", zoneName(), zoneChoices().map(({ name, label }) => [name, label]), chooseZoneAndKeep),
    choice("Colours", data.theme || "auto", [["auto", "◐ auto"], ["light", "light"], ["dark", "dark"]], (value) => {
      localStorage.setItem("latigo-theme", value);
      data.theme = value;
      redraw();
    }));
  drawMark();
  const unreachable = status.problem !== null;
  const [sign, words, kind] = verdictOf(unreachable || !summary ? "unknown" : summary.state);
  const sentence = summary ? withoutCommand(summary.headline) : "";
  document.documentElement.toggleAttribute("data-unreachable", unreachable);
  fill(verdict, here !== "" || unreachable ? h("div", { class: `verdict ${kind}${unreachable ? " unreachable" : ""}`, role: "status" },
    h("span", { class: `sign ${kind}`, "aria-hidden": "true" }, sign),
    h("span", { class: "sentence", title: sentence || "" },
      unreachable ? [h("strong", {}, `${words}. `), summary ? `Last known at ${clock(summary.now)} ${zoneLabel()}: ` : "", visible(sentence || "")]
        : summary ? [h("strong", {}, sentence.toLowerCase().startsWith(words.toLowerCase()) ? "" : `${words}: `), visible(sentence)] : "Loading…")) : null);
  fill(banner, bannerText(summary) ? h("p", { class: "banner", role: "alert" }, bannerText(summary)) : null);
  document.title = `${summary && !unreachable ? `${sign} ` : ""}${screenTitle()} · Latigo`;
}

/** @param {any} summary */
function bannerText(summary) {
  const problem = status.problem;
  const from = summary ? `; what you see is from ${clock(summary.now)} ${zoneLabel()}` : "";
  if (problem && problem.status === 0) return `Latigo cannot be reached${from}. This page tries again every few seconds.`;
  if (problem && /starting/.test(problem.message)) return "Latigo is starting, and waits for its systems. This page goes on by itself.";
  if (problem) return `The ledger cannot be reached${from}: ${problem.message}`;
  if (summary && summary.planner === null) return "No scheduler runs: what is planned already is still predicted, and nothing new is planned.";
  return "";
}

function drawMark() {
  const { word, seconds } = mark();
  markButton.className = `mark plain ${word}`;
  markButton.textContent = `${word} · ${duration(Math.floor(seconds))}`;
  markButton.setAttribute("aria-pressed", String(word === "paused"));
}

/** @param {string} label @param {string} value @param {string[][]} options @param {(value: string) => void} chosen */
function choice(label, value, options, chosen) {
  const list = h("select", { "aria-label": label, title: label, onchange: (/** @type {any} */ event) => chosen(event.target.value) },
    options.map(([name, text]) => h("option", { value: name, selected: name === value }, text)));
  list.key = label;
  queueMicrotask(() => { const shown = document.querySelector(`select[aria-label="${label}"]`); if (shown && document.activeElement !== shown) /** @type {HTMLSelectElement} */ (shown).value = value; });
  return list;
}

/** @param {string} name */
function chooseZoneAndKeep(name) {
  localStorage.setItem("latigo-zone", name);
  set({ zone: null });
  useZone();
  redraw();
}

function useZone() {
  chooseZone(place().query.get("zone") || localStorage.getItem("latigo-zone") || "utc");
}

function currentRange() {
  return rangeOf(place().query.get("range"), kind.range);
}

/** Return the name of the module that draws a place, and of its export. @param {string[]} parts */
function moduleOf([part = "", ...more]) {
  if (part === "models" && more.length > 1) return "model";
  return NAVIGATION.some(([known]) => part && known === part) ? part : "overview";
}

function screenTitle() {
  const { parts } = place();
  return parts[0] === "models" && parts.length >= 3 ? visible(parts.slice(2).join("/")) : kind.title;
}

function redraw() {
  drawFrame();
  screen?.onStatus?.();
  if (screen) for (const panel of screen.panels) panel.show();
}

/** Show the screen of this place, or update the one that is shown. */
async function show() {
  useZone();
  const { parts } = place();
  const identity = parts.join("/");
  const mine = (turn += 1);
  if (screen && screen.identity === identity) {
    screen.range = currentRange();
    screen.update?.();
    drawFrame();
    return;
  }
  const name = moduleOf(parts);
  main.inert = true; // what is still shown belongs to another address
  try {
    const loaded = await import(`./${name}.js`);
    if (mine !== turn) return;
    kind = loaded[name];
  } catch {
    if (mine === turn) unreadable();
    return;
  }
  if (screen) for (const panel of screen.panels) panel.close();
  main.replaceChildren();
  main.inert = false;
  onScreen([]);
  screen = {
    identity, panels: [], range: currentRange(), update: null,
    add(panel) { this.panels.push(panel); return panel; },
    status: () => status.data, projects: () => projects,
  };
  drawFrame();
  if (name !== "model") main.append(h("h1", { class: "hidden" }, kind.title));
  kind.draw(main, screen);
}

/** Say that the module of a screen cannot be had, and what to do; a browser asks for it again only when the page is loaded anew. */
function unreadable() {
  if (screen) for (const panel of screen.panels) panel.close();
  screen = null;
  main.inert = false;
  fill(main, h("section", { class: "panel", "aria-label": "Problem" }, h("p", { class: "problem" }, h("strong", {}, "Latigo cannot be reached, so this screen cannot be opened. "),
    h("button", { type: "button", onclick: () => location.reload() }, "Try again"))));
  drawFrame();
}

function pauseOrGoOn() {
  say(togglePause() ? "Live updates are paused. Press p to go on." : "Live updates go on.");
}

/** @param {number} screens */
function shift(screens) {
  const { from, to } = currentRange();
  const length = (to - from) * screens;
  if (to + length > Date.now() + 60000) set({ range: rangeOf(null, `${Math.round((to - from) / 60000)}m`).text });
  else set({ range: fixed(from + length, to + length) });
}

/** @param {number} factor */
function zoom(factor) {
  const { from, to, relative } = currentRange();
  const length = Math.max(600e3, Math.min(92 * 86400e3, (to - from) * factor));
  if (relative) set({ range: `${Math.round(length / 60000)}m` });
  else set({ range: fixed((from + to - length) / 2, (from + to + length) / 2) });
}

everywhere([
  { keys: "?", does: "this list", run: showKeys },
  { keys: "/", does: "search", run: () => /** @type {HTMLElement | null} */ (document.querySelector(".search input"))?.focus() },
  ...NAVIGATION.map(([part, title, key]) => ({ keys: `g ${key}`, does: title, run: () => go(href(`/${part}`)) })),
  { keys: "[", does: "range one screen back", run: () => shift(-1) },
  { keys: "]", does: "range one screen forward", run: () => shift(1) },
  { keys: "+", does: "zoom in", run: () => zoom(0.5) },
  { keys: "-", does: "zoom out", run: () => zoom(2) },
  { keys: ".", does: "range ends now", run: () => { const { from, to } = currentRange(); set({ range: `${Math.max(1, Math.round((to - from) / 60000))}m` }); } },
  { keys: "p", does: "pause or resume live updates", run: pauseOrGoOn },
  { keys: "t", does: "UTC or the browser's zone", run: () => chooseZoneAndKeep(zoneName() === "utc" ? "local" : "utc") },
  { keys: "c", does: "copy the address of this page", run: () => copy(location.href) },
]);

addEventListener("error", (event) => say(`This page has a fault: ${event.message}`));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", () => { if (screen) for (const panel of screen.panels) panel.resized?.(); });
on("mark", drawMark);
setInterval(drawMark, 1000);
onPlace(show);
start();
drawFrame();
changed();
