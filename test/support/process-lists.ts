/** What `ps` would have shown of this computer and of every machine on it: their processes are this kernel's. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Most commands that Meshlift runs on a machine live longer. */
const EVERY_MS = 20;

/** Looks again and again until it is stopped; answers each command line that was seen, once. */
export function watchProcesses(): { readonly stop: () => Promise<readonly string[]> } {
  const seen = new Set<string>();
  const stopped = new AbortController();
  const watching = (async () => {
    while (!stopped.signal.aborted) {
      const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
      // One that has ended meanwhile has none.
      const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
      for (const line of lines) seen.add(line.replaceAll('\0', ' '));
      await delay(EVERY_MS);
    }
  })();
  return {
    stop: async () => {
      stopped.abort();
      await watching;
      return [...seen];
    },
  };
}
