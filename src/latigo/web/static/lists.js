// What the simple screens share: a panel with a list of the API, in a table.

import { get } from "./api.js";
import { h } from "./dom.js";
import { onScreen } from "./keys.js";
import { Panel } from "./panel.js";
import { go } from "./router.js";
import { Table } from "./table.js";

/**
 * Return a panel with a table of items.
 * @param {{title: string, name: string, path: string, query?: () => {[name: string]: any}, columns: import("./table.js").Column[], key: (row: any) => string, empty: any,
 *   open?: (row: any) => string, extra?: any, events?: string[], items?: (data: any) => any[], note?: (data: any) => any}} options
 */
export function listPanel({ title, name, path, query = () => ({}), columns, key, empty, open, extra = null, events = ["status"], items = (data) => data.items || [], note = () => null }) {
  const table = new Table({ columns, key, caption: title, empty, open });
  const panel = new Panel({
    title, name, events, extra,
    load: (signal) => get(path, query(), { signal }),
    draw: (data, self) => [note(data), table.draw(items(data), () => self.show()),
      data.next ? h("p", { class: "quiet" }, "There are more; the search and the filters narrow them down.") : null],
  });
  return Object.assign(panel, { table });
}

/** Let j, k and Enter walk through a table. @param {() => Table} table */
export function walk(table) {
  onScreen([
    { keys: "j ArrowDown", does: "next row", run: () => table().move(1) },
    { keys: "k ArrowUp", does: "previous row", run: () => table().move(-1) },
    { keys: "Enter", does: "open it", run: () => { const address = table().address(); if (address) go(address); } },
  ]);
}
