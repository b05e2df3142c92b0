// Times carry their zone, slots both of their ends, and ages are words. All moments are milliseconds since 1970.

const MINUTE = 60e3, HOUR = 3600e3, DAY = 86400e3;
const UNITS = /** @type {{[unit: string]: number}} */ ({ s: 1e3, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY });

/** @type {{name: string, zone: string}[]} */
let zones = [{ name: "utc", zone: "UTC" }];
let chosen = zones[0];
/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** Offer UTC, the browser's zone and the plant's. @param {string} plant */
export function offerZones(plant) {
  zones = [{ name: "utc", zone: "UTC" }, { name: "local", zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC" }];
  if (plant) zones.push({ name: "plant", zone: plant });
}

/** Return the names of zones, and where each is. */
export function zoneChoices() {
  return zones.map(({ name, zone }) => ({ name, label: name === "utc" ? "UTC" : `${name === "plant" ? "plant" : "here"}: ${zone}` }));
}

/** @param {string} name */
export function chooseZone(name) {
  chosen = zones.find((zone) => zone.name === name) || zones[0];
  formats.clear();
}

export function zoneName() {
  return chosen.name;
}

/** @param {string} key @param {Intl.DateTimeFormatOptions} options */
function format(key, options) {
  let known = formats.get(key);
  if (!known) formats.set(key, (known = new Intl.DateTimeFormat("en-GB", { timeZone: chosen.zone, hourCycle: "h23", ...options })));
  return known;
}

/** Return the parts of a moment in the chosen zone. @param {number} at */
function parts(at) {
  const of = format("parts", {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
  }).formatToParts(at);
  return /** @type {{[type: string]: string}} */ (Object.fromEntries(of.map(({ type, value }) => [type, value])));
}

/** Return the short name of the zone at a moment, as "UTC" or "CET". @param {number} [at] */
export function zoneLabel(at = Date.now()) {
  return parts(at).timeZoneName.replace("GMT+0", "UTC");
}

/** @param {any} value @returns {number} */
export function moment(value) {
  return typeof value === "number" ? value : Date.parse(value);
}

/** Return the time of the day. @param {any} at @param {boolean} [seconds] */
export function clock(at, seconds = false) {
  const { hour, minute, second } = parts(moment(at));
  return seconds ? `${hour}:${minute}:${second}` : `${hour}:${minute}`;
}

/** Return the day. @param {any} at */
export function day(at) {
  const { day: number, month, year } = parts(moment(at));
  return year === parts(Date.now()).year ? `${number} ${month}` : `${number} ${month} ${year}`;
}

/**
 * Return a moment with its day unless it is today, without zone: for places whose zone is named.
 * @param {any} at @param {boolean} [edge]  of a slot, which has seconds where it is no whole minute
 */
export function when(at, edge = false) {
  if (at === null || at === undefined) return "–";
  const time = clock(at, edge && moment(at) % MINUTE !== 0);
  return day(at) === day(Date.now()) ? time : `${day(at)} ${time}`;
}

/** Return a whole moment with its zone: for titles. @param {any} at */
export function fullTime(at) {
  return `${day(at)} ${clock(at, true)} ${zoneLabel(moment(at))}`;
}

/** Return a slot with both ends, in seconds where it is no whole minutes. @param {any} start @param {any} end */
export function slot(start, end) {
  const seconds = moment(start) % MINUTE !== 0 || moment(end) % MINUTE !== 0;
  const time = (/** @type {any} */ at) => clock(at, seconds);
  const first = day(start) === day(Date.now()) ? time(start) : `${day(start)} ${time(start)}`;
  const late = day(start) === day(end) || clock(end) === "00:00" ? time(end) : `${day(end)} ${time(end)}`;
  return `${first}–${late}`;
}

const WRITTEN = /(\d{4}-\d\d-\d\d)?T?(\d\d:\d\d:\d\d)(\.\d+)?Z/g;

/** Return a text of the server with its moments, which are in UTC, in the chosen zone. @param {string} text */
export function inZone(text) {
  let date = "";
  return text.replace(WRITTEN, (whole, named, time) => {
    date = named || date;
    const at = Date.parse(`${date}T${time}Z`);
    if (Number.isNaN(at)) return whole;
    return `${named && day(at) !== day(Date.now()) ? `${day(at)} ` : ""}${clock(at, time.slice(6) !== "00")} ${zoneLabel(at)}`;
  });
}

/** Return a duration in words. @param {number} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const whole = Math.max(0, seconds);
  if (whole < 1 && whole > 0) return `${Math.round(whole * 1000)} ms`;
  if (whole < 60) return `${whole < 10 && whole % 1 ? whole.toFixed(1) : Math.round(whole)} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 2 * 86400) {
    const minutes = Math.floor((whole % 3600) / 60);
    return `${Math.floor(whole / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  return `${Math.floor(whole / 86400)} d`;
}

/** Return how long ago a moment was. @param {any} at @param {number} [now] */
export function age(at, now = Date.now()) {
  return at === null || at === undefined ? "–" : duration((now - moment(at)) / 1000);
}

/**
 * @typedef {{from: number, to: number, text: string, relative: boolean}} Range
 */

/**
 * Return the range that a text names: "24h" and "7d" end now, "START/END" is fixed.
 * @param {string | null} text
 * @param {string} otherwise  where the text is no range
 * @param {number} [now]
 * @returns {Range}
 */
export function rangeOf(text, otherwise, now = Date.now()) {
  const relative = /^-?(\d{1,5})([smhdw])$/.exec(text || "");
  if (relative) {
    const length = Math.min(Number(relative[1]) * UNITS[relative[2]], 400 * DAY);
    if (length > 0) return { from: now - length, to: now, text: `${relative[1]}${relative[2]}`, relative: true };
  }
  const [start, end] = (text || "").split("/").map((part) => Date.parse(part));
  if (end > start && end - start <= 400 * DAY) return { from: start, to: end, text: fixed(start, end), relative: false };
  return rangeOf(otherwise, otherwise, now);
}

/** Return a fixed range as it stands in a URL. @param {number} from @param {number} to */
export function fixed(from, to) {
  const unit = to - from < 10 * MINUTE ? 1000 : MINUTE;
  const short = (/** @type {number} */ at) => new Date(Math.round(at / unit) * unit).toISOString().replace(/(:00)?\.000Z/, "Z");
  return `${short(from)}/${short(to)}`;
}

/** Return a range in words. @param {Range} range */
export function rangeWords(range) {
  if (!range.relative) return `${when(range.from, true)} – ${when(range.to, true)} ${zoneLabel(range.to)}`;
  return `last ${range.text.replace(/(\D+)$/, " $1").replace(/m$/, "min")}`;
}

/**
 * Return about so many round moments between two, and how each is written.
 * @param {number} from @param {number} to @param {number} most
 * @returns {{at: number, text: string}[]}
 */
export function ticks(from, to, most) {
  const steps = [MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];
  const step = steps.find((width) => (to - from) / width <= Math.max(1, most)) || 56 * DAY;
  const offset = zoneOffset(from);
  const marks = [];
  for (let at = Math.ceil((from + offset) / step) * step - offset; at <= to; at += step) {
    const midnight = clock(at) === "00:00";
    marks.push({ at, text: step >= DAY || midnight ? day(at) : clock(at) });
  }
  return marks;
}

/** Return how far the chosen zone is ahead of UTC, in milliseconds. @param {number} at */
function zoneOffset(at) {
  if (chosen.zone === "UTC") return 0;
  const of = Object.fromEntries(format("offset", {
    year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(of.year, of.month - 1, of.day, of.hour, of.minute, of.second) - Math.floor(at / 1000) * 1000;
}
