// Failures by cause: what Latigo does about each by itself, and what is left to a person.

import { get } from "./api.js";
import { copy, counted, h, nameOf, quoted, visible } from "./dom.js";
import { acts } from "./later.js";
import { Panel } from "./panel.js";
import { modelHref, place, set } from "./router.js";
import { age, fullTime, when } from "./time.js";

const BY = [["cause", "by cause"], ["sensor", "by sensor"], ["project", "by project"]];

export const failures = {
  title: "Failures",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const opened = new Map();
    const panel = screen.add(new Panel({
      name: "failures", title: "Failures", events: ["failures", "status"], atMost: 5000,
      load: (signal) => get("/failures/groups", { by: place().query.get("by") || "cause", ...filters() }, { signal }),
      draw: ({ items, dismissed }, self) => [
        h("div", { class: "choices", role: "group", "aria-label": "Grouped" }, BY.map(([value, text]) =>
          h("button", { type: "button", "aria-pressed": String(value === (place().query.get("by") || "cause")), onclick: () => set({ by: value }) }, text))),
        Object.entries(filters()).some(([name, value]) => value && name !== "project") ? h("p", {}, `Only ${Object.values(filters()).filter((value) => value !== null).map(visible).join(", ")}. `,
          h("button", { type: "button", onclick: () => set({ state: null, reason: null, sensor: null }) }, "Show all")) : null,
        items.length ? items.map((/** @type {any} */ group) => draw(group, opened, self)) : h("p", { class: "empty" }, "Nothing has failed that is still open."),
        dismissed ? h("p", { class: "quiet" }, `${counted(dismissed, "failure")} dismissed: latigo failures --dismissed`) : null,
      ],
    }));
    main.append(panel.node);
    screen.update = () => panel.refresh();
  },
};

/** @returns {{[name: string]: string | null}} */
function filters() {
  const { query } = place();
  return Object.fromEntries(["project", "state", "reason", "sensor"].map((name) => [name, query.get(name) || null]));
}

/** @param {any} group @param {Map<string, any>} opened @param {Panel} panel */
function draw(group, opened, panel) {
  const by = place().query.get("by") || "cause";
  const selector = { cause: { reason: group.name }, sensor: { sensor: group.name }, project: { project: group.name } }[by] || {};
  const [option, value] = Object.entries(selector)[0];
  const command = `latigo failures --${option} ${quoted(String(value))}`;
  const key = `${by} ${group.name}`, shown = opened.get(key);
  const parked = group.states.includes("parked");
  return h("article", { class: "group", key },
    h("h3", {}, h("span", { class: `sign ${parked ? "needs-attention" : "recovering"}`, title: parked ? "Needs attention" : "Recovering" }, parked ? "▲ " : "◐ "),
      by === "cause" ? visible(titleOf(group.name)) : nameOf(group.name)),
    h("p", { class: "quiet" }, `${counted(group.models, "model")} · ${counted(group.failures, parked ? "failure" : "case")} · ${group.states.join(", ")}${by === "cause" ? "" : ` · ${group.reasons.slice(0, 3).map((/** @type {string} */ reason) => visible(titleOf(reason))).join(", ")}`}`,
      h("span", { title: fullTime(group.since) }, ` · since ${when(group.since)} (${age(group.since)})`),
      group.next_attempt ? h("span", { title: fullTime(group.next_attempt) }, ` · next attempt ${when(group.next_attempt)}`) : null),
    group.example ? h("p", { class: "example" }, h("b", {}, "Example: "), visible(group.example)) : null,
    group.latigo_does ? h("p", {}, h("b", {}, "Latigo: "), visible(group.latigo_does)) : null,
    group.you_can_do ? h("p", {}, h("b", {}, "You: "), visible(group.you_can_do)) : null,
    h("p", { class: "row" },
      parked || group.states.includes("waiting") || group.states.includes("silent") ? acts(parked ? "Release…" : "Try again…", "release",
        { ...selector, ...(place().query.get("project") ? { project: place().query.get("project") } : {}) }, by === "cause" ? titleOf(group.name) : group.name, parked ? "Release" : "Try again") : null,
      h("button", { type: "button", onclick: () => toggle(key, selector, opened, panel) }, shown ? "Hide models" : "Show models"),
      h("button", { type: "button", onclick: () => copy(command) }, `Copy: ${command}`)),
    shown ? h("ul", {}, shown.map((/** @type {any} */ one) => h("li", {}, one.error ? visible(one.error)
      : [h("a", { href: modelHref(one.project, one.model, one.first ? { at: one.first } : {}) }, nameOf(`${one.project}/${one.model}`)), h("span", { class: "quiet" }, ` ${one.state}: ${visible(one.detail)}`)]))) : null);
}

const TITLES = /** @type {{[cause: string]: string}} */ ({
  attempts: "Every attempt has failed", crashed: "Latigo crashed on it", columns_refused: "The model expects other columns than its metadata names",
  bad_metadata: "The metadata cannot be used", values_refused: "The model refuses the values of its sensors", write_refused: "A sink refuses the predictions",
  model_gone: "The model server lists the model no more", too_large: "A single slot is too large to be read or sent", task_too_large: "The task is too large for the task queue",
  kills_process: "Every process that started it died",
});

/** Return a cause in words. @param {string} cause */
function titleOf(cause) {
  return TITLES[cause] ?? (cause.charAt(0).toUpperCase() + cause.slice(1)).replaceAll("_", " ");
}

/** @param {string} key @param {any} selector @param {Map<string, any>} opened @param {Panel} panel */
async function toggle(key, selector, opened, panel) {
  if (!opened.delete(key)) {
    opened.set(key, []);
    panel.show();
    try {
      opened.set(key, (await get("/failures", { ...filters(), ...selector, limit: 100 })).items);
    } catch (error) {
      opened.set(key, [{ error: /** @type {Error} */ (error).message }]);
    }
  }
  panel.show();
}
