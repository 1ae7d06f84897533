/** Milliseconds from the request to the whole answer. */
export async function timed(url: string, expected: number, body?: unknown, authorization?: string): Promise<number> {
  const began = performance.now();
  const response = await fetch(url, {
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(authorization === undefined ? {} : { authorization }),
    },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status !== expected) throw new Error(`${url} answered ${response.status}: ${text}`);
  return performance.now() - began;
}
