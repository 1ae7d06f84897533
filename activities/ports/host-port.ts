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

/**
 * An established TCP connection of the machine with another host; those of sshd are left out. The port that only this connection
 * has is left out as well, so that many connections of one caller count once.
 */
export interface Connection {
  /** Inbound: `address:port` that was called, an IPv6 address in brackets. Outbound: the machine's address alone. */
  readonly local: string;
  /** Inbound: the caller's address alone. Outbound: `address:port` that is called. */
  readonly remote: string;
  readonly direction: 'inbound' | 'outbound';
  /** Name of the process on the machine: `envoy` where the proxy holds the connection. */
  readonly process?: string;
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
  /** RFC 3339, the worker's clock at that moment: of the time that the inspection took, what is nearest to `machineTime`. */
  readonly workerTime: string;
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
    /** What its listeners do; absent where it could not be or was not asked. */
    readonly policy?: {
      /** Ports on which plaintext is taken; `*`: every port that none is said of. */
      readonly plaintextPorts: readonly string[];
      /** Destinations that the registry does not know are let through. */
      readonly reachesAnything: boolean;
      /** The AuthorizationPolicies that judge inbound calls, `namespace/name`. */
      readonly authorizations: readonly string[];
    };
    /** `address:port` of destinations that the registry does not know and that are called now; absent where it could not be asked. */
    readonly passthrough?: readonly string[];
    /** Requests and TCP connections that came in plaintext since it started; absent where the mesh has none of Istio's metrics. */
    readonly plaintextServed?: number;
  };
  /** Whether the redirection rules of istio-iptables stand in nat, legacy or nf_tables. */
  readonly isCaptured: boolean;
  /** `/var/lib/meshlift/hold` is there: a drained or half-changed machine does not rejoin by itself. */
  readonly isHeld: boolean;
  /** The flag file `/var/lib/meshlift/enforce` is there. */
  readonly isEnforced: boolean;
  /** Inbound ports that are kept from capture by `/var/lib/meshlift/exclude-ports`. */
  readonly excludedPorts: readonly number[];
  /** Processes of an Envoy or pilot-agent outside of containers, e.g. `envoy`. */
  readonly proxyProcesses: readonly string[];
  /** Rules outside of Istio's chains that redirect (REDIRECT, TPROXY, DNAT), as iptables-save or nft prints them; at most 20. */
  readonly redirects: readonly string[];
  readonly interfaces: readonly string[];
  readonly listening: readonly { readonly address: string; readonly port: number; readonly process?: string }[];
  /** Every port sshd really listens on. */
  readonly sshdPorts: readonly number[];
  /** Ports on which the server speaks first, e.g. a database's; empty unless the inspection was told to find out. */
  readonly serverFirstPorts: readonly number[];
  /** At most 200. */
  readonly connections: readonly Connection[];
  /**
   * TCP connections of the last minutes, open or ended, by connection tracking; a redirected one has the port that was called. At most
   * 500; empty where the kernel shows none.
   */
  readonly flows: readonly Connection[];
  /** What the inspection was told to connect to, and whether it could. */
  readonly targets: readonly { readonly target: string; readonly isReachable: boolean }[];
  readonly resolver: {
    readonly nameservers: readonly string[];
    /** Resolvers that run on the machine. */
    readonly services: readonly ('systemd-resolved' | 'dnsmasq' | 'consul')[];
    /** What is asked for a host's name, in its order, e.g. `files`, `dns`: from /etc/nsswitch.conf. */
    readonly sources: readonly string[];
  };
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
    /** `namespace/name` of the machine whose changes these are. */
    readonly owner?: string;
    /** A dead-man timer is armed and waits for a confirmation. */
    readonly deadManArmed: boolean;
  };
}

