// Rows of a table that are selected: by a click, a range with Shift, or the keys x and X. They stay selected when the list
// changes or another page of it is shown: what is done is done to what was selected.

import { counted, h, nameOf } from "./dom.js";

/** @typedef {import("./table.js").Table} Table */

const NAMED = 3;

export class Selection {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.rows = /** @type {Map<string, any>} */ (new Map());
    this.anchor = "";
  }

  /** @param {string} key */
  has(key) {
    return this.rows.has(key);
  }

  clear() {
    this.rows.clear();
    this.anchor = "";
    this.changed();
  }

  /** Select a row or let it go; with `range` all rows from the last one. @param {Table} table @param {number} at @param {boolean} range */
  toggle(table, at, range) {
    const { key } = table.options;
    const row = table.rows[at];
    if (!row) return;
    const from = range ? table.rows.findIndex((each) => key(each) === this.anchor) : -1;
    if (from >= 0) for (let each = Math.min(from, at); each <= Math.max(from, at); each += 1) this.rows.set(key(table.rows[each]), table.rows[each]);
    else if (!this.rows.delete(key(row))) this.rows.set(key(row), row);
    this.anchor = key(row);
    table.selected = at;
    this.changed();
  }

  /** Select all rows that are shown, or let them go. @param {Table} table */
  toggleAll(table) {
    const { key } = table.options;
    const all = table.rows.every((row) => this.has(key(row)));
    for (const row of table.rows) {
      if (all) this.rows.delete(key(row));
      else this.rows.set(key(row), row);
    }
    this.changed();
  }

  /** @param {Table} table */
  heading(table) {
    const shown = table.rows.filter((row) => this.has(table.options.key(row))).length;
    const state = shown === 0 ? "false" : shown === table.rows.length ? "true" : "mixed";
    return h("th", { scope: "col", class: "box" }, box(state, "Select all rows that are shown", () => this.toggleAll(table)));
  }

  /** @param {Table} table @param {number} at */
  cell(table, at) {
    const key = table.options.key(table.rows[at]);
    return h("td", { class: "box" }, box(String(this.has(key)), `Select ${key}`, (event) => this.toggle(table, at, event.shiftKey)));
  }

  /** Return what is selected in words, and what can be done with it. @param {Table} table @param {(rows: any[]) => any} actions */
  bar(table, actions) {
    if (!this.rows.size) return null;
    const keys = [...this.rows.keys()], shown = new Set(table.rows.map(table.options.key));
    const elsewhere = keys.filter((key) => !shown.has(key)).length;
    return h("div", { class: "row bulk", role: "group", "aria-label": "Selected rows" },
      h("strong", {}, `${counted(keys.length, "model")} selected`), keys.length <= NAMED ? keys.map((key) => nameOf(key)) : null,
      elsewhere ? h("span", { class: "quiet" }, `${elsewhere} not in the list that is shown`) : null,
      actions([...this.rows.values()]), h("button", { type: "button", onclick: () => this.clear() }, "Clear"));
  }
}

/** @param {string} state @param {string} label @param {(event: MouseEvent) => void} onclick */
function box(state, label, onclick) {
  return h("button", { type: "button", class: "plain check", role: "checkbox", "aria-checked": state, "aria-label": label, title: label, onclick },
    { true: "☑", false: "☐", mixed: "◪" }[state]);
}
