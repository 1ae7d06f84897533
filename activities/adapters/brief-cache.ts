/** Keeps answers for a short while, and at most so many; one that failed is asked for anew. */

const MOST_KEPT = 10_000;

export class BriefCache<T> {
  readonly #kept = new Map<string, { readonly until: number; readonly answer: Promise<T> }>();
  readonly #keptMs: number;

  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  /** Those who ask for the same at the same time share one call. */
  async get(key: string, ask: () => Promise<T>): Promise<T> {
    const now = performance.now();
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.until > now) return await kept.answer;
    this.#makeRoom(now);
    const answer = ask();
    const entry = { until: now + this.#keptMs, answer };
    this.#kept.delete(key);
    this.#kept.set(key, entry);
    try {
      return await answer;
    } catch (error) {
      if (this.#kept.get(key) === entry) this.#kept.delete(key);
      throw error;
    }
  }

  /** Oldest first, as they were kept. */
  #makeRoom(now: number): void {
    for (const [key, { until }] of this.#kept) {
      if (until > now && this.#kept.size < MOST_KEPT) return;
      this.#kept.delete(key);
    }
  }
}
