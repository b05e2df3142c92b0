// Tables of rows with names. Live data changes cells in place; rows move only when they are asked to.

import { h } from "./dom.js";

/** @typedef {import("./selecting.js").Selection} Selection */

/**
 * @typedef {{title: string, cell: (row: any) => any, order?: string, kind?: string, label?: string, optional?: boolean}} Column
 *   `order`: the API's order by this column; `kind`: "number" aligns to the right; `optional`: left out where all its cells are empty
 */

export class Table {
  /**
   * @param {{columns: Column[], key: (row: any) => string, caption: string, open?: (row: any) => string,
   *   order?: string, onOrder?: (order: string) => void, empty?: any, selection?: Selection}} options
   */
  constructor(options) {
    this.options = options;
    this.order = /** @type {string[]} */ ([]);
    this.rows = /** @type {any[]} */ ([]);
    this.changes = 0;
    this.redraw = () => {};
    this.selected = -1;
  }

  /** Return the table with these rows; those that were shown keep their places. @param {any[]} rows @param {() => void} redraw */
  draw(rows, redraw) {
    const { key, caption, empty, selection } = this.options;
    this.redraw = redraw;
    const byKey = new Map(rows.map((row) => [key(row), row]));
    const wanted = [...byKey.keys()];
    if (!this.order.length) this.order = wanted;
    this.changes = wanted.filter((name, at) => this.order[at] !== name).length + this.order.filter((name) => !byKey.has(name)).length;
    this.rows = this.order.map((name) => byKey.get(name)).filter(Boolean);
    if (!rows.length) { this.order = []; return h("p", { class: "empty" }, empty); }
    const columns = this.options.columns.filter(({ optional, cell }) => !optional || this.rows.some((row) => cell(row) !== ""));
    return h("div", { class: "table" },
      this.changes ? h("p", { class: "changes" }, h("button", { type: "button", onclick: () => this.reorder() },
        `Re-order: ${this.changes} ${this.changes === 1 ? "change" : "changes"}`)) : null,
      h("table", {},
        h("caption", { class: "hidden" }, caption),
        h("thead", {}, h("tr", {}, selection?.heading(this), columns.map((column) => this.heading(column)))),
        h("tbody", {}, this.rows.map((row, at) => h("tr", { key: key(row), class: at === this.selected ? "selected" : "", "aria-selected": selection ? String(selection.has(key(row))) : null },
          selection?.cell(this, at),
          columns.map(({ cell, kind, title, label }, place) => h(place ? "td" : "th",
            { class: kind, scope: place ? null : "row", "data-title": label ?? title }, cell(row))))))));
  }

  /** @param {Column} column */
  heading({ title, order, kind }) {
    const sorted = order && this.options.order === order;
    return h("th", { scope: "col", class: kind, "aria-sort": sorted ? (order === "name" || order === "state" ? "ascending" : "descending") : null },
      order && this.options.onOrder
        ? h("button", { type: "button", class: "plain", onclick: () => this.options.onOrder?.(order) }, title, sorted ? " ▾" : "")
        : title);
  }

  reorder() {
    this.order = [];
    this.redraw();
  }

  /** Select the next or previous row. @param {number} step */
  move(step) {
    if (!this.rows.length) return;
    this.selected = Math.max(0, Math.min(this.rows.length - 1, this.selected + step));
    this.redraw();
    document.querySelector("tr.selected")?.scrollIntoView({ block: "nearest" });
  }

  /** Return the address of the selected row. */
  address() {
    const row = this.rows[this.selected];
    return row && this.options.open ? this.options.open(row) : null;
  }
}
