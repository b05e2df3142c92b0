// Keys, in one list that `?` shows.

import { later } from "./later.js";

/** @typedef {{keys: string, does: string, run: (event: KeyboardEvent) => void}} Key */

/** @type {Key[]} */
const global = [];
/** @type {Key[]} */
let ofScreen = [];
let prefix = "";
/** @type {any} */
let forget = 0;

/** Keys that every screen has. @param {Key[]} keys */
export function everywhere(keys) {
  global.push(...keys);
}

/** Keys of the screen that is shown. @param {Key[]} keys */
export function onScreen(keys) {
  ofScreen = keys;
}

export function showKeys() {
  return later("dialog", "showKeys", global, ofScreen);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select");
  if (event.key === "Escape" && typing) { target.blur(); return; }
  if (typing || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && target.closest?.("a, button, summary")) return;
  const pressed = prefix ? `${prefix} ${event.key}` : event.key;
  const found = [...ofScreen, ...global].find(({ keys }) => keys === pressed || (!keys.startsWith("g ") && keys.split(" ").includes(event.key) && !prefix));
  clearTimeout(forget);
  prefix = "";
  if (found) {
    event.preventDefault();
    found.run(event);
  } else if (event.key === "g") {
    prefix = "g";
    forget = setTimeout(() => { prefix = ""; }, 1500);
  }
});
