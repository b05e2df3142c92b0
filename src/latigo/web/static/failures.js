// Failures by cause: what Latigo does about each by itself, and what is left to a person.

import { get } from "./api.js";
import { copy, counted, figure, h, nameOf, visible } from "./dom.js";
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
      load: (signal) => get("/failures", { by: place().query.get("by") || "cause", project: place().query.get("project") || null }, { signal }),
      draw: ({ items }, self) => [
        h("div", { class: "choices", role: "group", "aria-label": "Grouped" }, BY.map(([value, text]) =>
          h("button", { type: "button", "aria-pressed": String(value === (place().query.get("by") || "cause")), onclick: () => set({ by: value }) }, text))),
        items.length ? items.map((/** @type {any} */ group) => draw(group, opened, self)) : h("p", { class: "empty" }, "Nothing has failed that is still open."),
      ],
    }));
    main.append(panel.node);
    screen.update = () => panel.refresh();
  },
};

/** @param {any} group @param {Map<string, any>} opened @param {Panel} panel */
function draw(group, opened, panel) {
  const key = group.key ?? `${group.project}/${group.reason}`;
  const command = `latigo failures${group.subject?.kind === "sensor" ? ` --sensor '${group.subject.name}'` : ""}`;
  const shown = opened.get(key);
  return h("article", { class: "group", key },
    h("h3", {}, h("span", { class: `sign ${group.stuck ? "needs-attention" : "recovering"}` }, group.stuck ? "▲ " : "◐ "), visible(group.title ?? group.reason),
      group.subject?.name ? [" ", nameOf(group.subject.name)] : null),
    h("p", { class: "quiet" }, [counted(group.models, "model"), group.stuck ? `${figure(group.stuck)} stuck: newest slot included` : null,
      group.slots === undefined ? null : counted(Math.round(group.slots), "slot")].filter(Boolean).join(" · "),
      group.since ? h("span", { title: fullTime(group.since) }, ` · since ${when(group.since)} (${age(group.since)})`) : null),
    group.automatic ? h("p", {}, "Latigo: ", visible(group.automatic)) : null,
    group.advice ? h("p", {}, "You: ", visible(group.advice)) : null,
    group.example ? h("p", { class: "quiet" }, visible(group.example)) : null,
    h("p", { class: "row" },
      h("button", { type: "button", onclick: () => toggle(key, opened, panel) }, shown ? "Hide models" : "Show models"),
      h("button", { type: "button", onclick: () => copy(command, "Copied") }, `Copy: ${command}`)),
    shown ? h("ul", {}, shown.map((/** @type {any} */ one) => h("li", {}, one.error ? visible(one.error)
      : h("a", { href: modelHref(one.project, one.model ?? one.name) }, nameOf(`${one.project}/${one.model ?? one.name}`))))) : null);
}

/** @param {string} key @param {Map<string, any>} opened @param {Panel} panel */
async function toggle(key, opened, panel) {
  if (!opened.delete(key)) {
    opened.set(key, []);
    panel.show();
    try {
      opened.set(key, (await get(`/failures/${encodeURIComponent(key)}/models`, { limit: 100 })).items);
    } catch (error) {
      opened.set(key, [{ error: /** @type {Error} */ (error).message }]);
    }
  }
  panel.show();
}
