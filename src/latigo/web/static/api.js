// Requests of the API: JSON, its problems as errors with a sentence, and the token of the person who acts.

import { later } from "./later.js";

const root = `${document.documentElement.dataset.base || ""}/api/v1`;
const LIMIT_MS = 20000, ACT_LIMIT_MS = 90000;
const TOKEN = "latigo-token";

/** What went wrong, in words for the page. */
export class Problem extends Error {
  /** @param {number} status  0: no answer @param {string} text @param {any} [body] */
  constructor(status, text, body = {}) {
    super(text);
    this.status = status;
    this.body = body;
  }
}

/**
 * Return what the API has at a path; a list of values repeats its name.
 * @param {string} path
 * @param {{[name: string]: any}} [query]
 * @param {{signal?: AbortSignal, octets?: boolean}} [options]
 * @returns {Promise<any>}
 */
export async function get(path, query = {}, options = {}) {
  const response = await send(address(path, query), {}, options.signal);
  let body;
  try {
    if (options.octets) return new Uint8Array(await response.arrayBuffer());
    body = await response.json();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "The server has not sent the whole answer.");
  }
  body.received = performance.now();
  body.age = Number(response.headers.get("Age")) || 0;
  return body;
}

/**
 * Have something done; with the same key it is done once, however often it is sent.
 * @param {string} path @param {any} body @param {string} [key]
 * @returns {Promise<any>}
 */
export async function post(path, body, key) {
  const headers = { "Content-Type": "application/json", ...(key ? { "Idempotency-Key": key } : {}) };
  const response = await send(address(path), { method: "POST", headers, body: JSON.stringify(body) });
  return response.json().catch(() => { throw new Problem(0, "The server has not sent the whole answer."); });
}

/**
 * Return the answer to a request that goes on: what it says is read as it comes.
 * @param {string} path @param {{[name: string]: string}} headers @param {AbortSignal} signal
 */
export function follow(path, headers, signal) {
  return send(address(path), { headers: { Accept: "text/event-stream", ...headers }, cache: "no-store" }, signal, true);
}

/** Return the address of what the API has. @param {string} path @param {{[name: string]: any}} [query] */
export function address(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== null && each !== undefined) search.append(name, String(each));
  }
  const text = search.toString();
  return `${root}${path}${text ? `?${text}` : ""}`;
}

/**
 * @param {string} url @param {RequestInit & {headers?: {[name: string]: string}}} init @param {AbortSignal} [signal]
 * @param {boolean} [lasting]  the time limit is of its beginning
 * @returns {Promise<Response>}
 */
async function send(url, init, signal, lasting = false) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...init.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const most = init.method ? ACT_LIMIT_MS : LIMIT_MS;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), most);
  let response;
  try {
    response = await fetch(url, { ...init, headers, signal: signal ? AbortSignal.any([signal, limit.signal]) : limit.signal });
    if (lasting) clearTimeout(timer);
  } catch (error) {
    clearTimeout(timer);
    if (signal && signal.aborted) throw error;
    throw new Problem(0, limit.signal.aborted ? `The server has not answered within ${most / 1000} s.` : "The server cannot be reached.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) {
    forgetToken();
    const keep = (/** @type {string} */ given) => sessionStorage.setItem(TOKEN, given);
    if (await later("dialog", "askToken", keep, token ? body.detail : "")) return send(url, init, signal, lasting);
  }
  throw new Problem(response.status, body.detail || body.title || body.error || `The server answered ${response.status}.`, body);
}

/** Have the next action ask for a token. */
export function forgetToken() {
  sessionStorage.removeItem(TOKEN);
}

/** Return how many seconds old an answer is. @param {any} body */
export function ageOf(body) {
  return (body.age || 0) + (performance.now() - (body.received || 0)) / 1000;
}
