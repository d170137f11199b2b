/** One hit: a picture or a text, its score, and what can be done with it. */

import { el } from "./element.js";
import { fitted } from "./fitted.js";
import { icon } from "./icons.js";
import { part } from "./part.js";
import { editing, judged, only } from "./place.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./api.js").Hit} Hit
 */

/** Hits of lower confidence are marked: most unrelated queries have a better one. As in `query/result.py`. */
const DOUBTFUL = 0.5;

/**
 * @param {App} app
 * @param {Hit} hit
 */
export function card(app, hit) {
  const guess = (hit.confidence ?? 1) < DOUBTFUL;
  const name = title(hit);
  const where = part(hit);
  const face = hit.thumbnail
    ? fitted(el("img", { src: hit.thumbnail, alt: "", width: 256, height: 192, draggable: "false" }))
    : el("span", { class: "quote", text: hit.text ?? name });
  const open = el(
    "button",
    {
      type: "button",
      class: "face",
      data: { focus: `hit ${hit.id}` },
      "aria-label": `${spoken(hit)}: ${name}${where && `, ${where}`}. Show more`,
      on: { click: () => app.detail.show(hit) },
    },
    face,
  );
  const score = el("span", { class: "score", text: hit.score.toFixed(3), title: sureness(hit) });
  return el(
    "li",
    { class: `card ${hit.modality}${guess ? " guess" : ""}`, data: { id: hit.id } },
    el("div", { class: "box" }, open, actions(app, hit)),
    el(
      "div",
      { class: "line" },
      icon(hit.modality === "text" ? "text" : "picture"),
      el("span", { class: "title", text: name, title: name }),
      where && el("span", { class: "part", text: where }),
      guess && el("span", { class: "badge", text: "low confidence" }),
      el("span", { class: "unseen", text: "score" }),
      score,
    ),
  );
}

/** @param {Hit} hit */
const sureness = (hit) =>
  hit.confidence === undefined
    ? "Score"
    : `Score; confidence ${Math.floor(100 * hit.confidence)} %: that share of unrelated queries scores lower`;

/** What can be done with a hit. @param {App} app @param {Hit} hit @param {() => void} [after] */
export function actions(app, hit, after) {
  const action = (/** @type {any} */ image, /** @type {string} */ text, /** @type {() => void} */ work) =>
    el(
      "button",
      {
        type: "button",
        title: text,
        "aria-label": `${text}: ${title(hit)}`,
        on: {
          click: () => {
            after?.();
            work();
          },
        },
      },
      icon(image),
      el("span", { text }),
    );
  return el(
    "div",
    { class: "actions" },
    action("more", "More like this", () => app.go(only(app.place, { kind: "like", id: hit.id, weight: 1 }))),
    hit.modality === "image" &&
      action("edit", "Edit this", () => app.edit(editing(app.place, { from: "hit", id: hit.id }))),
    action("like", "Like", () => app.go(judged(app.place, hit.id, true))),
    action("not", "Unlike", () => app.go(judged(app.place, hit.id, false))),
  );
}

/**
 * What people call it.
 * @param {{id: string, uri?: string, text?: string|null, modality: string, metadata?: Record<string, any>}} hit
 */
export function title(hit) {
  if (hit.text && hit.modality === "image") return hit.text;
  const path = (hit.uri ?? "").split(/[?#]/)[0];
  const last = path.startsWith("urn:") ? "" : decoded(path.split("/").pop() ?? "");
  return String(hit.metadata?.title ?? hit.metadata?.file ?? "") || last || (hit.text ?? "").slice(0, 80) || hit.id;
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Hit} hit */
const spoken = (hit) =>
  hit.modality === "text" ? `Text, score ${hit.score.toFixed(2)}` : `Picture, score ${hit.score.toFixed(2)}`;
