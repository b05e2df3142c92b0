// What has changed: events of the server where a stream holds, else a question every ten seconds.

import { address } from "./api.js";

const SILENT_MS = 20000, POLL_MS = 10000, RETRY_MS = 60000;
const KINDS = ["status", "grid", "failures", "circuits", "executors", "request", "trouble"];

/** @type {Map<string, Set<(data: any) => void>>} */
const listeners = new Map();
/** @type {EventSource | null} */
let stream = null;
let failures = 0;
let last = 0;
let paused = false;
/** @type {any} */
let poll = 0;
/** @type {any} */
let retry = 0;

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

/** Return one word for how live the page is, and the seconds since the last sign of the server. */
export function mark() {
  const silent = performance.now() - last;
  if (paused) return { word: "paused", seconds: silent / 1000 };
  if (poll) return { word: "polling", seconds: silent / 1000 };
  if (stream && stream.readyState === EventSource.OPEN) return { word: "live", seconds: silent / 1000 };
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
  if (stream) stream.close();
  stream = null;
  clearInterval(poll);
  clearTimeout(retry);
  poll = 0;
}

function connect() {
  close();
  if (paused || document.hidden) return;
  last = performance.now();
  stream = new EventSource(address("/events"));
  stream.onopen = () => { failures = 0; heard(); emit("mark", mark()); };
  stream.onmessage = heard;
  for (const kind of KINDS) {
    stream.addEventListener(kind, (event) => {
      heard();
      let data = {};
      try { data = JSON.parse(/** @type {MessageEvent} */ (event).data); } catch { data = {}; }
      emit(kind, data);
    });
  }
  stream.onerror = () => {
    failures += 1;
    emit("mark", mark());
    if (failures >= 3 || !stream || stream.readyState === EventSource.CLOSED) pollInstead();
  };
}

function pollInstead() {
  close();
  poll = setInterval(() => emit("status", {}), POLL_MS * (0.8 + 0.4 * Math.random()));
  retry = setTimeout(connect, RETRY_MS);
  emit("status", {});
  emit("mark", mark());
}
