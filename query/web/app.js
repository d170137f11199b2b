/** The page: begins, follows the address, and shows what is asked for. */

import { written, read } from "./address.js";
import { api } from "./api.js";
import { Bar } from "./bar.js";
import { Chips } from "./chips.js";
import { CollectionPage } from "./collection.js";
import { Cropper } from "./cropper.js";
import { Detail } from "./detail.js";
import { byId, el, say } from "./element.js";
import { Filters } from "./filters.js";
import { Header } from "./header.js";
import { limit } from "./pictures.js";
import { asks, start } from "./place.js";
import { Problem } from "./problem.js";
import { Results } from "./results.js";
import { failure, keyState, noCollection, unknownCollection } from "./states.js";
import { Switches } from "./switches.js";
import { welcome } from "./welcome.js";

/** Milliseconds that a slider may rest before it is searched by. */
const REST = 150;

export class App {
  constructor() {
    /** @type {import("./api.js").Me} */
    this.me = { key: null, scope: "read", keys: false, jobs: false, fetch: false, rerank: false, max_body: 32 * 2 ** 20, version: "" };
    /** @type {import("./api.js").Short[]} */
    this.collections = [];
    this.place = read(location.hash);
    this.detail = new Detail(this);
    this.cropper = new Cropper(this);
    this.header = new Header(this);
    this.bar = new Bar(this);
    this.chips = new Chips(this);
    this.filters = new Filters(this);
    this.switches = new Switches(this);
    this.results = new Results(this);
    this.page = new CollectionPage(this);
    this.showing = new AbortController();
    addEventListener("popstate", () => {
      this.place = this.settled(read(location.hash));
      this.show();
    });
    addEventListener("online", () => this.lost && this.begin());
  }

  /** Asks the service who we are and what it has; then shows the place of the address. */
  async begin() {
    this.lost = false;
    this.header.update(this.place);
    try {
      [this.me, this.collections] = await Promise.all([api.me(), api.collections()]);
    } catch (error) {
      return this.failed(error);
    }
    limit(this.me.max_body);
    this.place = this.settled(read(location.hash));
    this.show();
  }

  /** A place without a collection is in the first that has something. @param {import("./place.js").Place} place */
  settled(place) {
    if (place.collection || this.collections.length === 0) return place;
    const first =
      this.collections.find((one) => one.name === "default") ??
      this.collections.find((one) => one.items > 0) ??
      this.collections[0];
    return { ...place, collection: first.name };
  }

  /**
   * Goes to a place. replace: without a step to come back to; soon: searched by once it rests.
   * @param {import("./place.js").Place} place
   * @param {{replace?: boolean, soon?: boolean}} [how]
   */
  go(place, { replace = false, soon = false } = {}) {
    place = this.settled(place);
    const address = written(place);
    if (address === written(this.place) && location.hash === address) replace = true;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    this.place = place;
    clearTimeout(this.resting);
    if (!soon) return this.show();
    this.controls();
    this.resting = setTimeout(() => this.show(), REST);
  }

  /** Goes to a place where a picture's edit is to be said. @param {import("./place.js").Place} place */
  edit(place) {
    this.go(place);
    this.chips.focusEdit();
    scrollTo({ top: 0 });
  }

  /** Another collection, with the words of the query. @param {string} name */
  visit(name) {
    const { page, parts, ranking, modality, joined, rerank, folded } = this.place;
    const kept = parts.filter(
      (part) => part.kind === "text" || (part.kind === "picture" && part.source.from !== "hit"),
    );
    this.go({ ...start(name), page, ranking, modality, joined, rerank, folded, parts: kept });
  }

  controls() {
    this.header.update(this.place);
    this.bar.update(this.place);
    this.chips.update(this.place);
    this.switches.update(this.place);
    this.filters.update(this.place);
  }

  show() {
    clearTimeout(this.resting);
    this.showing.abort();
    this.showing = new AbortController();
    const { signal } = this.showing;
    const { place } = this;
    const known = this.collections.find((one) => one.name === place.collection);
    const idle = place.page === "search" && !asks(place);
    byId("query").hidden = place.page === "collection" || !known;
    byId("query").classList.toggle("hero", idle && place.parts.length === 0);
    byId("intro").replaceChildren(
      ...(idle && place.parts.length === 0
        ? [
            el("h2", { text: "Find by meaning" }),
            el("p", {
              class: "muted",
              text: "Type words, drop a picture, or take a picture and say what should be different.",
            }),
          ]
        : []),
    );
    this.controls();
    if (place.page === "collection" || idle || !known) {
      this.results.abort();
      this.switches.report(null, place);
    }
    document.title = "Oneword";
    if (this.collections.length === 0) return byId("main").replaceChildren(noCollection(this));
    if (!known) return byId("main").replaceChildren(unknownCollection(this, place.collection));
    if (place.page === "collection") return void this.page.show(place.collection, signal);
    if (!idle) return void this.results.run(place);
    welcome(this, signal).catch((error) => signal.aborted || this.failed(error));
  }

  /** Files dropped on a collection's page. @param {File[]} files */
  store(files) {
    if (this.me.scope === "read") say("Your key may not write to this collection.");
    else this.page.upload?.take(files);
  }

  /** Collections have other counts now. */
  async recount() {
    this.collections = await api.collections().catch(() => this.collections);
  }

  /** Shows an error where results would be. @param {unknown} error */
  failed(error) {
    this.results.abort();
    if (error instanceof Problem && error.wantsKey) {
      byId("query").hidden = true;
      this.collections = [];
      this.header.update(this.place);
      byId("main").replaceChildren(keyState(this, error));
      return document.getElementById("key")?.focus();
    }
    this.lost = error instanceof Problem && error.offline;
    byId("main").replaceChildren(failure(error, () => this.begin()));
  }
}

new App().begin();
