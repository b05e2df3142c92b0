// How odd a sensor was over time, as a thin band below its lines: bars up to a line that is its threshold.

import { short } from "./chart.js";
import { colours } from "./states.js";
import { canvas } from "./strip.js";

/** Bars are drawn up to so many times the threshold. */
const MOST = 2;

/**
 * Return the column of a tag's anomaly, and the threshold of its numbers; null where there is none.
 * @param {string} tag @param {(group: string, tag: string) => any} find @param {any} data
 * @returns {{at: number, threshold: number | null, group: string} | null}
 */
export function bandColumn(tag, find, data) {
  const limits = data.tag_thresholds || {};
  const unscaled = find("tag-anomaly-unscaled", tag), confidence = find("anomaly-confidence", tag), scaled = find("tag-anomaly-scaled", tag);
  if (unscaled && limits[tag]) return { at: unscaled.at, threshold: limits[tag], group: unscaled.group };
  if (confidence) return { at: confidence.at, threshold: 1, group: confidence.group };
  const other = scaled || unscaled;
  return other ? { at: other.at, threshold: null, group: other.group } : null;
}

/**
 * Return the band.
 * @param {{at: number, threshold: number | null, group: string}} column @param {any} data @param {{from: number, to: number}} range
 */
export function bandOf({ at, threshold, group }, data, range) {
  const values = data.bucket_s ? data.max[at] : data.mean[at];
  const highest = values.reduce((/** @type {number} */ most, /** @type {number | null} */ value) => Math.max(most, value ?? 0), 0);
  const over = threshold ? values.filter((/** @type {number | null} */ value) => value !== null && value > threshold).length : 0;
  const label = threshold
    ? `Anomaly of the sensor (${group}): at most ${short(highest)}, threshold ${short(threshold)}, above it in ${over} of ${values.length} ${data.bucket_s ? "points" : "rows"}`
    : `Anomaly of the sensor (${group}): at most ${short(highest)}; it has no threshold`;
  const top = threshold ? Math.min(Math.max(highest, threshold * 1.2), threshold * MOST) : highest || 1;
  return canvas("anomaly-band", label, (context, width, height) => {
    const colour = colours();
    const x = (/** @type {number} */ time) => ((time - range.from) / (range.to - range.from)) * width;
    const step = data.bucket_s ? data.bucket_s * 1000 : data.time.length > 1 ? (data.time[data.time.length - 1] - data.time[0]) / (data.time.length - 1) : 0;
    const bar = Math.max(1, x(range.from + step) - 0.5);
    values.forEach((/** @type {number | null} */ value, /** @type {number} */ index) => {
      if (value === null || value <= 0) return;
      const tall = Math.max(1, Math.min(1, value / top) * (height - 1));
      context.fillStyle = threshold && value > threshold ? colour.alarm : colour.quiet;
      context.fillRect(x(data.time[index]), height - tall, bar, tall);
    });
    context.fillStyle = colour.line;
    context.fillRect(0, height - 1, width, 1);
    if (!threshold) return;
    context.fillStyle = colour.alarm;
    for (let left = 0; left < width; left += 9) context.fillRect(left, Math.round(height - (threshold / top) * (height - 1)), 5, 1);
  });
}
