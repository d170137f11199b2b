/** A sample of a collection's vectors on a plane, by modality: a picture, words, and a table. */

import { title } from "./card.js";
import { el } from "./element.js";

/**
 * @typedef {{id: string, x: number, y: number, modality: "image"|"text", text?: string, uri: string}} Point
 * @typedef {{points: Point[], gap: {centroid_distance: number, cross_modal_neighbors: number}|null,
 *   explained: number[], sampled: number, total: number}} Mapped
 */

const EDGE = 18;
const REACH = 14;
const ROWS = 50;

/** @param {import("./app.js").App} app @param {Mapped} map */
export function mapped(app, map) {
  const canvas = el("canvas", {
    class: "plane",
    role: "img",
    "aria-label": `Map of ${map.sampled} items. ${gapInWords(map)}`,
  });
  const tip = el("p", { class: "tip", "aria-hidden": "true", text: "Point at a dot" });
  const plane = new Plane(canvas, map.points);
  canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    const point = plane.nearest(event);
    plane.mark(point);
    tip.textContent = point ? title(point) : "Point at a dot";
    canvas.classList.toggle("over", Boolean(point));
  });
  canvas.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const point = plane.nearest(event);
    if (point) app.detail.show(point);
  });
  const counts = {
    image: map.points.filter((one) => one.modality === "image").length,
    text: map.points.filter((one) => one.modality === "text").length,
  };
  return el(
    "div",
    { class: "map" },
    canvas,
    el(
      "div",
      { class: "legend" },
      counts.image > 0 &&
        el(
          "span",
          { class: "key image" },
          `${counts.image.toLocaleString("en")} ${counts.image === 1 ? "picture" : "pictures"}`,
        ),
      counts.text > 0 &&
        el(
          "span",
          { class: "key text" },
          `${counts.text.toLocaleString("en")} ${counts.text === 1 ? "text" : "texts"}`,
        ),
      tip,
    ),
    el("p", { class: "gap", text: gapInWords(map) }),
    el("p", {
      class: "muted fine",
      text: axes(map),
    }),
    el("details", {}, el("summary", { text: "The map as a table" }), table(map.points)),
  );
}

/** What the map shows, and how much of it. @param {Mapped} map */
function axes({ sampled, total, explained }) {
  const all = total.toLocaleString("en");
  const which = sampled < total ? `A sample of ${sampled.toLocaleString("en")} of ${all} items` : `All ${all} items`;
  const held = percent(explained[0] + explained[1]);
  return `${which}, on the two axes along which their vectors differ most; these hold ${held} of the differences.`;
}

/** What the numbers of the gap mean. @param {Mapped} map */
function gapInWords(map) {
  if (!map.gap) return "There is only one kind of item, or too few, so there is no gap to measure.";
  const { centroid_distance: distance, cross_modal_neighbors: near } = map.gap;
  const numbers =
    `The middle of the texts is ${distance.toFixed(2)} from the middle of the pictures (0 to 2), and neighbors are ` +
    `of the other kind ${percent(near)} as often as if the kind made no difference.`;
  const verdict =
    near >= 0.85
      ? "Texts and pictures share one space: there is hardly a modality gap."
      : near >= 0.4
        ? "Texts and pictures overlap in part: there is some modality gap."
        : "Texts and pictures keep apart: there is a clear modality gap.";
  return `${verdict} ${numbers}`;
}

/** @param {number} share */
const percent = (share) => `${Math.round(share * 100)} %`;

/** @param {Point[]} points */
function table(points) {
  const rows = points
    .slice(0, ROWS)
    .map((one) =>
      el(
        "tr",
        {},
        el("td", { text: one.modality === "image" ? "picture" : "text" }),
        el("td", { text: title(one) }),
        el("td", { text: one.x.toFixed(2) }),
        el("td", { text: one.y.toFixed(2) }),
      ),
    );
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Points of the map" },
    el(
      "table",
      {},
      el("caption", {
        class: points.length > ROWS ? "muted" : "unseen",
        text: points.length > ROWS ? `The first ${ROWS} of ${points.length} points` : "Points of the map",
      }),
      el(
        "thead",
        {},
        el("tr", {}, ...["Kind", "Item", "Across", "Up"].map((text) => el("th", { scope: "col", text }))),
      ),
      el("tbody", {}, ...rows),
    ),
  );
}

class Plane {
  /** @param {HTMLCanvasElement} canvas @param {Point[]} points */
  constructor(canvas, points) {
    this.canvas = canvas;
    this.points = points;
    /** @type {Point|null} */
    this.marked = null;
    const xs = points.map((one) => one.x);
    const ys = points.map((one) => one.y);
    this.span = { left: Math.min(...xs), right: Math.max(...xs), bottom: Math.min(...ys), top: Math.max(...ys) };
    const draw = () => this.draw();
    new ResizeObserver(draw).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /**
   * Where a point is, in CSS pixels; both axes have one scale, so that distances are comparable.
   * @param {Point} point
   */
  at(point) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { left, right, bottom, top } = this.span;
    const scale = Math.min((width - 2 * EDGE) / (right - left || 1), (height - 2 * EDGE) / (top - bottom || 1));
    return {
      x: width / 2 + (point.x - (left + right) / 2) * scale,
      y: height / 2 - (point.y - (bottom + top) / 2) * scale,
    };
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.canvas);
    const size = this.points.length > 300 ? 3 : 5;
    const colours = { image: style.getPropertyValue("--image-dot"), text: style.getPropertyValue("--text-dot") };
    for (const point of this.points) {
      const { x, y } = this.at(point);
      context.globalAlpha = 0.75;
      context.fillStyle = colours[point.modality];
      context.beginPath();
      if (point.modality === "image") context.arc(x, y, size, 0, 7);
      else context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8); // told apart without colours, too
      context.fill();
      if (point !== this.marked) continue;
      context.globalAlpha = 1;
      context.strokeStyle = style.color;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, size + 4, 0, 7);
      context.stroke();
    }
  }

  /** @param {Point|null} point */
  mark(point) {
    if (point === this.marked) return;
    this.marked = point;
    this.draw();
  }

  /** The point under the pointer. @param {MouseEvent} event @returns {Point|null} */
  nearest(event) {
    const box = this.canvas.getBoundingClientRect();
    let found = null,
      least = REACH;
    for (const point of this.points) {
      const { x, y } = this.at(point);
      const distance = Math.hypot(x - (event.clientX - box.left), y - (event.clientY - box.top));
      if (distance < least) [found, least] = [point, distance];
    }
    return found;
  }
}
