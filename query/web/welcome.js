/** What a visitor sees first: what can be asked here, by three examples of this very collection. */

import { api } from "./api.js";
import { mostColourful } from "./colour.js";
import { byId, el } from "./element.js";
import { fitted } from "./fitted.js";
import { icon } from "./icons.js";
import { remember } from "./pictures.js";
import { only } from "./place.js";
import { emptyCollection } from "./states.js";

/** @typedef {import("./app.js").App} App */

const SHOWN = 8;

/** @param {App} app @param {AbortSignal} signal */
export async function welcome(app, signal) {
  const name = app.place.collection;
  const main = byId("main");
  const examples = el(
    "ul",
    { class: "examples", "aria-label": "Examples" },
    ...Array.from({ length: 3 }, () => el("li", { class: "bones", "aria-hidden": "true" })),
  );
  const shelf = el(
    "ul",
    { class: "shelf", "aria-label": "Some pictures of this collection" },
    ...Array.from({ length: SHOWN - 2 }, () => el("li", { class: "bones", "aria-hidden": "true" })),
  );
  main.replaceChildren(
    el(
      "div",
      { class: "welcome" },
      examples,
      el("p", { class: "shelfhead muted", text: "Or begin with one of these" }),
      shelf,
    ),
  );
  const [pictures, texts] = await Promise.all([
    api.scroll(
      name,
      { limit: SHOWN, filter: { field: "modality", match: "image" }, with: ["payload", "thumbnail"] },
      signal,
    ),
    api.scroll(name, { limit: 12, filter: { field: "modality", match: "text" } }, signal),
  ]);
  const seen = await mostColourful(pictures.items);
  if (signal.aborted) return;
  if (seen.length + texts.items.length === 0) return main.replaceChildren(emptyCollection(app));
  for (const one of seen) remember(name, one);
  examples.replaceChildren(...made(app, seen, texts.items));
  const rest = seen.slice(2);
  shelf.replaceChildren(
    ...rest.map((/** @type {any} */ one) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", "aria-label": `Show ${label(one)}`, on: { click: () => app.detail.show(one) } },
          el("img", { src: one.thumbnail, alt: "", width: 160, height: 120, draggable: "false" }),
        ),
      ),
    ),
  );
  if (rest.length === 0) main.querySelector(".shelfhead")?.remove();
}

/** @param {App} app @param {any[]} pictures @param {any[]} texts */
function made(app, pictures, texts) {
  const model = app.collections.find((one) => one.name === app.place.collection)?.model ?? "";
  const words = model === "mini" ? "a blue circle and a yellow star" : shortest(texts) || "something red";
  const edit = model === "mini" ? "make the background yellow" : "the same, but at night";
  const first = pictures[0];
  const second = pictures[Math.min(1, pictures.length - 1)];
  const examples = [
    example("text", "Words", [el("span", { class: "quote", text: words })], () =>
      app.go(only(app.place, { kind: "text", text: words, weight: 1 })),
    ),
  ];
  if (first) {
    examples.push(
      example("picture", "A picture", [shown(first)], () =>
        app.go(only(app.place, { kind: "picture", source: { from: "hit", id: first.id }, edit: "", weight: 1 })),
      ),
    );
    examples.push(
      example(
        "edit",
        "A picture, but different",
        [shown(second), el("span", { class: "but", text: `“${edit}”` })],
        () => app.go(only(app.place, { kind: "picture", source: { from: "hit", id: second.id }, edit, weight: 1 })),
      ),
    );
  } else {
    const unlike = { kind: /** @type {const} */ ("text"), text: shortest(texts.slice(1)) || "a picture", weight: 1 };
    examples.push(
      example("text", "Other words", [el("span", { class: "quote", text: unlike.text })], () =>
        app.go(only(app.place, unlike)),
      ),
    );
    if (texts[0])
      examples.push(
        example("more", "More like a text", [el("span", { class: "quote", text: texts[0].text.slice(0, 90) })], () =>
          app.go(only(app.place, { kind: "like", id: texts[0].id, weight: 1 })),
        ),
      );
  }
  return examples;
}

/** @param {any} image @param {string} head @param {Node[]} body @param {() => void} work */
const example = (image, head, body, work) =>
  el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "example", on: { click: work } },
      el("span", { class: "head" }, icon(image), el("span", { text: head })),
      el("span", { class: "show" }, ...body),
    ),
  );

/** @param {any} one */
const shown = (one) =>
  fitted(el("img", { src: one.thumbnail, alt: label(one), width: 256, height: 170, draggable: "false" }));

/** @param {any} one */
const label = (one) => one.text || String(one.uri).split("/").pop();

/** The shortest text, as something that one would type. @param {any[]} texts */
function shortest(texts) {
  const said =
    texts
      .map((one) => (one.text ?? "").trim().replace(/\s+/g, " ").replace(/\.$/, ""))
      .filter(Boolean)
      .sort((a, b) => a.length - b.length)[0] ?? "";
  return said.length <= 60 ? said : `${said.slice(0, 60).replace(/\s\S*$/, "")}`;
}
