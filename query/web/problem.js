/** What went wrong, as the service's problem documents (RFC 9457) say it, or as the network failed. */

export class Problem extends Error {
  /**
   * @param {{status?: number, code: string, detail: string, title?: string, remedy?: string, field?: string,
   *   request_id?: string}} said
   * @param {number} [after] seconds to wait, of Retry-After
   */
  constructor(said, after = 0) {
    super(said.detail);
    this.status = said.status ?? 0;
    this.code = said.code;
    this.detail = said.detail;
    this.title = said.title ?? "";
    this.remedy = said.remedy ?? "";
    this.field = said.field ?? "";
    this.requestId = said.request_id ?? "";
    this.after = after;
  }

  /** Whether the network, not the service, failed. */
  get offline() {
    return this.code === "offline";
  }

  /** Whether a key is missing or wrong. */
  get wantsKey() {
    return this.status === 401 || this.code === "too_many_wrong_keys";
  }

  /** The service cannot be reached. */
  static offline() {
    return new Problem({
      code: "offline",
      detail: navigator.onLine ? "The service does not answer." : "This device is offline.",
      remedy: "Your query is kept. Try again once the connection is back.",
    });
  }

  /**
   * What an answer that is not a success says.
   * @param {{status: number, text: string, header: (name: string) => string | null}} answer
   */
  static of({ status, text, header }) {
    const after = Number(header("Retry-After")) || 0;
    try {
      const said = JSON.parse(text);
      if (typeof said.detail === "string")
        return new Problem({ request_id: header("X-Request-Id") ?? undefined, ...said }, after);
    } catch {
      // a proxy's page, or nothing
    }
    return new Problem(
      {
        status,
        code: "http_error",
        detail: `The service answered ${status}, and did not say why.`,
        remedy: "Try again. If it keeps failing, give the administrator the request id.",
        request_id: header("X-Request-Id") ?? undefined,
      },
      after,
    );
  }
}