/** What an inspection finds out by connecting; it adds up to a second, and applications see a connection that says nothing. */
export interface Probes {
  /** Connect to each listening port, to see which server speaks first, and tell whom the machine talks to. */
  readonly serverFirst?: boolean;
  /** Tell what the proxy's listeners do; told with `serverFirst` in any case. */
  readonly policy?: boolean;
  /**
   * Tell who called within the last minutes, and nothing else: of the facts the addresses, ports, connections and flows alone are read.
   * `serverFirst` tells it beside all others.
   */
  readonly callers?: boolean;
  /** `address:port` of others that the machine must reach. */
  readonly targets?: readonly string[];
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
   * Sets or removes the flag of an enforced machine and the list of ports that are never redirected, then redirects anew; the proxy
   * runs on. Arms the dead-man timer as `StartProxy` does, which here puts back flag and list; 0: nobody is to confirm.
   */
  | {
      readonly kind: 'SetEnforcement';
      readonly mode: 'observe' | 'enforce';
      readonly excludePorts: readonly number[];
      readonly deadManSeconds: number;
    }
  /**
   * Disarms the dead-man timer and enables the unit; sent over a new connection, which proves that SSH still works. Where
   * something that answered on the machine before does not any more, everything is put back at once: `CaptureBrokeTraffic`.
   */
  | { readonly kind: 'ConfirmCapture' }
  /** Capture off first, then stop and disable the unit: plaintext callers never notice. */
  | { readonly kind: 'StopProxy' }
  /** The hold file: with it the unit starts only where Meshlift itself says so, also after a reboot. `by` is the operation. */
  | { readonly kind: 'Hold'; readonly by: string }
  /** Takes hold file and start file away. */
  | { readonly kind: 'ReleaseHold' }
  /** Stops redirecting, so that plaintext callers reach the application by themselves; connections that are open go on. */
  | { readonly kind: 'StopCapture' }
  /** Redirects again; `ProxyNotReady` where the proxy does not answer. */
  | { readonly kind: 'StartCapture' }
  /** Asks the proxy to let go of its clients; it can not be taken back without a restart, and makes the next stop immediate. */
  | { readonly kind: 'DrainProxy' }
  /**
   * Restarts the unit, or starts one that is down, also where the machine is held. The InvocationID is recorded before: a retry that
   * finds a newer one waits for that. `ProxyNotReady` past `readySeconds`.
   */
  | { readonly kind: 'RestartProxy'; readonly readySeconds: number }
  /** Replays the journal backwards until the machine is as found, then removes the journal. */
  | { readonly kind: 'Restore' };

/** Where a host is, and which keys it may show: looked up before anything is sent. */
export interface Located {
  /** The address that is connected to. */
  readonly ip: string;
  /** Fingerprints of the keys that the request pins; empty where it trusts on first use. */
  readonly hostKeys: readonly string[];
}
type Endpoint = Omit<Host, 'jump'>;

/** A host with its address looked up: every connection goes to that address, whatever its name says by then. */
export type LocatedHost = Endpoint & Located & { readonly jump?: Endpoint & Located };

export interface HostApply {
  /** Operation id: together with `step` it names this exec in the journal. */
  readonly operation: string;
  /** Sequence of the machine's operation; lower than the journal's is refused with `FenceTooLow`. */
  readonly fence: number;
  readonly step: string;
  /** `namespace/name` of the machine: a host that another one owns is refused with `HostTaken`. */
  readonly owner?: string;
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
  /** How long the restart of the proxy left the machine without one. */
  readonly gapMs?: number;
}

/** What a machine's proxy serves, watched for about a second. */
export interface Traffic {
  /** The proxy's admin port answers. */
  readonly isProxyUp: boolean;
  /** Requests and connections to the machine that the proxy serves now. */
  readonly active: number;
  /** Requests and connections to the machine that came meanwhile, from whomever. */
  readonly came: number;
  /** Those of them that came over mTLS; absent where the proxy has none of Istio's own metrics. */
  readonly cameOverMtls?: number;
  /** Addresses of callers that sent something to the proxy meanwhile. */
  readonly senders: readonly string[];
  /** Calls by the machine that failed since the proxy started. */
  readonly outboundFailed: number;
}

/** Plain HTTP: the proxy adds mTLS. */
export interface MeshCall {
  /** A name that the machine resolves. */
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Failure types: `HostUnreachable`, `HostKeyMismatch`, `HostAuthRejected`, `CredentialMissing`, `SudoRefused`, `HostCommandFailed`,
 * `FenceTooLow`, `HostTaken`, `HostBusy`, `HostDiskFull`, `ProxyNotReady`, `CaptureBrokeTraffic`.
 */
export interface HostPort {
  /** Looks up the addresses of host and jump host; connects to nothing. */
  locate(host: Host): Promise<LocatedHost>;
  /** Reads everything Meshlift knows of a machine in one exec; writes nothing. `paths` are the files to digest. */
  inspect(host: LocatedHost, paths: readonly string[], signal: AbortSignal, probes?: Probes): Promise<MachineFacts>;
  /** One exec under the machine's lock; idempotent, and a retry returns the recorded result. */
  apply(host: LocatedHost, apply: HostApply, signal: AbortSignal): Promise<HostApplyResult>;
  /** Watches for about a second what the proxy serves; writes nothing. */
  watchTraffic(host: LocatedHost, signal: AbortSignal): Promise<Traffic>;
  /** The metrics of the machine's proxy, in Prometheus' text form; empty where none runs. */
  readProxyMetrics(host: LocatedHost, signal: AbortSignal): Promise<string>;
  /** So many GETs in turn from the machine through its proxy, as its applications would make them; answers with their statuses. */
  callFrom(host: LocatedHost, call: MeshCall, times: number, signal: AbortSignal): Promise<readonly number[]>;
  /** The host key's fingerprint as first seen, for trust on first use; authenticates nothing. */
  readHostKey(host: LocatedHost, signal: AbortSignal): Promise<string>;
}

/** What a login is proven with. Never leaves the activity. */
export type SshCredential = (
  | { readonly privateKey: string }
  /** Socket of an SSH agent that holds the key. */
  | { readonly agent: string }
) & {
  /** Where it is from, for messages; absent: the Secret that the host names. */
  readonly source?: string;
};
