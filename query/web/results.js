/** The hits of a query, page by page of one version: none twice, and only ever those of the last query. */

import { api } from "./api.js";
import { PAGE, composed, inWords, request } from "./request.js";
import { card } from "./card.js";
import { compared } from "./compare.js";
import { byId, el, focusOn, refill, say } from "./element.js";
import { remember } from "./pictures.js";
import { Problem } from "./problem.js";
import { failure, nothing } from "./states.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./place.js").Place} Place
 * @typedef {import("./request.js").Request & {place: Place, version: number, offset: number}} Current
 */

export class Results {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.pending = new AbortController();
    this.seen = new Set();
    /** @type {AbortSignal|null} */
    this.loading = null;
    /** @type {Current} */
    this.current = { place: app.place, query: {}, files: new Map(), sent: [], version: 0, offset: 0 };
    this.watch = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && this.more(), {
      rootMargin: "600px",
    });
  }

  /** Ends the pending request; whatever still comes is not shown. */
  abort() {
    this.pending.abort();
    this.watch.disconnect();
    this.pending = new AbortController();
    return this.pending.signal;
  }

  /** Searches. @param {import("./place.js").Place} place */
  async run(place) {
    const signal = this.abort();
    this.frame(place);
    this.body.setAttribute("aria-busy", "true");
    this.app.chips.blame(-1);
    if (this.grid.childElementCount === 0 || !this.grid.isConnected) {
      this.grid = el("ul", { class: "grid", "aria-label": "Results" }, ...bones(PAGE / 2));
      this.body.replaceChildren(this.grid);
    }
    /** @type {import("./request.js").Request|null} */
    let made = null;
    try {
      made = await request(place);
      if (signal.aborted) return;
      const result = await api.search(place.collection, made.query, made.files, signal);
      if (signal.aborted) return;
      this.first(place, made, result);
    } catch (error) {
      if (signal.aborted) return;
      this.failed(error, place, made?.sent ?? []);
    }
  }

  /** The place that hits go to; for a composed query beside its reference. @param {import("./place.js").Place} place */
  frame(place) {
    const main = byId("main");
    const side = composed(place) && place.chain.length > 0 ? compared(this.app, place) : null;
    if (!this.body?.isConnected) {
      this.grid = el("ul", { class: "grid" });
      this.body = el("section", { class: "hits", "aria-label": "Results" }, this.grid);
      this.side = el("aside", { class: "side", "aria-label": "Reference and edits" });
      main.replaceChildren(el("div", { class: "found" }, this.side, this.body));
    }
    const found = /** @type {HTMLElement} */ (this.body.parentElement);
    found.classList.toggle("beside", side !== null);
    this.side.hidden = side === null;
    refill(this.side, side);
  }

  /**
   * The first page.
   * @param {Place} place
   * @param {import("./request.js").Request} sent
   * @param {import("./api.js").Result} result
   */
  first(place, sent, result) {
    this.current = { place, ...sent, version: result.version, offset: 0 };
    this.seen = new Set();
    this.body.removeAttribute("aria-busy");
    this.app.switches.report(result, place);
    document.title = `${inWords(place)} – Oneword`;
    if (result.hits.length === 0) {
      this.grid = el("ul", { class: "grid" });
      this.body.replaceChildren(nothing(this.app, place));
      return say("No results");
    }
    this.grid = el("ol", { class: "grid", "aria-label": "Results, best first" });
    const known = result.hits.some((hit) => hit.confidence !== undefined);
    const alike = place.parts.some((part) => part.kind === "like"); // a search by items is for the nearest
    const fits = !known || alike || result.hits.some(fitting);
    this.end = el("div", { class: "end" });
    const active = document.activeElement;
    const focus = active instanceof HTMLElement && this.body.contains(active) ? active.dataset.focus : undefined;
    this.body.replaceChildren(
      el("h2", { class: "unseen", text: `Results for ${inWords(place)}` }),
      ...(fits
        ? [this.grid, this.end]
        : [
            el("p", { class: "notice", text: "Nothing fits well: queries for other things score as high here." }),
            el("details", {}, el("summary", { text: "Show the nearest" }), this.grid, this.end),
          ]),
    );
    this.take(result);
    if (focus) focusOn(this.body, focus);
    if (scrollY > this.body.getBoundingClientRect().top + scrollY) scrollTo({ top: 0 });
    say(
      `${result.hits.length}${result.total ? ` of ${result.total}` : ""} results for ${inWords(place)}, ` +
        `the first is ${spoken(result.hits[0])}`,
    );
  }

  /** @param {import("./api.js").Result} result */
  take(result) {
    for (const hit of result.hits) {
      if (this.seen.has(hit.id)) continue;
      this.seen.add(hit.id);
      remember(this.current.place.collection, hit);
      this.grid.append(card(this.app, hit));
    }
    this.current.offset += result.hits.length;
    const all = result.hits.length < PAGE || this.current.offset === result.total;
    this.watch.disconnect();
    if (all)
      return this.end.replaceChildren(
        el("p", { class: "muted", text: this.seen.size > PAGE ? `That is all: ${this.seen.size} results.` : "" }),
      );
    this.end.replaceChildren(
      el("button", { type: "button", class: "quiet", text: "Show more", on: { click: () => this.more() } }),
    );
    this.watch.observe(this.end);
  }

  /** The next page, of the version of the first. */
  async more() {
    this.watch.disconnect();
    const { signal } = this.pending;
    if (this.loading === signal) return;
    this.loading = signal;
    const { place, query, files, version, offset } = this.current;
    const waiting = bones(4);
    this.grid.append(...waiting);
    try {
      const result = await api.search(place.collection, { ...query, offset, version }, files, signal);
      if (signal.aborted) return;
      for (const one of waiting) one.remove();
      this.take(result);
    } catch (error) {
      if (signal.aborted) return;
      for (const one of waiting) one.remove();
      this.end.replaceChildren(this.unfinished(error, place));
    } finally {
      if (this.loading === signal) this.loading = null;
    }
  }

  /** @param {unknown} error @param {import("./place.js").Place} place */
  unfinished(error, place) {
    const gone = error instanceof Problem && error.code === "version_gone";
    const text = gone
      ? "The collection has changed since these were found."
      : `The next results could not be had: ${/** @type {Error} */ (error).message}`;
    return el(
      "p",
      { class: "notice", role: "alert" },
      `${text} `,
      el("button", {
        type: "button",
        class: "quiet",
        text: gone ? "Search again" : "Try again",
        on: { click: () => (gone ? this.run(place) : this.more()) },
      }),
    );
  }

  /** @param {unknown} error @param {Place} place @param {(number|number[])[]} sent */
  failed(error, place, sent) {
    if (error instanceof Problem && error.wantsKey) return this.app.failed(error);
    this.app.lost = error instanceof Problem && error.offline;
    this.body.removeAttribute("aria-busy");
    this.app.switches.report(null, place);
    this.grid = el("ul", { class: "grid" });
    const at = error instanceof Problem ? partOf(error, sent) : -1;
    this.app.chips.blame(at);
    const without = at < 0 ? null : () => this.app.chips.removed(at);
    this.body.replaceChildren(failure(error, () => this.run(this.app.place), without));
  }
}

/**
 * Which of the place's parts an error is about, or -1.
 * @param {Problem} problem
 * @param {(number|number[])[]} sent which of them each part of the request was made of
 */
function partOf(problem, sent) {
  const found = /^parts\[(\d+)\](?:\.composed\[(\d+)\])?/.exec(problem.field);
  const part = found ? sent[Number(found[1])] : undefined;
  return (Array.isArray(part) ? part[Number(found?.[2])] : part) ?? -1;
}

/**
 * Whether it is a better hit than most queries get that nothing fits; as in `query/result.py`.
 * @param {import("./api.js").Hit} hit
 */
const fitting = (hit) => (hit.confidence ?? 0) >= 0.8;

/** What holds the place of hits that are on their way. @param {number} count */
const bones = (count) =>
  Array.from({ length: count }, () =>
    el("li", { class: "card bones", "aria-hidden": "true" }, el("div", { class: "box" }), el("div", { class: "line" })),
  );

/** @param {import("./api.js").Hit} hit */
const spoken = (hit) =>
  hit.modality === "text"
    ? `a text, ${(hit.text ?? "").slice(0, 80)}`
    : `a picture, ${(hit.uri ?? "").split("/").pop()}`;
