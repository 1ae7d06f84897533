export interface Host {
  readonly platform: string;
  readonly architecture: string;
  readonly userId: number;
  /** Text of `go version`; `undefined` when there is no Go. */
  readonly goVersion: string | undefined;
  /** Commands of the host that the sandbox calls and that are not there. */
  readonly missingCommands: readonly string[];
  readonly hasPip: boolean;
  readonly freeBytes: { readonly cache: number; readonly run: number };
  readonly hasOverlay: boolean;
  /** Whether packets between ports of one bridge pass iptables, as Services need it. */
  readonly hasBridgeFilter: boolean;
}

export const RUN: string;
export const CACHE: string;
export const rootNeeded: string;
export function faultsOf(host: Host, isBuilt: boolean): string[];
export function preflight(): void;
