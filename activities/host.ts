/** What is done on a machine, one activity a step: each is idempotent and honours cancellation. */
import { createHash } from 'node:crypto';

import { Context } from '@temporalio/activity';

import type { Host } from '../api/schemas/machine.ts';
import { admitHost } from './admit-host.ts';
import { failure } from './failures.ts';
import type { ClusterPort } from './ports/cluster-port.ts';
import type {
  HostApplyResult,
  HostChange,
  HostPort,
  LocatedHost,
  MachineFacts,
  Probes,
  Traffic,
} from './ports/host-port.ts';
import type { PackagePort } from './ports/package-port.ts';

/** What every activity on a machine is told: whose it is, which decides whether the host may be connected to at all. */
export interface OnHost {
  readonly namespace: string;
  readonly name: string;
  readonly host: Host;
}

/** What every changing step needs: the machine, and what names this attempt in its journal. */
export interface HostStep extends OnHost {
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
  /** Made and placed with the files; absent: the one that is there stays. */
  readonly token?: { readonly serviceAccount: string; readonly lifetimeSeconds: number };
}

export interface StartProxyInput extends HostStep {
  /** Without `confirmCapture` within this time the machine goes back to what stood before. */
  readonly deadManSeconds: number;
}

export interface RestartProxyInput extends HostStep {
  /** How long one try waits for the proxy to be ready and its traffic to be redirected. */
  readonly readySeconds: number;
}

export interface SetEnforcementInput extends HostStep {
  readonly mode: 'observe' | 'enforce';
  /** Inbound ports that are never redirected. */
  readonly excludePorts: readonly number[];
  /** As of the start; absent: nobody is to confirm, as where a change is taken back. */
  readonly deadManSeconds?: number;
}

const tokenPath = '/var/run/secrets/tokens/istio-token';

