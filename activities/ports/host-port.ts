/**
 * What Meshlift does on a machine: one connection per call, host key verified before anything is sent, two calls for
 * nearly everything (design 4). Plain data only.
 */
import type { Host } from '../../api/schemas/machine.ts';

/** A file on the machine as inspect found it; absent paths are left out. */
export interface FoundFile {
  readonly path: string;
  /** Four octal digits, e.g. `0600`. */
  readonly mode: string;
  /** `user:group` by name. */
  readonly owner: string;
  readonly sha256: string;
  /** Of a PEM file, the base64 text of each certificate without line breaks; absent for other files. */
  readonly certificates?: readonly string[];
}

export interface MachineFacts {
  /** `SHA256:...` of the host key this connection verified. */
  readonly hostKeyFingerprint: string;
  /** `hostname -s`. */
  readonly hostname: string;
  /** Whether the machine resolves its own hostname without asking a DNS server; else sudo stalls the proxy's start. */
  readonly resolvesOwnHostname: boolean;
  readonly os: { readonly id: string; readonly versionId: string; readonly prettyName: string };
  /** Debian's name: `amd64`, `arm64`, else what `uname -m` said. */
  readonly architecture: string;
  readonly packageFormat: 'deb' | 'rpm' | 'unknown';
  readonly hasSystemd: boolean;
  /** Needed tools that are missing, e.g. `iptables`. */
  readonly missingTools: readonly string[];
  /** RFC 3339, the machine's clock at the time of the inspection. */
  readonly machineTime: string;
  /** IP addresses of the machine, loopback and link-local left out, in the order of `hostname -I`. */
  readonly addresses: readonly string[];
  /** The one by which it is reached where that is its own, else its first, as Istio's start script would take. */
  readonly ownAddress: string;
  /** What its proxy registers with by the files that Meshlift wrote there; absent where it wrote none. */
  readonly registeredAddress?: string;
  /** Installed version of the package `istio-sidecar`, absent when it is not installed. */
  readonly installedVersion?: string;
  readonly files: readonly FoundFile[];
  /** Lines of Meshlift's marked block in /etc/hosts, markers left out; absent where there is no block. */
  readonly hostsBlock?: readonly string[];
  readonly unit: {
    readonly exists: boolean;
    /** systemd's ActiveState. */
    readonly activeState: string;
    readonly enabled: boolean;
    /** Changes with every start of the unit. */
    readonly invocationId?: string;
  };
  readonly proxy: {
    /** 15021 answers 200. */
    readonly ready: boolean;
    /** Version of the running proxy (its node metadata), absent when none runs. */
    readonly runningVersion?: string;
    readonly certificateExpiresAt?: string;
    readonly spiffeId?: string;
  };
  /** Whether the redirection rules of istio-iptables stand in nat, legacy or nf_tables. */
  readonly isCaptured: boolean;
  readonly listening: readonly { readonly address: string; readonly port: number; readonly process?: string }[];
  /** Every port sshd really listens on. */
  readonly sshdPorts: readonly number[];
  readonly resolver: { readonly nameservers: readonly string[] };
  readonly freeBytes: number;
  readonly journal: {
    /** Highest fence ever accepted, 0 where there is no journal. */
    readonly fence: number;
    /** Steps recorded, oldest first. */
    readonly steps: readonly {
      readonly operation: string;
      readonly step: string;
      readonly result: 'started' | 'done';
    }[];
    /** Entries that `restore` would undo. */
    readonly entries: number;
    /** A dead-man timer is armed and waits for a confirmation. */
    readonly deadManArmed: boolean;
  };
}

/** One change on the machine; each is read, compared, recorded in the journal, and written only when it differs. */
export type HostChange =
  | {
      readonly kind: 'InstallPackage';
      readonly name: string;
      readonly version: string;
      readonly sha256: string;
      /** Path of the package file beside the worker; it travels in the tar. */
      readonly localPath: string;
    }
  | {
      readonly kind: 'WriteFile';
      readonly path: string;
      /** Four octal digits. */
      readonly mode: string;
      /** `user:group`. */
      readonly owner: string;
      readonly content: string;
      /** `certificateSet`: root-cert.pem has two writers, so content counts as there when every certificate of it is. */
      readonly compare?: 'bytes' | 'certificateSet';
    }
  /** The marked block in /etc/hosts. */
  | { readonly kind: 'WriteHostsBlock'; readonly lines: readonly string[] }
  /**
   * Starts the unit; its drop-in captures traffic once 15021 answers. Arms the dead-man timer first: without `ConfirmCapture`
   * within `deadManSeconds` the machine goes back to what stood before. Changes nothing where the unit runs captured.
   */
  | {
      readonly kind: 'StartProxy';
      readonly deadManSeconds: number;
      /** How long the proxy may take until 15021 answers; default 150. Past it everything is put back at once: `ProxyNotReady`. */
      readonly readySeconds?: number;
    }
  /**
   * Disarms the dead-man timer and enables the unit; sent over a new connection, which proves that SSH still works. Where
   * something that answered on the machine before does not any more, everything is put back at once: `CaptureBrokeTraffic`.
   */
  | { readonly kind: 'ConfirmCapture' }
  /** Capture off first, then stop and disable the unit: plaintext callers never notice. */
  | { readonly kind: 'StopProxy' }
  /** Replays the journal backwards until the machine is as found, then removes the journal. */
  | { readonly kind: 'Restore' };

export interface HostApply {
  /** Operation id: together with `step` it names this exec in the journal. */
  readonly operation: string;
  /** Sequence of the machine's operation; lower than the journal's is refused with `FenceTooLow`. */
  readonly fence: number;
  readonly step: string;
  readonly changes: readonly HostChange[];
  /** Runs even where the journal holds this step's result: what it writes is made anew by each attempt, e.g. a token. */
  readonly rewrite?: boolean;
}

export interface HostApplyResult {
  /** What was changed, in order: the kind and its object, e.g. `WriteFile /etc/certs/root-cert.pem`. Empty: all was there. */
  readonly changed: readonly string[];
  /** True when the journal already held this step's result, written by an earlier attempt. */
  readonly recorded: boolean;
  /** InvocationID of the unit after the step, where it runs. */
  readonly invocationId?: string;
}

/**
 * Failure types: `HostUnreachable`, `HostKeyMismatch`, `HostAuthRejected`, `CredentialMissing`, `SudoRefused`, `HostCommandFailed`,
 * `FenceTooLow`, `HostBusy`, `HostDiskFull`, `ProxyNotReady`, `CaptureBrokeTraffic`.
 */
export interface HostPort {
  /** Reads everything Meshlift knows of a machine in one exec; writes nothing. `paths` are the files to digest. */
  inspect(host: Host, paths: readonly string[], signal: AbortSignal): Promise<MachineFacts>;
  /** One exec under the machine's lock; idempotent, and a retry returns the recorded result. */
  apply(host: Host, apply: HostApply, signal: AbortSignal): Promise<HostApplyResult>;
  /** The host key's fingerprint as first seen, for trust on first use; authenticates nothing. */
  readHostKey(host: Host, signal: AbortSignal): Promise<string>;
}

/** Private key of a login, as the Secret named by `credentialsName` holds it. Never leaves the activity. */
export interface SshCredential {
  readonly privateKey: string;
}
