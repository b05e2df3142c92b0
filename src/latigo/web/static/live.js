// What has changed: events of the server where a stream holds, else a question every ten seconds.
//
// The stream is read by fetch and not by an EventSource, which can send no token.

import { follow, Problem } from "./api.js";

const SILENT_MS = 20000, LOST_MS = 45000, POLL_MS = 10000, AGAIN_MS = 5000, RETRY_MS = 60000, MOST_FAILURES = 3, LONGEST = 1e6;
const KINDS = ["status", "grid", "failures", "circuits", "executors", "request", "trouble"];

/** @type {Map<string, Set<(data: any) => void>>} */
const listeners = new Map();
/** @type {AbortController | null} */
let stream = null;
let open = false, paused = false;
let failures = 0, last = 0, seen = "";
/** @type {any} */
let poll = 0;
/** @type {any} */
let retry = 0;
/** @type {any} */
let watch = 0;

/** Call a function at an event; "mark" is the state of the stream itself. @param {string} kind @param {(data: any) => void} listener */
export function on(kind, listener) {
  const known = listeners.get(kind) || new Set();
  listeners.set(kind, known.add(listener));
  return () => known.delete(listener);
}

/** @param {string} kind @param {any} data */
function emit(kind, data) {
  for (const listener of listeners.get(kind) || []) listener(data);
}

/** Have every panel load again what an action of this page may have changed. */
export function renew() {
  for (const kind of KINDS) emit(kind, { reload: true });
}

/** Return one word for how live the page is, and the seconds since the last sign of the server; one that is silent is frozen, or out of reach. */
export function mark() {
  const silent = performance.now() - last;
  if (paused) return { word: "paused", seconds: silent / 1000 };
  if (poll) return { word: "polling", seconds: silent / 1000 };
  if (open) return { word: silent > SILENT_MS ? "silent" : "live", seconds: silent / 1000 };
  return { word: silent > SILENT_MS ? "reconnecting" : "connecting", seconds: silent / 1000 };
}

/** Note a sign of the server, such as the answer to a request. */
export function heard() {
  last = performance.now();
}

export function start() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!paused) { connect(); emit("status", {}); }
  });
  addEventListener("pagehide", close);
  connect();
}

/** Pause or go on. */
export function togglePause() {
  paused = !paused;
  if (paused) close();
  else { connect(); emit("status", {}); emit("grid", { reload: true }); }
  emit("mark", mark());
  return paused;
}

export function isPaused() {
  return paused;
}

function close() {
  stream?.abort();
  stream = null;
  open = false;
  clearInterval(poll);
  clearTimeout(retry);
  clearTimeout(watch);
  poll = 0;
}

async function connect() {
  close();
  if (paused || document.hidden) return;
  last = performance.now();
  const mine = stream = new AbortController();
  try {
    const response = await follow("/events", seen ? { "Last-Event-ID": seen } : {}, mine.signal);
    if (mine !== stream) return;
    open = true;
    heard();
    emit("mark", mark());
    await read(response, mine);
    failed(mine, false);
  } catch (error) {
    if (error instanceof Problem && error.status === 401 && mine === stream) { togglePause(); return; }
    failed(mine, error instanceof Problem && error.status === 503);
  }
}

/** Read events until the stream ends. @param {Response} response @param {AbortController} mine */
async function read(response, mine) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    clearTimeout(watch);
    watch = setTimeout(() => mine.abort(), LOST_MS);
    const { value, done } = await reader.read();
    if (done || mine !== stream) return;
    heard();
    failures = 0;
    const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = blocks.pop() || "";
    if (text.length > LONGEST) { mine.abort(); return; }
    for (const block of blocks) take(block);
  }
}

/** @param {string} block  lines such as `event: status`; a comment has none that counts */
function take(block) {
  const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()]));
  const kind = fields.get("event");
  if (!kind || !KINDS.includes(kind)) return;
  seen = fields.get("id") || seen;
  let data = {};
  try { data = JSON.parse(fields.get("data") || "{}"); } catch { data = {}; }
  emit(kind, data);
}

/** Try again soon, or ask instead for a while. @param {AbortController} mine @param {boolean} full */
function failed(mine, full) {
  if (mine !== stream) return;
  open = false;
  clearTimeout(watch);
  failures += 1;
  if (full || failures >= MOST_FAILURES) { pollInstead(); return; }
  retry = setTimeout(connect, AGAIN_MS * (0.8 + 0.4 * Math.random()));
  emit("mark", mark());
}

function pollInstead() {
  close();
  poll = setInterval(() => emit("status", {}), POLL_MS * (0.8 + 0.4 * Math.random()));
  retry = setTimeout(connect, RETRY_MS);
  emit("status", {});
  emit("mark", mark());
}
