// What people do. A dialog says what an action would do, by the API's dry run where it has one, and does it once it is
// confirmed. This module is loaded when the first of these dialogs is opened.

import { forgetToken, get, post, Problem } from "./api.js";
import { show } from "./dialog.js";
import { copy, counted, figure, fill, h, nameOf, quoted, say, visible } from "./dom.js";
import { renew } from "./live.js";
import { href, modelHref } from "./router.js";
import { duration, fullTime, slot, when, zoneLabel } from "./time.js";

/** Above so many models or calls, their number is typed to confirm. */
const MOST_MODELS = 100, MOST_CALLS = 1000;
const TYPING_MS = 400, NAMES_IN_COMMAND = 20;

/**
 * @typedef {{lines: any[], counts?: {[what: string]: number}, nothing?: boolean, notes?: any[], [more: string]: any}} Preview
 *   `counts` are compared with those of the next preview when the selection has changed
 * @typedef {{text: any, link?: string, follow?: string}} Done  `link`: of what is written in `follow`
 * @typedef {{
 *   title: string, button: string, fields?: (changed: () => void) => any, preview: () => Promise<Preview | null>, whyNeeded?: boolean,
 *   command: (why: string) => string | string[], first?: any, names?: () => string[], send: (why: string, key: string, preview: Preview) => Promise<Done>
 * }} Action  a preview that is null: something is still to be filled in
 */

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

/** Return the number that has to be typed, and what it is of. @param {Preview | null} preview @returns {[number, string]} */
function toType(preview) {
  const { models = 0, calls = 0, windows = 0 } = preview?.counts || {};
  if (models > MOST_MODELS) return [models, "models"];
  if (calls > MOST_CALLS) return [calls, "calls"];
  return windows > MOST_CALLS ? [windows, "windows"] : [0, ""];
}

/** Return what differs between two previews, in words. @param {{[what: string]: number}} before @param {{[what: string]: number}} now */
function difference(before, now) {
  const said = Object.keys(now).filter((what) => before[what] !== now[what]).map((what) => `${what} ${figure(before[what])}, now ${figure(now[what])}`);
  return said.length ? said.join("; ") : "as many as before, but other models or other times";
}

