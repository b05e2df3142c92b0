// Modules that few visits need are loaded when they are first used: dialogs, and the actions in them.

import { h, say } from "./dom.js";

/**
 * Call a function of a module that is not loaded with the page. It returns false where that cannot be had.
 * @param {string} name  of the module @param {string} call @param {...any} given
 * @returns {Promise<any>}
 */
export async function later(name, call, ...given) {
  let loaded;
  try {
    loaded = await import(`./${name}.js`);
  } catch {
    say("The server cannot be reached, so this cannot be opened.");
    return false;
  }
  return loaded[call](...given);
}

/**
 * Return a button that opens the dialog of an action, see actions.js.
 * @param {string} text @param {string} kind @param {...any} given  what is known only when it is pressed, as a function
 */
export function acts(text, kind, ...given) {
  return h("button", { type: "button", "aria-haspopup": "dialog", onclick: () => later("actions", kind, ...given.map((one) => (typeof one === "function" ? one() : one))) }, text);
}
