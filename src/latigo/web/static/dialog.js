// Dialogs: the list of keys, and the token of who acts. This module is loaded when the first dialog is opened.

import { h } from "./dom.js";

/**
 * Show a dialog; it closes by Esc, its cross, or `close`. Focus stays in it, and returns to where it was.
 * @param {string} title
 * @param {(close: () => void) => any} content
 * @param {() => void} [closed]
 */
export function show(title, content, closed = () => {}) {
  const dialog = h("dialog", { "aria-label": title });
  const close = () => dialog.close();
  dialog.append(
    h("header", {}, h("h2", {}, title), h("button", { type: "button", class: "plain", "aria-label": "Close", onclick: close }, "✕")),
    content(close),
  );
  dialog.addEventListener("close", () => { dialog.remove(); closed(); });
  dialog.addEventListener("mousedown", (/** @type {MouseEvent} */ event) => { if (event.target === dialog) close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** @param {import("./keys.js").Key[]} all @param {import("./keys.js").Key[]} ofScreen */
export function showKeys(all, ofScreen) {
  const list = (/** @type {import("./keys.js").Key[]} */ keys) => h("dl", { class: "keys" }, keys.map(({ keys: names, does }) =>
    [h("dt", {}, names.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, does)]));
  show("Keys", () => h("div", {}, list(all), ofScreen.length ? [h("h3", {}, "On this screen"), list(ofScreen)] : null));
}

/** @type {Promise<boolean> | null} */
let asked = null;

/**
 * Ask for a bearer token; several requests at once ask one time. Return whether one was given.
 * @param {(token: string) => void} keep
 * @param {string} why  the one before was refused; empty: there was none
 */
export function askToken(keep, why) {
  asked ||= new Promise((done) => {
    let given = false;
    show("Token needed", (close) => {
      const field = h("input", { type: "password", autocomplete: "off", "aria-label": "Token", name: "token", required: true, autofocus: true });
      const submit = (/** @type {Event} */ event) => {
        event.preventDefault();
        if (!field.value.trim()) return;
        given = true;
        keep(field.value.trim());
        close();
      };
      return h("form", { onsubmit: submit },
        why ? h("p", { class: "problem", role: "alert" }, why) : null,
        h("p", {}, "This needs a token. It stays in this tab, is never part of an address, and names you in the records."),
        h("label", {}, "Token ", field),
        h("p", { class: "row end" }, h("button", { type: "button", onclick: close }, "Cancel"), h("button", { class: "main" }, "Go on")));
    }, () => { asked = null; done(given); });
  });
  return asked;
}
