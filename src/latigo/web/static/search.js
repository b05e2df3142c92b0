// The search box: models, projects, sensors, causes and requests by parts of their names.

import { get } from "./api.js";
import { fill, h, nameOf, visible } from "./dom.js";
import { go, href, modelHref, ownHref } from "./router.js";

const WAIT_MS = 120;

/** Return the box and its list of results. */
export function searchBox() {
  /** @type {any[]} */
  let items = [];
  let chosen = 0;
  /** @type {any} */
  let timer = 0;
  /** @type {AbortController | null} */
  let control = null;
  const list = h("ul", { role: "listbox", id: "search-results", hidden: true });
  const field = h("input", {
    type: "search", placeholder: "Search  /", "aria-label": "Search models, projects and sensors", role: "combobox",
    "aria-controls": "search-results", "aria-expanded": "false", autocomplete: "off", spellcheck: "false", maxlength: "200",
    oninput: () => { clearTimeout(timer); timer = setTimeout(ask, WAIT_MS); },
    onkeydown: key,
    onblur: () => setTimeout(() => open(false), 200),
    onfocus: () => { if (items.length) open(true); },
  });
  const box = h("div", { class: "search" }, field, list);

  /** @param {boolean} shown */
  function open(shown) {
    list.hidden = !shown;
    field.setAttribute("aria-expanded", String(shown));
  }

  async function ask() {
    control?.abort();
    const text = field.value.trim();
    if (!text) { items = []; open(false); return; }
    control = new AbortController();
    try {
      items = (await get("/search", { q: text, limit: 20 }, { signal: control.signal })).items;
      chosen = 0;
      draw(items.length ? "" : `Nothing is called “${visible(text)}”.`);
    } catch (error) {
      if (!control.signal.aborted) { items = []; draw(/** @type {Error} */ (error).message); }
    }
  }

  /** @param {string} message */
  function draw(message) {
    fill(list, message ? h("li", { class: "empty" }, message) : items.map((item, at) =>
      h("li", { role: "option", id: `found-${at}`, "aria-selected": String(at === chosen) },
        h("a", { href: address(item), tabindex: "-1", onclick: done },
          h("span", { class: "kind" }, item.kind), nameOf(item.kind === "model" ? `${item.project}/${item.model}` : item.label)))));
    field.setAttribute("aria-activedescendant", message ? "" : `found-${chosen}`);
    open(true);
  }

  /** @param {any} item */
  function address(item) {
    if (item.kind === "model") return modelHref(item.project, item.model);
    return ownHref(item.href);
  }

  function done() {
    open(false);
    field.value = "";
    items = [];
    field.blur();
  }

  /** @param {KeyboardEvent} event */
  async function key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      chosen = Math.max(0, Math.min(items.length - 1, chosen + (event.key === "ArrowDown" ? 1 : -1)));
      draw("");
    } else if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(timer);
      const text = field.value.trim();
      await ask();
      const item = items[chosen];
      if (!item) { if (text) go(href("/models", { q: text })); done(); return; }
      done();
      go(address(item));
    } else if (event.key === "Escape") {
      open(false);
    }
  }

  return box;
}
