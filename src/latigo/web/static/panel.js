// A panel: a heading, what the server last said, how old that is, and what is wrong if something is.

import { ageOf, Problem } from "./api.js";
import { fill, h } from "./dom.js";
import { heard, isPaused, on } from "./live.js";
import { duration } from "./time.js";

const OLD_S = 30, STALE_S = 120, BACKSTOP_MS = 25000, RETRY_MS = 5000;

/** @type {Set<Panel>} */
const open = new Set();
setInterval(() => { for (const panel of open) panel.showAge(); }, 1000);

export class Panel {
  /**
   * @param {{
   *   title?: string, name: string, load: (signal: AbortSignal) => Promise<any>, draw: (data: any, panel: Panel) => any,
   *   events?: string[], every?: number, atMost?: number, extra?: any
   * }} options  `every`: refresh after so many ms at the latest; `atMost`: not more often than that at events
   */
  constructor({ title = "", name, load, draw, events = ["status"], every = BACKSTOP_MS, atMost = 2000, extra = null }) {
    this.load = load;
    this.draw = draw;
    this.every = every;
    this.atMost = atMost;
    this.data = /** @type {any} */ (null);
    this.problem = /** @type {Problem | null} */ (null);
    this.asked = -Infinity;
    this.control = /** @type {AbortController | null} */ (null);
    this.timer = /** @type {any} */ (0);
    this.resized = /** @type {(() => void) | null} */ (null);
    this.ageLine = h("span", { class: "age" });
    this.trouble = h("div", { class: "trouble", role: "status" });
    this.body = h("div", { class: "body" });
    this.node = h("section", { class: `panel ${name}`, "aria-label": title || name.replaceAll("-", " "), "aria-busy": "true" },
      title ? h("h2", {}, title, " ", this.ageLine, extra) : this.ageLine, this.trouble, this.body);
    this.leave = events.map((kind) => on(kind, () => this.refreshSoon()));
    open.add(this);
    this.refresh();
  }

  close() {
    open.delete(this);
    this.control?.abort();
    clearTimeout(this.timer);
    for (const leave of this.leave) leave();
  }

  refreshSoon() {
    const wait = this.asked + this.atMost - performance.now();
    if (wait <= 0) this.refresh();
    else if (!this.control) this.again(wait);
  }

  /** @param {number} wait */
  again(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (isPaused() || document.hidden) this.again(this.every);
      else this.refresh();
    }, wait);
  }

  /** Load again; what is shown stays until there is something newer. */
  async refresh() {
    this.control?.abort();
    const control = (this.control = new AbortController());
    this.asked = performance.now();
    clearTimeout(this.timer);
    this.node.setAttribute("aria-busy", "true");
    try {
      const data = await this.load(control.signal);
      if (control.signal.aborted) return;
      this.data = data;
      this.problem = null;
      heard();
    } catch (error) {
      if (control.signal.aborted) return;
      if (!(error instanceof Problem)) console.error(error);
      this.problem = error instanceof Problem ? error : new Problem(-1, `This page has a fault: ${error}`);
    }
    this.control = null;
    this.show();
    this.again(this.problem ? RETRY_MS : this.every);
  }

  /** Draw what there is. */
  show() {
    this.node.setAttribute("aria-busy", "false");
    if (this.data !== null) fill(this.body, this.draw(this.data, this));
    const problem = this.problem;
    fill(this.trouble, problem ? h("p", { class: "problem" },
      h("strong", {}, problem.body?.type === "too-slow" ? "Latigo is busy and has not answered in time. It is asked again in a few seconds." : problem.message), " ",
      this.data !== null ? "What you see is from before. " : null,
      h("button", { type: "button", onclick: () => this.refresh() }, "Try again")) : null);
    this.showAge();
  }

  showAge() {
    if (this.data === null || this.data.none) return;
    const seconds = ageOf(this.data);
    this.node.classList.toggle("old", seconds > OLD_S);
    this.node.classList.toggle("stale", seconds > STALE_S || this.problem !== null);
    this.ageLine.textContent = seconds > OLD_S || this.problem ? `${duration(seconds)} old` : "";
  }
}
