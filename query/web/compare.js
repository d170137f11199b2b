/** A composed query side by side: the reference, the edit, and the chain of edits that led here. */

import { composed } from "./request.js";
import { el } from "./element.js";
import { fitted } from "./fitted.js";
import { icon } from "./icons.js";
import { large, itemOf, preview } from "./pictures.js";
import { returnTo } from "./place.js";

/** @typedef {import("./app.js").App} App */

/**
 * What stands beside the results.
 * @param {App} app
 * @param {import("./place.js").Place} place
 */
export function compared(app, place) {
  const part = composed(place);
  if (!part) return null;
  const reference = el("div", { class: "reference" }, icon(part.source.from === "url" ? "link" : "picture"));
  full(place.collection, part.source).then(
    (address) => reference.replaceChildren(fitted(el("img", { src: address, alt: "The reference picture" }))),
    () =>
      part.source.from === "url" &&
      reference.append(el("span", { class: "muted", text: new URL(part.source.url).host })),
  );
  const edit = part.edit
    ? el("p", { class: "but" }, el("span", { class: "muted", text: "but" }), ` “${part.edit}”`)
    : el("button", {
        type: "button",
        class: "but empty",
        text: "Say how results should differ",
        on: { click: () => app.chips.focusEdit() },
      });
  return el(
    "div",
    { class: "compared" },
    el("h2", { text: "Reference" }),
    reference,
    el("h2", { text: "Edit" }),
    edit,
    place.chain.length > 1 && chain(app, place),
    el("p", { class: "next", "aria-hidden": "true" }, el("span", { text: "Results" }), icon("arrow")),
  );
}

/** @param {App} app @param {import("./place.js").Place} place */
function chain(app, place) {
  const steps = place.chain.map((step, at) => {
    const thumb = el("span", { class: "thumb" }, icon("picture"));
    preview(place.collection, step.source).then(
      (address) => thumb.replaceChildren(el("img", { src: address, alt: "", width: 44, height: 44 })),
      () => null,
    );
    const text = step.edit ? `“${step.edit}”` : "no edit yet";
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          "aria-current": at === place.at ? "step" : null,
          "aria-label": `Step ${at + 1}: ${text}`,
          data: { focus: `step ${at}` },
          on: { click: () => app.go(returnTo(app.place, at)) },
        },
        thumb,
        el("span", { class: "said", text }),
      ),
    );
  });
  return el(
    "nav",
    { class: "chain", "aria-label": "Chain of edits" },
    el("h2", { text: "Steps" }),
    el("ol", {}, ...steps),
  );
}

/** @param {string} collection @param {import("./place.js").Source} source */
async function full(collection, source) {
  if (source.from !== "hit") return preview(collection, source);
  return large(collection, await itemOf(collection, source.id)).catch(() => preview(collection, source));
}
