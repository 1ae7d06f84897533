/** What is done on a machine, one activity a step: each is idempotent and honours cancellation. */
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
}

const tokenPath = '/var/run/secrets/tokens/istio-token';

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
    ports.host.apply(
      input.host,
      { operation: input.operation, fence: input.fence, step, changes, rewrite },
      cancelled(),
    );

  return {
    /** Everything that is known of a machine, in one exec; `paths` are the files to digest. Writes nothing. */
    inspectMachine: (input: { host: Host; paths: readonly string[] }): Promise<MachineFacts> =>
      ports.host.inspect(input.host, input.paths, cancelled()),

    /** Fingerprint of the host key, to pin on first use; authenticates nothing. */
    readHostKey: (input: { host: Host }): Promise<string> => ports.host.readHostKey(input.host, cancelled()),

    installPackage: async (input: InstallPackageInput): Promise<HostApplyResult> => {
      const { version, format, architecture } = input;
      const found = await ports.packages.find(version, format, architecture, cancelled());
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
      const { namespace, serviceAccount, lifetimeSeconds } = input;
      const { token, expiresAt } = await ports.cluster.issueToken(namespace, serviceAccount, lifetimeSeconds);
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
    startProxy: ({ deadManSeconds, ...step }: StartProxyInput): Promise<HostApplyResult> =>
      apply(step, 'startProxy', [{ kind: 'StartProxy', deadManSeconds }]),

    /** Proves over a new connection that SSH, DNS and the application still work, disarms the timer, and enables the unit. */
    confirmCapture: (input: HostStep): Promise<HostApplyResult> =>
      apply(input, 'confirmCapture', [{ kind: 'ConfirmCapture' }]),

    stopProxy: (input: HostStep): Promise<HostApplyResult> => apply(input, 'stopProxy', [{ kind: 'StopProxy' }]),

    /** Puts the machine back as found; a machine without a journal is as found already. */
    restoreMachine: (input: HostStep): Promise<HostApplyResult> => apply(input, 'restore', [{ kind: 'Restore' }]),
  };
}

/** Aborted when the activity is cancelled, which closes the connection; the worker heartbeats for every activity. */
const cancelled = (): AbortSignal => Context.current().cancellationSignal;
