/** Storing files in a collection: how far it is, and what became of each. */

import { api } from "./api.js";
import { el, say } from "./element.js";
import { icon } from "./icons.js";
import { megabytes } from "./pictures.js";
import { Problem } from "./problem.js";

/** @typedef {import("./app.js").App} App */

const AT_ONCE = 3;
const TRIES = 4;
const TEXT = /\.(txt|md)$/i;

export class Upload {
  /** @param {App} app @param {() => void} stored called when all is done */
  constructor(app, stored) {
    this.app = app;
    this.stored = stored;
    this.collection = app.place.collection;
    /** @type {File[]} */
    this.waiting = [];
    this.running = 0;
    this.counts = { added: 0, updated: 0, refused: 0 };
    this.size = 0;
    /** @type {Map<File, number>} */
    this.sent = new Map();
    this.input = el("input", {
      type: "file",
      id: "uploadfile",
      class: "unseen",
      multiple: true,
      accept: "image/*,.txt,.md,text/plain",
      tabindex: -1,
      "aria-label": "Files to store",
      on: {
        change: () => {
          this.take([...this.input.files]);
          this.input.value = "";
        },
      },
    });
    this.bar = el("progress", { max: 1, value: 0, "aria-label": "Upload" });
    this.summary = el("p", {
      class: "muted",
      id: "uploadsummary",
      text: "Pictures, and texts as .txt or .md. They are found by the next search.",
    });
    this.list = el("ul", { class: "outcomes", "aria-label": "What became of each file" });
    this.element = el(
      "div",
      { class: "upload" },
      el(
        "button",
        { type: "button", class: "dropzone", on: { click: () => this.input.click() } },
        icon("upload"),
        el("strong", { text: "Choose files, or drop them here" }),
        el("span", { class: "muted", text: `at most ${Math.floor(app.me.max_body / 1e6)} MB each` }),
      ),
      this.input,
      this.bar,
      this.summary,
      this.list,
    );
    this.bar.hidden = true;
  }

  /** @param {File[]} files */
  take(files) {
    if (files.length === 0) return;
    this.waiting.push(...files);
    this.size += files.reduce((sum, file) => sum + file.size, 0);
    this.bar.hidden = false;
    this.tell();
    while (this.running < AT_ONCE && this.waiting.length) this.work();
  }

  async work() {
    this.running += 1;
    for (let file = this.waiting.shift(); file; file = this.waiting.shift()) {
      const row = el(
        "li",
        {},
        el("span", { class: "name", text: file.name }),
        el("span", { class: "outcome muted", text: "…" }),
      );
      this.list.prepend(row);
      await this.one(file, row);
      this.sent.set(file, file.size);
      this.tell();
    }
    this.running -= 1;
    if (this.running === 0) this.finished();
  }

  /** @param {File} file @param {HTMLElement} row */
  async one(file, row) {
    try {
      const text = TEXT.test(file.name) || file.type === "text/plain";
      const metadata = { file: file.name };
      if (file.size > this.app.me.max_body)
        throw new Problem({
          code: "body_too_large",
          detail: `it has ${megabytes(file.size)}: expected at most ${megabytes(this.app.me.max_body)}`,
          remedy: "Scale it down first.",
        });
      const item = text ? { text: await file.text(), metadata } : { image: "upload:file", metadata };
      const {
        items: [outcome],
      } = await this.patiently(item, text ? null : file, file);
      this.outcome(row, outcome.status, outcome.status === "added" ? "stored" : "was there already");
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem({ code: "page", detail: String(error) });
      this.outcome(row, "refused", `${problem.detail}${problem.remedy ? `. ${problem.remedy}` : ""}`);
    }
  }

  /** Asks again where the service is busy. @param {any} item @param {File|null} file @param {File} whole */
  async patiently(item, file, whole) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await api.store(this.collection, item, file, (bytes) => {
          this.sent.set(whole, Math.min(bytes, whole.size));
          this.tell();
        });
      } catch (error) {
        const busy = error instanceof Problem && (error.status === 503 || error.status === 429);
        if (!busy || tries === TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(1, error.after)));
      }
    }
  }

  /** @param {HTMLElement} row @param {"added"|"updated"|"refused"} status @param {string} text */
  outcome(row, status, text) {
    this.counts[status] += 1;
    row.className = status;
    /** @type {HTMLElement} */ (row.querySelector(".outcome")).textContent = text;
  }

  tell() {
    const sent = [...this.sent.values()].reduce((sum, bytes) => sum + bytes, 0);
    this.bar.value = this.size ? sent / this.size : 0;
    const { added, updated, refused } = this.counts;
    const left = this.waiting.length + this.running;
    const done = [
      [added, "stored"],
      [updated, "there already"],
      [refused, "refused"],
    ]
      .filter(([count]) => count)
      .map(([count, what]) => `${count} ${what}`);
    this.summary.textContent = left
      ? `${left} to go${done.length ? `; ${done.join(", ")}` : ""}`
      : `Done: ${done.join(", ")}.`;
  }

  finished() {
    this.tell();
    say(`Upload done. ${this.summary.textContent}`);
    if (this.counts.added + this.counts.updated) this.stored();
  }
}
