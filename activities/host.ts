/** What is done on a machine, one activity a step: each is idempotent, heartbeats, and honours cancellation. */
import { createHash } from 'node:crypto';

import { Context } from '@temporalio/activity';

import type { Host } from '../api/schemas/machine.ts';
import type { ClusterPort } from './ports/cluster-port.ts';
import type { HostApplyResult, HostChange, HostPort, MachineFacts } from './ports/host-port.ts';
import type { PackagePort } from './ports/package-port.ts';

/** What every changing step needs: the machine, and what names this attempt in its journal. */
export interface HostStep {
  readonly host: Host;
  /** Operation id. */
  readonly operation: string;
  readonly fence: number;
}

export interface InstallPackageInput extends HostStep {
  readonly version: string;
  readonly format: 'deb' | 'rpm';
  /** Debian's name, e.g. `amd64`. */
  readonly architecture: string;
}

export interface WriteBootstrapFilesInput extends HostStep {
  readonly files: readonly Omit<Extract<HostChange, { kind: 'WriteFile' }>, 'kind'>[];
  /** Lines of the marked block in /etc/hosts; empty removes it. */
  readonly hostsLines: readonly string[];
}

export interface PlaceTokenInput extends HostStep {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly lifetimeSeconds: number;
}

export interface StartProxyInput extends HostStep {
  /** Without `confirmCapture` within this time the machine goes back to what stood before. */
  readonly deadManSeconds: number;
  /** How long 15021 may take to answer; default 150. */
  readonly readySeconds?: number;
  /** Restarts a unit that runs already, if this names its present run. */
  readonly restartIfInvocationId?: string;
}

const tokenPath = '/var/run/secrets/tokens/istio-token';
/** Heartbeat time-outs of these activities must lie well above. */
const heartbeatMs = 2_000;

/** The activities of the task queue `meshlift-hosts`. */
export function hostActivities(ports: {
  host: HostPort;
  cluster: Pick<ClusterPort, 'issueToken'>;
  packages: PackagePort;
}) {
  const apply = (
    input: HostStep,
    step: string,
    changes: readonly HostChange[],
    rewrite = false,
  ): Promise<HostApplyResult> =>
    heartbeating((signal) =>
      ports.host.apply(input.host, { operation: input.operation, fence: input.fence, step, changes, rewrite }, signal),
    );

  return {
    /** Everything that is known of a machine, in one exec; `paths` are the files to digest. Writes nothing. */
    inspectMachine: (input: { host: Host; paths: readonly string[] }): Promise<MachineFacts> =>
      heartbeating((signal) => ports.host.inspect(input.host, input.paths, signal)),

    /** Fingerprint of the host key, to pin on first use; authenticates nothing. */
    readHostKey: (input: { host: Host }): Promise<string> =>
      heartbeating((signal) => ports.host.readHostKey(input.host, signal)),

    installPackage: async (input: InstallPackageInput): Promise<HostApplyResult> => {
      const found = await heartbeating(() => ports.packages.find(input.version, input.format, input.architecture));
      return await apply(input, `installPackage-${input.version}`, [{ kind: 'InstallPackage', ...found }]);
    },

    writeBootstrapFiles: (input: WriteBootstrapFilesInput): Promise<HostApplyResult> => {
      const changes: HostChange[] = [
        ...input.files.map((file): HostChange => ({ kind: 'WriteFile', ...file })),
        { kind: 'WriteHostsBlock', lines: input.hostsLines },
      ];
      // Other files in the same operation are another step, not a retry of this one.
      const digest = createHash('sha256').update(JSON.stringify(changes)).digest('hex').slice(0, 12);
      return apply(input, `writeBootstrapFiles-${digest}`, changes);
    },

    /** Makes a token and writes it, so that it enters no history; each attempt writes its own. */
    placeToken: async (input: PlaceTokenInput): Promise<HostApplyResult & { readonly expiresAt: string }> => {
      const { token, expiresAt } = await heartbeating(() =>
        ports.cluster.issueToken(input.namespace, input.serviceAccount, input.lifetimeSeconds),
      );
      const change = {
        kind: 'WriteFile',
        path: tokenPath,
        mode: '0600',
        owner: 'istio-proxy:istio-proxy',
        content: token,
      } as const;
      return { ...(await apply(input, 'placeToken', [change], true)), expiresAt };
    },

    /** Starts the unit and returns once 15021 answers and traffic is redirected, with the dead-man timer armed. */
    startProxy: ({
      deadManSeconds,
      readySeconds,
      restartIfInvocationId,
      ...step
    }: StartProxyInput): Promise<HostApplyResult> =>
      apply(step, 'startProxy', [
        {
          kind: 'StartProxy',
          deadManSeconds,
          ...(readySeconds !== undefined && { readySeconds }),
          ...(restartIfInvocationId !== undefined && { restartIfInvocationId }),
        },
      ]),

    /** Proves over a new connection that SSH, DNS and the application still work, disarms the timer, and enables the unit. */
    confirmCapture: (input: HostStep): Promise<HostApplyResult> =>
      apply(input, 'confirmCapture', [{ kind: 'ConfirmCapture' }]),

    stopProxy: (input: HostStep): Promise<HostApplyResult> => apply(input, 'stopProxy', [{ kind: 'StopProxy' }]),

    /** Puts the machine back as found; a machine without a journal is as found already. */
    restoreMachine: (input: HostStep): Promise<HostApplyResult> => apply(input, 'restore', [{ kind: 'Restore' }]),
  };
}

/** Runs one call with a steady heartbeat; a cancelled activity aborts the signal, which closes the connection. */
async function heartbeating<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => {
    context.heartbeat();
  }, heartbeatMs);
  try {
    return await work(context.cancellationSignal);
  } finally {
    clearInterval(timer);
  }
}
