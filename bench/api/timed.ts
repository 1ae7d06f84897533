export interface Timed {
  /** Milliseconds from the request to the whole answer. */
  readonly tookMs: number;
  readonly answer: unknown;
}

/** One call; throws unless it is answered as expected. */
export async function timed(
  url: string,
  expected: number,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Timed> {
  const began = performance.now();
  const response = await fetch(url, {
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const tookMs = performance.now() - began;
  if (response.status !== expected) throw new Error(`${url} answered ${response.status}: ${text}`);
  return { tookMs, answer: JSON.parse(text) };
}
