/** Which kinds of items, how they are ranked, and what the last answer cost. */

import { byId, el, refill } from "./element.js";
import { icon } from "./icons.js";
import { joinable } from "./place.js";
import { keywords, rankedBy } from "./request.js";

/** @typedef {import("./app.js").App} App */

const MODALITIES = [
  ["", "All"],
  ["image", "Pictures"],
  ["text", "Texts"],
];
const RANKINGS = [
  ["meaning", "Meaning"],
  ["both", "Both"],
  ["words", "Keywords"],
];

export class Switches {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.about = el("p", { class: "about", id: "about" });
    this.kinds = el("div", { class: "kinds" });
    byId("switches").append(this.kinds, this.about);
  }

  /** @param {import("./place.js").Place} place */
  update(place) {
    byId("switches").hidden = place.parts.length === 0;
    const some = Boolean(keywords(place));
    const filters = el(
      "button",
      {
        type: "button",
        class: "quiet",
        id: "filtersbutton",
        "aria-expanded": String(this.app.filters.open),
        "aria-controls": "filters",
        data: { focus: "filters" },
        on: { click: () => this.app.filters.toggle() },
      },
      icon("sliders"),
      el("span", { text: "Filters" }),
      place.filters.length > 0 &&
        el("span", { class: "count", text: String(place.filters.length), "aria-label": `${place.filters.length} set` }),
    );
    refill(
      this.kinds,
      segments("modality", "Kind of results", MODALITIES, place.modality, (value) =>
        this.app.go({ ...this.app.place, modality: /** @type {any} */ (value) }),
      ),
      segments(
        "ranking",
        "Ranked by",
        RANKINGS,
        rankedBy(place),
        (value) => this.app.go({ ...this.app.place, ranking: /** @type {any} */ (value) }),
        some ? "" : "Ranking by keywords needs words in the query",
      ),
      joinable(place) &&
        toggle("Read as one", "Words and pictures in their order, as one query", place.joined, (joined) =>
          this.app.go({ ...this.app.place, joined }),
        ),
      toggle("Fold copies", "Leave out what is nearly the same as a better result", place.folded, (folded) =>
        this.app.go({ ...this.app.place, folded }),
      ),
      this.app.me.rerank &&
        toggle("Rerank", "Judge the best results again", place.rerank, (rerank) =>
          this.app.go({ ...this.app.place, rerank }),
        ),
      filters,
    );
  }

  /**
   * What the answer cost, and who gave it.
   * @param {import("./api.js").Result|null} result
   * @param {import("./place.js").Place} place
   */
  report(result, place) {
    if (!result) return void (this.about.textContent = " ");
    const { encode_ms: encode, search_ms: search } = result.timings;
    const of = result.total === undefined ? "" : `${result.total.toLocaleString("en")} ranked`;
    const model = rankedBy(place) === "words" ? "no model" : result.model;
    this.about.replaceChildren(
      ...[of, `encoded in ${ms(encode)}`, `searched in ${ms(search)}`, reranked(result.reranked), cut(result.shortened)]
        .filter(Boolean)
        .map((text) => el("span", { text })),
      el("span", { class: "model", text: model, title: "The model that answered" }),
    );
  }
}

/** @param {import("./api.js").Result["reranked"]} report */
const reranked = (report) =>
  report && (report.reason ? `not reranked: ${report.reason}` : `${report.judged} reranked in ${ms(report.ms)}`);

/** @param {number} [texts] */
const cut = (texts) => texts && `${texts === 1 ? "a text was" : `${texts} texts were`} cut to what the model reads`;

/** @param {number} value */
const ms = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ms`;

/**
 * A switch.
 * @param {string} text
 * @param {string} title
 * @param {boolean} checked
 * @param {(checked: boolean) => void} change
 */
function toggle(text, title, checked, change) {
  const box = el("input", {
    type: "checkbox",
    checked,
    data: { focus: text },
    on: { change: () => change(box.checked) },
  });
  return el("label", { class: "toggle", title }, box, el("span", { text }));
}

/**
 * A row of which one is chosen.
 * @param {string} name
 * @param {string} legend
 * @param {string[][]} choices
 * @param {string} chosen
 * @param {(value: string) => void} choose
 * @param {string} [why] it cannot be chosen
 */
function segments(name, legend, choices, chosen, choose, why = "") {
  const options = choices.map(([value, text]) =>
    el(
      "label",
      {},
      el("input", {
        type: "radio",
        name,
        value,
        checked: value === chosen,
        disabled: Boolean(why) && value !== "meaning",
        data: { focus: `${name} ${value}` },
        on: { change: () => choose(value) },
      }),
      el("span", { text }),
    ),
  );
  return el(
    "fieldset",
    { class: "segments", title: why || null },
    el("legend", { class: "unseen", text: legend }),
    ...options,
  );
}
