/** Connections that one step of an operation left open for the next, which mostly follows at once. */
import type { SshConnection } from './ssh-connection.ts';

/** Longer than the way from one step to the next; a step that comes later connects anew. */
const KEPT_MS = 2_000;

export class KeptConnections {
  readonly #kept = new Map<string, { readonly connection: SshConnection; readonly timer: NodeJS.Timeout }>();

  /** The connection that was kept under this name and is still open, now bound to this signal and nobody else's. */
  take(name: string, signal: AbortSignal): SshConnection | undefined {
    const kept = this.#kept.get(name);
    if (kept === undefined) return undefined;
    this.#kept.delete(name);
    clearTimeout(kept.timer);
    if (!signal.aborted && kept.connection.rebind(signal)) return kept.connection;
    kept.connection.close();
    return undefined;
  }

  keep(name: string, connection: SshConnection): void {
    this.#kept.get(name)?.connection.close();
    const timer = setTimeout(() => {
      this.#kept.delete(name);
      connection.close();
    }, KEPT_MS);
    this.#kept.set(name, { connection, timer });
  }
}
