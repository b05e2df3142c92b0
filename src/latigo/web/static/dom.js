// Elements from plain descriptions. Text is only ever set as text, so that a name can hold anything.

/**
 * @typedef {Node | string | number | null | undefined | false | any[]} Child
 * @typedef {{[name: string]: any}} Properties  attributes; functions are handlers, `key` pairs nodes in `morph`
 */

/**
 * Return a new element.
 * @param {string} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, properties = {}, ...children) {
  const node = /** @type {any} */ (document.createElement(tag));
  node.handlers = {};
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node[name] = node.handlers[name] = value;
    else if (name === "key") node.key = String(value);
    else if (name === "width%") node.share = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child !== null && child !== undefined && child !== false) node.append(child instanceof Node ? child : String(child));
  }
  if (node.share !== undefined) node.style.width = `${Math.max(0, Math.min(100, node.share))}%`;
  return node;
}

/**
 * Make the children of an element those that are given, changing only what differs: nothing moves under the pointer,
 * and focus stays.
 * @param {any} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  const wanted = h("div", {}, ...children);
  morphChildren(parent, wanted);
}

/** @param {any} old @param {any} wanted */
function morphChildren(old, wanted) {
  const keyed = new Map();
  for (const child of old.childNodes) if (child.key !== undefined) keyed.set(child.key, child);
  let place = old.firstChild;
  for (const child of [...wanted.childNodes]) {
    let same = child.key !== undefined ? keyed.get(child.key) : place;
    if (same && same.key === child.key && alike(same, child)) {
      if (same !== place) old.insertBefore(same, place);
      morph(same, child);
      place = same.nextSibling;
    } else {
      old.insertBefore(child, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** @param {any} a @param {any} b */
function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}

/** @param {any} old @param {any} wanted */
function morph(old, wanted) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name) && name !== "style") old.removeAttribute(name);
  for (const { name, value } of wanted.attributes) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (wanted.share !== undefined) old.style.width = wanted.style.width;
  for (const name of Object.keys(old.handlers || {})) if (!(name in wanted.handlers)) old[name] = null;
  for (const [name, handler] of Object.entries(wanted.handlers || {})) old[name] = handler;
  old.handlers = wanted.handlers;
  if (wanted.paint) {
    old.paint = wanted.paint;
    old.repaint();
  }
  morphChildren(old, wanted);
}

const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/**
 * Return a name with what cannot be seen made visible: line ends, and characters that turn the direction of text.
 * @param {string} name
 */
export function visible(name) {
  return String(name).replace(INVISIBLE, (character) => {
    const code = character.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : `‹${code.toString(16).padStart(4, "0")}›`;
  });
}

/**
 * Return a name in one line that is cut in the middle where it has no room; the whole name is its title.
 * @param {string} name
 * @param {Properties} [properties]
 */
export function nameOf(name, properties = {}) {
  const shown = visible(name);
  const tail = shown.length > 16 ? 8 : 0;
  return h(
    "bdi", { class: "name", title: shown, ...properties },
    h("span", { class: "head" }, shown.slice(0, shown.length - tail)),
    tail ? h("span", { class: "tail" }, shown.slice(-tail)) : null,
  );
}

/** @param {number} number @param {number} [digits] */
export function figure(number, digits = 0) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  const [whole, rest] = Number(number).toFixed(digits).split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  return rest ? `${grouped}.${rest}` : grouped;
}

/** @param {number} number @param {string} noun */
export function counted(number, noun) {
  return `${figure(number)} ${number === 1 ? noun : `${noun}s`}`;
}

/** Return a share between 0 and 1 as per cent: 100 % only where it is all. @param {number} share */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  if (share >= 1 || share === 0) return share ? "100 %" : "0 %";
  return `${Math.min(99.9, share * 100).toFixed(share > 0.995 || share < 0.01 ? 1 : 0)} %`;
}

/** Return a bar of a share, and what it says. @param {number} share @param {string} [text] @param {string} [kind] */
export function meter(share, text = percent(share), kind = "meter") {
  return [h("span", { class: `share ${kind}`, role: "img", "aria-label": text }, share > 0 ? h("i", { "width%": share * 100 }) : null), text];
}

/** Return a sentence of the server without the command that it names: the page has a link or a button for it. @param {string} text */
export function withoutCommand(text) {
  return text.replace(/ \((?:see )?latigo [^()]*\)/g, "");
}

/** Return a text as an argument in a shell. @param {string} text */
export function quoted(text) {
  return /^[\w./@:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Copy a text, and say so in the line for messages. @param {string} text @param {string} [what] */
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what}: ${text.length > 80 ? `${text.slice(0, 77)}…` : text}`);
  } catch {
    say(`The browser does not let a page copy here: ${text}`);
  }
}

/** Show a message for a few seconds; screen readers read it. @param {string} text */
export function say(text) {
  const line = document.getElementById("message");
  if (!line) return;
  line.textContent = text;
  line.hidden = !text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { line.hidden = true; }, 6000);
}
say.timer = /** @type {any} */ (0);
