// Settings and health: what Latigo is, what people did, and what the settings are.

import { get } from "./api.js";
import { h, visible } from "./dom.js";
import { listPanel, walk } from "./lists.js";
import { Panel } from "./panel.js";
import { fullTime, when } from "./time.js";

const root = document.documentElement.dataset.base || "";

export const settings = {
  title: "Settings",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const about = new Panel({
      title: "About", name: "about", events: [], load: (signal) => get("/about", {}, { signal }),
      draw: (data) => h("dl", { class: "pairs" }, Object.entries(data).filter(([name]) => !["received", "at", "age_s"].includes(name)).map(([name, value]) =>
        [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, visible(typeof value === "object" ? JSON.stringify(value) : String(value)))]),
        h("dt", {}, "for programs"), h("dd", {}, h("a", { href: `${root}/api/v1/openapi.json` }, "OpenAPI"), " · ", h("a", { href: `${root}/metrics` }, "metrics"), " · ",
          h("a", { href: `${root}/livez` }, "alive"), " · ", h("a", { href: `${root}/readyz` }, "ready"))),
    });
    const effective = new Panel({
      title: "Settings", name: "effective", events: [], load: (signal) => get("/settings", {}, { signal }),
      draw: (data) => h("pre", { tabindex: "0" }, visible(JSON.stringify(data.settings ?? data.items ?? data, null, 2)).replaceAll("␊", "\n")),
    });
    const actions = listPanel({
      title: "What people did", name: "actions", path: "/actions", query: () => ({ limit: 100 }), key: (row) => String(row.id),
      empty: "No action is recorded yet. What people change is listed here, with who, when and why.",
      columns: [
        { title: "when", label: "", cell: (row) => h("span", { title: fullTime(row.at) }, when(row.at)) },
        { title: "who", cell: (row) => visible(row.who ?? "") },
        { title: "what", cell: (row) => visible(row.kind) },
        { title: "of", cell: (row) => visible(Object.entries(row.selector || {}).map(([name, value]) => `${name} ${[value].flat().join(", ")}`).join("; ")) },
        { title: "result", cell: (row) => visible(row.state ?? row.result ?? "") },
        { title: "why", kind: "wide", cell: (row) => visible(row.reason) },
      ],
    });
    for (const panel of [about, actions, effective]) { screen.add(panel); main.append(panel.node); }
    walk(() => actions.table);
    screen.update = () => {};
  },
};
