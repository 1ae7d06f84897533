/** What a machine in the mesh is known to be, from what was seen of it at the end of an operation. */
import type { ClusterFacts } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { ConnectedProxy } from '../../activities/ports/mesh-port.ts';
import type { Condition } from '../../api/schemas/common.ts';
import type { Machine, OnboardMachine } from '../../api/schemas/machine.ts';
import type { Verdict } from './conditions.ts';
import { fails, holds } from './verdicts.ts';

export interface Evidence {
  readonly machine: MachineFacts;
  readonly revision: NonNullable<ClusterFacts['revision']>;
  readonly connected: ConnectedProxy;
  readonly tokenExpiresAt?: string;
}

/** The address a machine registered with, by the rule its files were rendered with. */
export function registeredAddress({ addressing, host }: OnboardMachine, { addresses }: MachineFacts): string {
  if (addressing?.ip !== undefined) return addressing.ip;
  return addresses.includes(host.address) ? host.address : (addresses[0] ?? host.address);
}

export function describeMember({
  machine,
  revision,
  connected,
  tokenExpiresAt,
}: Evidence): Pick<Machine, 'proxy' | 'identity'> {
  const { spiffeId, certificateExpiresAt, runningVersion } = machine.proxy;
  return {
    proxy: {
      ...(machine.installedVersion === undefined ? {} : { installedVersion: machine.installedVersion }),
      runningVersion: runningVersion ?? connected.version,
      revision: connected.revision,
      desiredVersion: revision.version,
      desiredRevision: revision.name,
      connected: true,
      configAccepted: connected.rejected.length === 0 && connected.unacknowledged.length === 0,
    },
    identity: {
      ...(spiffeId === undefined ? {} : { spiffeId }),
      ...(certificateExpiresAt === undefined ? {} : { certificateExpiresAt }),
      ...(tokenExpiresAt === undefined ? {} : { tokenExpiresAt }),
    },
  };
}

/** What the verification proved, as conditions. */
export function memberConditions({ machine, revision, connected }: Evidence, name: string, now: string): Condition[] {
  const running = machine.proxy.runningVersion ?? connected.version;
  const verdicts: Verdict[] = [
    holds('ProxyReady', `The proxy of ${name} answers ready on 15021`),
    holds('Connected', `The proxy of ${name} is connected to ${connected.istiodPod}`),
    holds('ConfigAccepted', `The proxy of ${name} has accepted all configuration`),
    holds('Registered', `istiod has registered the WorkloadEntry of ${name}`),
    holds('Healthy', `The health of ${name} is reported True`),
    running === revision.version
      ? holds('ProxyUpToDate', `The proxy of ${name} runs ${running}`, 'Advisory')
      : fails(
          'ProxyUpToDate',
          'VersionBehind',
          `The proxy of ${name} runs ${running}, its istiod ${revision.version}`,
          'Advisory',
        ),
  ];
  return verdicts.map((verdict) => ({ ...verdict, lastTransitionTime: now }));
}
