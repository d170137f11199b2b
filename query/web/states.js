/** What the page shows instead of results: nothing stored, nothing found, no connection, no key, an error. */

import { el } from "./element.js";
import { icon } from "./icons.js";
import { setKey } from "./key.js";
import { Problem } from "./problem.js";

/** @typedef {import("./app.js").App} App */

/**
 * @param {any} image
 * @param {string} head
 * @param {(Node|string|null|false)[]} body
 * @param {Record<string, any>} [properties]
 */
function state(image, head, body, properties = {}) {
  return el(
    "section",
    { class: "state", ...properties },
    el("span", { class: "emblem" }, icon(image)),
    el("h2", { text: head }),
    ...body,
  );
}

/**
 * An error: what happened, what to do, and the request id for the log.
 * @param {unknown} error
 * @param {() => void} again
 * @param {(() => void)|null} [without] removes the part that the error is about
 */
export function failure(error, again, without = null) {
  if (!(error instanceof Problem)) console.error(error); // an error of this page
  const problem =
    error instanceof Problem
      ? error
      : new Problem({
          code: "page",
          detail: "This page failed.",
          remedy: "Reload the page. If it fails again, contact the administrator.",
        });
  const heads = /** @type {Record<number, string>} */ ({
    403: "Not allowed with this key",
    404: "Not found",
    413: "Too large",
    429: "Too many requests",
    503: "The service is busy",
    504: "Timed out",
  });
  const head = problem.offline
    ? "No connection"
    : problem.code === "picture_elsewhere"
      ? "The image is not on this machine"
      : (heads[problem.status] ?? "Something went wrong");
  return state(
    problem.offline ? "offline" : "warn",
    head,
    [
      el("p", { class: "detailtext", text: problem.detail }),
      problem.remedy && el("p", { class: "muted", text: problem.remedy }),
      problem.field && el("p", { class: "muted" }, "Field: ", el("code", { text: problem.field })),
      el(
        "p",
        {},
        without &&
          el("button", { type: "button", class: "primary", text: "Search without the marked part", on: { click: without } }),
        el("button", {
          type: "button",
          class: without ? "quiet" : "primary",
          text: "Try again",
          on: { click: again },
        }),
      ),
      problem.requestId && el("p", { class: "fine" }, "Request ", el("code", { text: problem.requestId })),
    ],
    { role: "alert" },
  );
}

/** No hits. @param {App} app @param {import("./place.js").Place} place */
export function nothing(app, place) {
  const narrowed = place.filters.length > 0 || place.modality !== "";
  return state("search", "Nothing found", [
    el("p", {
      class: "muted",
      text: narrowed
        ? "No item passes the filters."
        : "Try other words; a search without keywords always finds something.",
    }),
    narrowed &&
      el(
        "p",
        {},
        el("button", {
          type: "button",
          class: "primary",
          text: "Clear filters",
          on: { click: () => app.go({ ...app.place, filters: [], modality: "" }) },
        }),
      ),
  ]);
}

/** The service requires a key. @param {App} app @param {Problem|null} problem */
export function keyState(app, problem) {
  const wrong = problem !== null && problem.code !== "key_missing";
  const input = el("input", {
    type: "password",
    id: "key",
    autocomplete: "off",
    required: true,
    "aria-describedby": wrong ? "keyproblem" : null,
    "aria-invalid": wrong ? "true" : null,
  });
  const form = el(
    "form",
    {
      class: "keyform",
      on: {
        submit: (/** @type {Event} */ event) => {
          event.preventDefault();
          setKey(input.value.trim());
          app.begin();
        },
      },
    },
    el("label", { for: "key", text: "API key" }),
    el("div", { class: "row" }, input, el("button", { type: "submit", class: "primary", text: "Continue" })),
    wrong && el("p", { id: "keyproblem", class: "bad", role: "alert", text: `${problem.detail}. ${problem.remedy}` }),
  );
  return state("key", "This service requires a key", [
    el("p", {
      class: "muted",
      text: "The operator makes one with `oneword keys create`. It is kept until you close this tab.",
    }),
    form,
  ]);
}

/** The service has no collection. @param {App} app */
export function noCollection(app) {
  return state("box", "No collection yet", [
    el("p", { class: "muted", text: "Index a folder of images and texts to create one:" }),
    el("pre", { class: "command", tabindex: 0 }, el("code", { text: "oneword index photos" })),
    el(
      "p",
      {},
      el("button", { type: "button", class: "primary", text: "Look again", on: { click: () => app.begin() } }),
    ),
  ]);
}

/** The collection in the address does not exist. @param {App} app @param {string} name */
export function unknownCollection(app, name) {
  return state(
    "box",
    `There is no collection “${name}”`,
    [
      el("p", { class: "muted", text: "It was renamed or dropped, or the link belongs to another service." }),
      el(
        "p",
        {},
        ...app.collections
          .slice(0, 6)
          .map((one) =>
            el("button", { type: "button", class: "quiet", text: one.name, on: { click: () => app.visit(one.name) } }),
          ),
      ),
    ],
    { role: "alert" },
  );
}

/** The collection is empty. @param {App} app */
export function emptyCollection(app) {
  const name = app.place.collection;
  const may = app.me.scope !== "read";
  return state("box", `“${name}” is empty`, [
    el("p", {
      class: "muted",
      text: may
        ? "Upload images and texts: they are found at once."
        : "Nothing is stored in it yet.",
    }),
    may &&
      el(
        "p",
        {},
        el("button", {
          type: "button",
          class: "primary",
          text: "Upload images and texts",
          on: { click: () => app.go({ ...app.place, page: "collection" }) },
        }),
      ),
    el("p", { class: "muted", text: "Or index a folder:" }),
    el("pre", { class: "command", tabindex: 0 }, el("code", { text: `oneword index photos --collection ${name}` })),
  ]);
}