/** The activities of the task queue `meshlift-hosts`. */
export function hostActivities(ports: {
  host: HostPort;
  cluster: Pick<ClusterPort, 'issueToken' | 'readHostPolicies'>;
  packages: PackagePort;
  /** The worker's own limit, whatever the policies say; absent: none. */
  hostCidrs?: readonly string[];
}) {
  const admit = (input: OnHost): Promise<LocatedHost> => admitHost(ports, input);

  const apply = async (
    input: HostStep,
    step: string,
    changes: readonly HostChange[],
    rewrite = false,
  ): Promise<HostApplyResult> => {
    const { namespace, name, operation, fence } = input;
    const host = await admit(input);
    const owner = `${namespace}/${name}`;
    return await ports.host.apply(host, { operation, fence, step, owner, changes, rewrite }, cancelled());
  };

  return {
    /** Everything that is known of a machine, in one exec; `paths` are the files to digest. Writes nothing. */
    inspectMachine: async (input: OnHost & { paths: readonly string[]; probes?: Probes }): Promise<MachineFacts> =>
      await ports.host.inspect(await admit(input), input.paths, cancelled(), input.probes),

    /** Fingerprint of the host key, to pin on first use; authenticates nothing. */
    readHostKey: async (input: OnHost): Promise<string> =>
      await ports.host.readHostKey(await admit(input), cancelled()),

    installPackage: async (input: InstallPackageInput): Promise<HostApplyResult> => {
      const { version, format, architecture } = input;
      const found = await ports.packages.find(version, format, architecture, cancelled());
      return await apply(input, `installPackage-${input.version}`, [{ kind: 'InstallPackage', ...found }]);
    },

    /** A token is made here, so that it enters no history: each attempt writes its own. */
    writeBootstrapFiles: async (
      input: WriteBootstrapFilesInput,
    ): Promise<HostApplyResult & { readonly tokenExpiresAt?: string }> => {
      const changes: HostChange[] = [
        ...input.files.map((file): HostChange => ({ kind: 'WriteFile', ...file })),
        { kind: 'WriteHostsBlock', lines: input.hostsLines },
      ];
      // Other files in the same operation are another step, not a retry of this one.
      const step = `writeBootstrapFiles-${digestOf(changes)}`;
      if (input.token === undefined) return await apply(input, step, changes);
      const { serviceAccount, lifetimeSeconds } = input.token;
      const { token, expiresAt } = await ports.cluster.issueToken(input.namespace, serviceAccount, lifetimeSeconds);
      const place: HostChange = {
        kind: 'WriteFile',
        path: tokenPath,
        mode: '0600',
        owner: 'istio-proxy:istio-proxy',
        content: token,
      };
      return { ...(await apply(input, step, [...changes, place], true)), tokenExpiresAt: expiresAt };
    },

    /** Starts the unit and returns once 15021 answers and traffic is redirected, with the dead-man timer armed. */
    startProxy: ({ deadManSeconds, ...step }: StartProxyInput): Promise<HostApplyResult> =>
      apply(step, 'startProxy', [{ kind: 'StartProxy', deadManSeconds }]),

    /** Changes the isolation on the machine without a restart of its proxy; `confirmCapture` is to follow. */
    setEnforcement: ({
      mode,
      excludePorts,
      deadManSeconds = 0,
      ...step
    }: SetEnforcementInput): Promise<HostApplyResult> =>
      apply(step, `setEnforcement-${mode}-${excludePorts.length === 0 ? 'all' : digestOf(excludePorts)}`, [
        { kind: 'SetEnforcement', mode, excludePorts, deadManSeconds },
      ]),

    /** Proves over a new connection that SSH, DNS and the application still work, disarms the timer, and enables the unit. */
    confirmCapture: (input: HostStep): Promise<HostApplyResult> =>
      apply(input, 'confirmCapture', [{ kind: 'ConfirmCapture' }]),

    stopProxy: (input: HostStep): Promise<HostApplyResult> => apply(input, 'stopProxy', [{ kind: 'StopProxy' }]),

    /** Keeps the machine out of the mesh, also after a reboot, until `releaseMachine`. */
    holdMachine: (input: HostStep): Promise<HostApplyResult> =>
      apply(input, 'holdMachine', [{ kind: 'Hold', by: input.operation }]),

    /** Redirects again where that was stopped; a proxy that is down redirects when it starts. */
    startCapture: (input: HostStep): Promise<HostApplyResult> =>
      apply(input, 'startCapture', [{ kind: 'StartCapture' }]),

    /** Redirects again where that was stopped, then lets the machine start its proxy by itself again. */
    releaseMachine: (input: HostStep): Promise<HostApplyResult> =>
      apply(input, 'releaseMachine', [{ kind: 'StartCapture' }, { kind: 'ReleaseHold' }]),

    stopCapture: (input: HostStep): Promise<HostApplyResult> => apply(input, 'stopCapture', [{ kind: 'StopCapture' }]),

    drainProxy: (input: HostStep): Promise<HostApplyResult> => apply(input, 'drainProxy', [{ kind: 'DrainProxy' }]),

    /** Restarts the proxy once, or starts one that is down; returns once 15021 answers and traffic is redirected. */
    restartProxy: ({ readySeconds, ...step }: RestartProxyInput): Promise<HostApplyResult> =>
      apply(step, 'restartProxy', [{ kind: 'RestartProxy', readySeconds }]),

    /** What the proxy serves, watched for about a second. */
    watchTraffic: async (input: OnHost): Promise<Traffic> =>
      await ports.host.watchTraffic(await admit(input), cancelled()),

    /** Throws `NotQuiet` until the proxy serves nobody any more. */
    verifyQuiet: async (input: OnHost): Promise<Traffic> => {
      const traffic = await ports.host.watchTraffic(await admit(input), cancelled());
      if (traffic.active === 0) return traffic;
      const machine = `${input.namespace}/${input.name}`;
      throw failure('NotQuiet', `The proxy of ${machine} still serves ${traffic.active} requests or connections`);
    },

    /** Puts the machine back as found; a machine without a journal is as found already. */
    restoreMachine: (input: HostStep): Promise<HostApplyResult> => apply(input, 'restore', [{ kind: 'Restore' }]),
  };
}

const digestOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);

/** Aborted when the activity is cancelled, which closes the connection; the worker heartbeats for every activity. */
const cancelled = (): AbortSignal => Context.current().cancellationSignal;
