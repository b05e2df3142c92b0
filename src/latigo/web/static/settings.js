// Settings and health: what Latigo is, what people did, and what the settings are.

import { h, visible } from "./dom.js";
import { listPanel, walk } from "./lists.js";
import { fullTime, when } from "./time.js";

const root = document.documentElement.dataset.base || "";

export const settings = {
  title: "Settings",
  range: "24h",
  /** @param {HTMLElement} main @param {any} screen */
  draw(main, screen) {
    const links = [["api/v1/openapi.json", "the API"], ["metrics", "metrics for Prometheus"], ["livez", "whether this process is alive"], ["readyz", "whether it can do its work"]];
    const about = h("section", { class: "panel", "aria-label": "About" }, h("h2", {}, "About"),
      h("p", {}, "The effective settings: ", h("code", {}, "latigo config"), ". What every system says: ", h("code", {}, "latigo check"), "."),
      h("ul", {}, links.map(([path, text]) => h("li", {}, h("a", { href: `${root}/${path}` }, `/${path}`), ` ${text}`))));
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
    screen.add(actions);
    main.append(actions.node, about);
    walk(() => actions.table);
    screen.update = () => {};
  },
};
