// The URL is the state: the path names the screen, the query everything else that is set.

const base = document.documentElement.dataset.base || "";

/** @typedef {{path: string, parts: string[], query: URLSearchParams}} Place */

/** @type {Set<(place: Place, before: Place | null) => void>} */
const listeners = new Set();
/** @type {Place | null} */
let current = null;

/** Return where we are. @returns {Place} */
export function place() {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) || "/" : location.pathname;
  const parts = path.split("/").filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { path, parts, query: new URLSearchParams(location.search) };
}

/**
 * Return the address of a screen. What holds for every screen goes along: the project, the range and the zone.
 * @param {string} path  with its parts encoded
 * @param {{[name: string]: string | null | undefined}} [query]
 */
export function href(path, query = {}) {
  const kept = new URLSearchParams();
  for (const name of ["project", "range", "zone"]) {
    const value = place().query.get(name);
    if (value !== null) kept.set(name, value);
  }
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined) kept.delete(name);
    else kept.set(name, value);
  }
  const text = kept.toString();
  return `${base}${path}${text ? `?${text}` : ""}`;
}

/** Return the address of a model. @param {string} project @param {string} model @param {{[name: string]: string | null}} [query] */
export function modelHref(project, model, query = {}) {
  return href(`/models/${encodeURIComponent(project)}/${encodeURIComponent(model)}`, query);
}

/** Return the address that the API names, relative to the base of all. @param {string} address */
export function ownHref(address) {
  const [path, query] = address.split("?");
  return href(`/${path.replace(/^\/+/, "")}`, Object.fromEntries(new URLSearchParams(query)));
}

/** Go to an address of ours. @param {string} address @param {boolean} [replace] */
export function go(address, replace = false) {
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  changed();
}

/**
 * Set parts of the query, and leave the others.
 * @param {{[name: string]: string | null}} changes  null takes a part away; an empty text stays in the URL
 * @param {boolean} [replace]
 */
export function set(changes, replace = false) {
  const { query } = place();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ""), replace);
}

/** Call a function whenever the place has changed. @param {(place: Place, before: Place | null) => void} listener */
export function onPlace(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function changed() {
  const before = current;
  current = place();
  for (const listener of listeners) listener(current, before);
}

addEventListener("popstate", changed);
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.origin !== location.origin || link.target || link.hasAttribute("download")) return;
  if (base && !link.pathname.startsWith(base)) return;
  const path = link.pathname.slice(base.length);
  if (/^\/(api|static|metrics|livez|readyz)(\/|$)/.test(path)) return;
  event.preventDefault();
  if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
  go(link.pathname + link.search);
  scrollTo(0, 0);
});