/** Open the dialog of an action. @param {Action} action */
function confirm({ title, button, fields, first, preview, whyNeeded = false, command, names, send }) {
  /** @type {Preview | null} */
  let shown = null;
  let key = newKey(), busy = false, open = true, turn = 0;
  /** @type {any} */
  let timer = 0;
  const what = h("div", { class: "preview", "aria-live": "polite" }), trouble = h("div", { role: "alert" });
  const why = h("input", { name: "why", maxlength: "1000", autocomplete: "off", required: whyNeeded, oninput: draw });
  const typed = h("input", { name: "number", inputmode: "numeric", autocomplete: "off" });
  const guard = h("label", { hidden: true }, h("span", {}), typed);
  const line = h("code", {}), go = h("button", { class: "main", disabled: true }, button);
  const copyNames = h("button", { type: "button", onclick: () => copy(`${names?.().join("\n")}\n`) }, "Copy the names of the models");

  const commands = () => [command(why.value.trim())].flat();

  function draw() {
    const [number, noun] = toType(shown);
    guard.hidden = !number;
    typed.required = number > 0;
    if (number) {
      guard.firstChild.textContent = `To confirm, type the number of ${noun}: ${number} `;
      typed.pattern = String(number);
      typed.title = `the number of ${noun}, ${number}`;
    }
    line.textContent = commands().map(visible).join("\n");
    copyNames.hidden = !names || names().length <= NAMES_IN_COMMAND;
    go.disabled = busy || !shown || !!shown.nothing;
    go.textContent = busy ? "Sending…" : button;
  }

  /** @param {any} error */
  function complain(error) {
    if (!(error instanceof Problem)) console.error(error);
    const errors = error.body?.errors || [];
    const text = error.status === 0 ? `${error.message} It is not known whether it was done: try again, it is not done twice.` : error.message;
    fill(trouble, h("p", { class: "problem" }, h("strong", {}, visible(text)), errors.map((/** @type {string} */ each) => [h("br"), visible(each)]),
      error.body?.type === "may-not-act" ? [" ", h("button", { type: "button", onclick: otherToken }, "Use another token")] : null));
  }

  function otherToken() {
    forgetToken();
    fill(trouble);
    if (shown) form.requestSubmit();
    else look();
  }

  /** Work out what it would do. @param {Preview | null} before  that of which the selection has changed */
  async function look(before = null) {
    const mine = (turn += 1);
    shown = null;
    draw();
    if (!before) fill(what, h("p", { class: "quiet" }, "Working out what it would do…"));
    what.setAttribute("aria-busy", "true");
    try {
      const found = await preview();
      if (mine !== turn) return;
      shown = found;
      key = newKey();
      fill(what, found ? [...found.lines, ...(found.notes || [])].filter(Boolean).map((text) => h("p", {}, text)) : null);
      fill(trouble, before && found ? h("p", { class: "problem" }, h("strong", {}, `Nothing was done: the selection has changed since the preview: ${difference(before.counts || {}, found.counts || {})}.`),
        " What it would do now is above.") : null);
    } catch (error) {
      if (mine !== turn) return;
      fill(what);
      complain(error);
    }
    what.setAttribute("aria-busy", "false");
    draw();
  }

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (busy || !shown || shown.nothing) return;
    const sent = shown;
    busy = true;
    draw();
    try {
      finish(await send(why.value.trim(), key, sent));
    } catch (/** @type {any} */ error) {
      busy = false;
      const kind = error.body?.type;
      if (error.status && error.status !== 503 && kind !== "in-progress") key = newKey();
      if (!open) say(`${title} ${error.message}`);
      else if (kind === "selection-changed") await look(sent);
      else complain(error);
      draw();
    }
  };

  const form = h("form", { onsubmit: submit },
    fields ? fields(() => { clearTimeout(timer); turn += 1; shown = null; draw(); timer = setTimeout(look, TYPING_MS); }) : null, what,
    h("div", { class: "command" }, h("span", { class: "quiet" }, "The same in a terminal"), line,
      h("span", { class: "row" }, h("button", { type: "button", onclick: () => copy(commands().join("\n")) }, "Copy the command"), copyNames)),
    h("label", {}, whyNeeded ? "Why (kept with your name) " : "Why (kept with your name; may be empty) ", why), guard, trouble,
    h("p", { class: "row end" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
  const dialog = show(title, () => form, () => { open = false; turn += 1; clearTimeout(timer); });

  /** @param {Done} done */
  function finish({ text, link, follow }) {
    renew();
    if (!open) { say(text); return; }
    const close = h("button", { type: "button", class: "main", onclick: () => dialog.close() }, "Close");
    form.replaceChildren(h("p", { role: "status" }, h("strong", {}, text)),
      h("p", { class: "row end" }, link ? h("a", { href: link, onclick: () => dialog.close() }, follow) : null, close));
    close.focus();
  }

  look();
  (first || why).focus();
}

/** @param {string} project @param {string} model */
const named = (project, model) => `${project}/${model}`;
/** @param {string} why */
const because = (why) => (why ? ` --reason ${quoted(why)}` : "");
/** Return a moment without the parts of a second, and without seconds where there are none. @param {string} at */
const short = (at) => at.replace(/(:00)?\.\d+Z$/, "Z").replace(/(T\d\d:\d\d):00Z$/, "$1Z");
/** Return a preview of an action that has no dry run. @param {...any} lines @returns {() => Promise<Preview>} */
const words = (...lines) => () => Promise.resolve({ lines });

/** Predict the newest slot of a model. @param {string} project @param {string} model */
export function runNow(project, model) {
  confirm({
    title: `Predict ${visible(model)} now?`, button: "Predict now", whyNeeded: true,
    preview: words("1 model, its newest slot that is due, 1 call: before all other tasks, and also if it is covered already."),
    command: (why) => `latigo models run-now ${quoted(named(project, model))}${because(why)}`,
    send: async (reason, key) => {
      const done = await post(`/models/${encodeURIComponent(project)}/${encodeURIComponent(model)}/run-now`, { reason }, key);
      const state = done.stopped ? `it waits: ${done.stopped}` : done.waits ? "it waits until another task of the model has ended" : done.claimed_by ? `${done.claimed_by} is at it already` : "it is planned";
      return { text: visible(`Task ${done.task} for ${slot(done.start, done.end)} ${zoneLabel()}: ${state}.`), link: modelHref(project, model, { at: done.start }), follow: "Show that moment" };
    },
  });
}

/** Pause a model. @param {string} project @param {string} model */
export function pause(project, model) {
  confirm({
    title: `Pause ${visible(model)}?`, button: "Pause", whyNeeded: true,
    preview: words("1 model: nothing of it is planned or started until it is resumed; a task that runs ends as usual.", "Its predictions stay. What becomes due meanwhile is predicted afterwards, as far back as backfill.max_catch_up."),
    command: (why) => `latigo pause ${quoted(named(project, model))}${because(why)}`,
    send: async (reason, key) => {
      const { models, already } = await post("/pause", { project, model, reason }, key);
      const text = already ? `It was paused already, by ${already.who}; that pause stays.` : `${counted(models, "model")} paused.`;
      return { text: visible(text), link: modelHref(project, model), follow: "Show the model" };
    },
  });
}

/** Resume a model. @param {string} project @param {string} model */
export function resume(project, model) {
  confirm({
    title: `Resume ${visible(model)}?`, button: "Resume",
    preview: words("1 model is predicted again, and what became due while it was paused."),
    command: (why) => `latigo resume ${quoted(named(project, model))}${because(why)}`,
    send: async (reason, key) => ({
      text: `${counted((await post("/resume", { project, model, reason }, key)).models, "model")} resumed.`, link: modelHref(project, model), follow: "Show the model",
    }),
  });
}

/**
 * Try again what is parked or waits: one selection, counted before it is sent.
 * @param {{project?: string, model?: string, reason?: string, sensor?: string, names?: string[], from?: string, to?: string}} selector
 *   `names` are models as the command line has them; `from` and `to` limit it to the slots of a time
 * @param {string} of  what they are, for people
 * @param {string} [verb]
 */
export function release(selector, of, verb = "Release") {
  const { project, model, reason, sensor, names = [], from, to } = selector;
  confirm({
    title: `${verb}: ${visible(of)}?`, button: verb, ...(names.length ? { names: () => names } : {}),
    preview: async () => {
      const { count } = await post("/retry", { selector, dry_run: true });
      const { models, windows, waiting, rechecked, digest } = count;
      return {
        counts: { models, windows, waiting, rechecked }, digest, nothing: !models,
        lines: models ? [
          `${counted(models, "model")}. Tried again: ${[windows ? `${counted(windows, "parked window")}, with a call each or more` : "", waiting ? `${counted(waiting, "task")} that waited for another attempt` : "",
            rechecked ? `slots without readings of ${counted(rechecked, "model")}` : ""].filter(Boolean).join("; ")}.`,
          names.length > models ? `Of ${counted(names.length, "model")} that ${names.length === 1 ? "is" : "are"} chosen; the others have nothing to try again.` : "",
          from && to ? `Only slots from ${when(from, true)} to ${when(to, true)} ${zoneLabel()}.` : "",
          "What fails again is parked again, so remove the cause first.",
        ] : ["Nothing of this is parked or waits any more: there is nothing to do."],
      };
    },
    command: (why) => ["latigo retry", names.length > NAMES_IN_COMMAND ? "--models-from models.txt" : names.map(quoted).join(" "),
      model && project ? `--model ${quoted(named(project, model))}` : project && `--project ${quoted(project)}`, reason && `--reason ${quoted(reason)}`,
      sensor && `--sensor ${quoted(sensor)}`, from && `--from ${short(from)}`, to && `--to ${short(to)}`, why && `--note ${quoted(why)}`].filter(Boolean).join(" "),
    send: async (why, key, { digest }) => {
      const { count, woken, rechecked } = await post("/retry", { selector, expect: digest, reason: why }, key);
      const text = [count.windows ? `${counted(count.windows, "window")} released` : "", woken ? `${counted(woken, "task")} woken` : "", rechecked ? `${counted(rechecked, "model")} rechecked` : ""].filter(Boolean).join(", ");
      return project && model ? { text: `${text}.`, link: modelHref(project, model), follow: "Follow the model" }
        : { text: `${text}.`, link: href("/queue"), follow: "Follow them in the queue" };
    },
  });
}

/** Accept a list that has lost many models. @param {string} project */
export function acceptLoss(project) {
  confirm({
    title: `Accept the list of ${visible(project)}?`, button: "Accept",
    preview: words("The list of models that the server has now is taken as it is; models that it lacks are missing, and retired a day later.", "Their predictions and their coverage stay. Where the server has them again, they go on."),
    command: () => `latigo models accept-loss ${quoted(project)}`,
    send: async (_reason, key) => {
      const { accepted } = await post("/accept-loss", { project }, key);
      return { text: accepted ? "Accepted: it is used from the next reading on." : "It is not quarantined any more.", link: href("/models", { project, view: "table" }), follow: "Show its models" };
    },
  });
}

const LEFT_OUT = /** @type {{[reason: string]: string}} */ ({
  covered: "are covered already", excepted: "have no readings or rows, and are rechecked by themselves", parked: "are parked: release them instead",
  not_readable: "are older than the source keeps readings", not_kept: "are older than the sinks keep predictions", not_predicted: "are of models that are not predicted now",
});

/**
 * Request predictions of a stretch of time.
 * @param {{names?: string[], from: string, to: string, replace?: boolean}} given  without names, they are asked for
 */
export function backfill({ names, from, to, replace = false }) {
  const list = h("textarea", { name: "models", rows: "3", spellcheck: "false", required: !names, placeholder: "plant-a or plant-a/unit-*" });
  const start = h("input", { name: "from", value: short(from), required: true, spellcheck: "false" }), end = h("input", { name: "to", value: short(to), required: true, spellcheck: "false" });
  const how = h("select", { name: "how" }, h("option", { value: "fill" }, "fill what is missing"), h("option", { value: "replace", selected: replace }, "predict again, and overwrite"));
  const atMost = h("input", { name: "at-most", type: "number", min: "1", placeholder: "no limit" }), stopAfter = h("input", { name: "stop-after", type: "number", min: "1", placeholder: "never" });
  const chosen = () => names ?? list.value.split("\n").map((/** @type {string} */ line) => line.trim()).filter(Boolean);
  const number = (/** @type {any} */ field) => (field.value ? Number(field.value) : null);
  const question = () => ({ selector: { names: chosen() }, replace: how.value === "replace", at_most: number(atMost), stop_after: number(stopAfter) });
  const labelled = (/** @type {string} */ text, /** @type {any} */ field) => h("label", {}, `${text} `, field);
  confirm({
    title: replace ? "Predict again?" : names ? "Back-fill?" : "New backfill", button: "Start",
    fields: (changed) => {
      for (const field of [list, start, end, how, atMost, stopAfter]) field.addEventListener("input", changed);
      return [
        names ? h("p", {}, h("strong", {}, names.length > 1 ? `${names.length} projects or models:` : ""), names.slice(0, 3).map((name) => [" ", nameOf(name)]), names.length > 3 ? " …" : "")
          : labelled("Projects or models, one a line; * and ? stand for any characters", list),
        h("div", { class: "fields" }, labelled("From (ISO 8601, or -30d)", start), labelled("To", end), labelled("How", how),
          labelled("Tasks at once, at most", atMost), labelled("Pause after failures", stopAfter)),
      ];
    },
    names: chosen, first: names ? null : list,
    preview: async () => {
      if (!chosen().length || !start.value.trim()) return null;
      const { preview, notes } = await post("/backfill", { ...question(), from: start.value.trim(), to: end.value.trim() || "now", dry_run: true });
      const { models, slots, windows, calls, seconds } = preview;
      return {
        counts: { models, slots, calls }, expect: preview.digest, start: preview.start, end: preview.end, nothing: !slots,
        lines: [
          slots ? `${counted(models, "model")}, ${counted(slots, "slot")} in ${counted(windows, "window")}: ${counted(calls, "call")}, ${seconds === null ? "how long is not known yet" : `about ${duration(Math.max(1, seconds))}`} when live tasks leave room.`
            : "Nothing of this is to be predicted: there is nothing to do.",
          `${fullTime(preview.start)} – ${fullTime(preview.end)}, in whole slots.`,
          question().replace && slots ? h("strong", {}, "Predictions that are there are overwritten.") : null,
          ...preview.left_out.map((/** @type {any} */ one) => `Left out: ${counted(one.slots, "slot")} of ${counted(one.models, "model")} ${LEFT_OUT[one.reason] ?? one.reason}.`),
          preview.backfill_paused ? "Backfill is paused: nothing of it starts before that is resumed." : null,
        ],
        notes: notes.map(visible),
      };
    },
    command: (why) => {
      const all = chosen();
      return ["latigo backfill", ...(all.length > NAMES_IN_COMMAND ? ["--models-from models.txt"] : all.length ? all.map(quoted) : ["PROJECT/MODEL"]), `--from ${quoted(start.value.trim())}`, `--to ${quoted(end.value.trim() || "now")}`,
        question().replace ? "--replace" : "", number(atMost) ? `--at-most ${number(atMost)}` : "", number(stopAfter) ? `--stop-after ${number(stopAfter)}` : ""].filter(Boolean).join(" ") + because(why);
    },
    send: async (reason, key, sent) => {
      const { id, preview } = await post("/backfill", { ...question(), from: sent.start, to: sent.end, expect: sent.expect, reason }, key);
      if (id === null) return { text: "Meanwhile all of it was predicted: nothing is left to do." };
      return { text: `Request ${id}: ${counted(preview.slots, "slot")} of ${counted(preview.models, "model")}.`, link: href(`/backfills/${id}`), follow: `Follow request ${id}` };
    },
  });
}

const CHANGES = /** @type {{[verb: string]: [string, string, string]}} */ ({
  pause: ["Pause", "nothing new of it starts until it is resumed; tasks that run end as usual.", "paused"],
  resume: ["Resume", "it goes on; its failures are counted anew.", "active again"],
  cancel: ["Cancel", "it ends for good: nothing new of it starts, tasks that run end as usual, and what it has predicted stays.", "cancelled"],
});

/** Pause, resume or cancel a request. @param {number} id @param {string} verb */
export function changeRequest(id, verb) {
  const [button, effect, done] = CHANGES[verb];
  confirm({
    title: `${button} backfill #${id}?`, button: verb === "cancel" ? "Cancel the backfill" : button,
    preview: async () => {
      const row = await get(`/requests/${id}`);
      return { lines: [`${counted(row.models_left, "model")} and ${counted(row.slots_left, "slot")} are left, ${counted(row.tasks, "task")} out now: ${effect}`] };
    },
    command: (why) => `latigo backfills ${verb} ${id}${because(why)}`,
    send: async (reason, key) => {
      await post(`/requests/${id}/${verb}`, { reason }, key);
      return { text: `Backfill #${id} is ${done}.`, link: href(`/backfills/${id}`), follow: "Show it" };
    },
  });
}
