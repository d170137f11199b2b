/** Filters, made from what a collection's metadata holds: ranges of numbers and times, tags, truth values, words. */

import { api } from "./api.js";
import { byId, el, refill, say } from "./element.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./place.js").Condition} Condition
 * @typedef {{name: string, kind: string, items: number, min?: any, max?: any,
 *   values?: {value: any, count: number}[]}} Facet
 */

const MOST_TAGS = 12;
/** Fields of every item: metadata of those names has to be asked for by its full name. */
const OWN = ["id", "modality", "uri", "text", "content_hash", "indexed_at"];

export class Filters {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.open = false;
    /** @type {Map<string, Facet[]>} */
    this.known = new Map();
  }

  toggle() {
    this.open = !this.open;
    this.app.switches.update(this.app.place);
    this.update(this.app.place);
  }

  /** @param {import("./place.js").Place} place */
  async update(place) {
    const panel = byId("filters");
    panel.hidden = !this.open || place.parts.length === 0;
    if (panel.hidden) return;
    const name = place.collection;
    let facets = this.known.get(name);
    if (!facets) {
      refill(
        panel,
        el(
          "div",
          { class: "fields loading", "aria-busy": "true" },
          ...Array.from({ length: 3 }, () => el("div", { class: "bone" })),
        ),
      );
      try {
        facets = (await api.facets(name, new AbortController().signal)).fields
          .filter((/** @type {Facet} */ one) => one.items > 0)
          .map((/** @type {Facet} */ one) => (OWN.includes(one.name) ? { ...one, name: `metadata.${one.name}` } : one));
      } catch (error) {
        this.open = false;
        panel.hidden = true;
        this.app.switches.update(this.app.place);
        return this.app.failed(error);
      }
      this.known.set(name, facets ?? []);
      if (this.app.place.collection !== name) return;
    }
    this.show(panel, facets ?? []);
  }

  /** Whatever is stored may have other values now. @param {string} collection */
  forget(collection) {
    this.known.delete(collection);
  }

  /** @param {HTMLElement} panel @param {Facet[]} facets */
  show(panel, facets) {
    const place = this.app.place;
    const fields = facets.map((facet) =>
      this.field(
        facet,
        place.filters.find((one) => one.field === facet.name),
      ),
    );
    const none =
      facets.length === 0 &&
      el("p", { class: "muted", text: "The items of this collection have no metadata to filter by." });
    const clear =
      place.filters.length > 0 &&
      el("button", {
        type: "button",
        class: "quiet",
        text: "Clear filters",
        data: { focus: "clear" },
        on: { click: () => this.app.go({ ...this.app.place, filters: [] }) },
      });
    refill(panel, el("div", { class: "fields" }, ...fields, none), clear || null);
  }

  /** @param {Facet} facet @param {Condition|undefined} set */
  field(facet, set) {
    const body =
      facet.kind === "number" || facet.kind === "time"
        ? this.range(facet, set)
        : this.listed(facet)
          ? this.tags(facet, set)
          : this.words(facet, set);
    return el("fieldset", { class: "field" }, el("legend", { text: facet.name }), ...body);
  }

  /** Whether its values are few enough to be tags, not each item's own. @param {Facet} facet */
  listed(facet) {
    const values = facet.values ?? [];
    return facet.kind !== "string" || (values.length <= MOST_TAGS && (values[0]?.count ?? 0) > 1);
  }

  /** @param {Facet} facet @param {Condition|undefined} set */
  range(facet, set) {
    const time = facet.kind === "time";
    const shown = (/** @type {any} */ value) =>
      value === undefined ? "" : time ? String(value).slice(0, 10) : String(value);
    const box = (/** @type {"gte"|"lte"} */ end, /** @type {string} */ text) =>
      el(
        "label",
        {},
        el("span", { text }),
        el("input", {
          type: time ? "date" : "number",
          step: time ? null : "any",
          value: shown(set?.range?.[end]),
          placeholder: shown(end === "gte" ? facet.min : facet.max),
          min: time ? shown(facet.min) : null,
          max: time ? shown(facet.max) : null,
          "aria-label": `${facet.name} ${text}`,
          data: { focus: `${facet.name} ${end}` },
          on: {
            change: (/** @type {Event} */ event) => {
              const said = /** @type {HTMLInputElement} */ (event.target).value;
              const bound =
                said === "" ? undefined : time ? `${said}T${end === "gte" ? "00:00:00" : "23:59:59"}Z` : numberOf(said);
              const range = { ...this.app.place.filters.find((one) => one.field === facet.name)?.range, [end]: bound };
              if (range.gte === undefined) delete range.gte;
              if (range.lte === undefined) delete range.lte;
              this.set(facet.name, Object.keys(range).length ? { field: facet.name, range } : null);
            },
          },
        }),
      );
    return [el("div", { class: "range" }, box("gte", "from"), box("lte", "to"))];
  }

  /** @param {Facet} facet @param {Condition|undefined} set */
  tags(facet, set) {
    const chosen = set?.any ?? [];
    return [
      el(
        "div",
        { class: "tags" },
        ...(facet.values ?? []).slice(0, 40).map(({ value, count }) =>
          el(
            "label",
            { class: "tag" },
            el("input", {
              type: "checkbox",
              checked: chosen.includes(value),
              data: { focus: `${facet.name} ${value}` },
              on: {
                change: () => {
                  const now = this.app.place.filters.find((one) => one.field === facet.name)?.any ?? [];
                  const any = now.includes(value) ? now.filter((one) => one !== value) : [...now, value];
                  this.set(facet.name, any.length ? { field: facet.name, any } : null);
                },
              },
            }),
            el("span", {}, String(value), " ", el("small", { text: String(count) })),
          ),
        ),
      ),
    ];
  }

  /** @param {Facet} facet @param {Condition|undefined} set */
  words(facet, set) {
    return [
      el("input", {
        type: "text",
        value: set?.contains ?? "",
        placeholder: `contains, such as ${String(facet.values?.[0]?.value ?? "").slice(0, 24)}`,
        "aria-label": `${facet.name} contains`,
        data: { focus: `${facet.name} contains` },
        on: {
          change: (/** @type {Event} */ event) => {
            const contains = /** @type {HTMLInputElement} */ (event.target).value.trim();
            this.set(facet.name, contains ? { field: facet.name, contains } : null);
          },
        },
      }),
    ];
  }

  /** @param {string} field @param {Condition|null} condition */
  set(field, condition) {
    const others = this.app.place.filters.filter((one) => one.field !== field);
    this.app.go({ ...this.app.place, filters: condition ? [...others, condition] : others });
    say(condition ? `Filter on ${field} set` : `Filter on ${field} removed`);
  }
}

/** A number; a whole one that JavaScript cannot hold as its digits. @param {string} said */
function numberOf(said) {
  return /^-?\d+$/.test(said) && !Number.isSafeInteger(Number(said)) ? said : Number(said);
}
