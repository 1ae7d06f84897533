/** What a machine in the mesh is known to be, from what was seen of it at the end of an operation. */
import type { ClusterFacts } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { ConnectedProxy } from '../../activities/ports/mesh-port.ts';
import type { Condition } from '../../api/schemas/common.ts';
import type { Machine, OnboardMachine } from '../../api/schemas/machine.ts';
import { isVersion } from './bootstrap-plan.ts';
import type { DecidableInput } from './plan-input.ts';
import { fails, holds } from './verdicts.ts';
import type { Verdict } from './verdicts.ts';

export interface Evidence {
  readonly machine: MachineFacts;
  readonly revision: NonNullable<ClusterFacts['revision']>;
  readonly connected: ConnectedProxy;
  /** As whom the machine was to join. */
  readonly account: { readonly namespace: string; readonly serviceAccount: string };
  /** The group has a probe, so that health was reported. */
  readonly hasProbe: boolean;
  readonly tokenExpiresAt?: string;
  /** What this operation changed under the running proxy, which takes it up with its next start: paths of files. */
  readonly awaitsRestart: readonly string[];
}

/** The address a machine registered with: as asked, else as stands in its files, else the one its files would be given. */
export function registeredAddress({ addressing }: OnboardMachine, machine: MachineFacts): string {
  return addressing?.ip ?? machine.registeredAddress ?? machine.ownAddress;
}

/** Ports of the group, without a probe, on which nothing listens. */
export function portsSilent({ cluster, request }: DecidableInput, machine: MachineFacts): readonly number[] {
  const ports = cluster.workloadGroup?.spec.template?.ports ?? request.workload?.ports ?? {};
  const listening = new Set(machine.listening.map(({ port }) => port));
  return Object.values(ports).filter((port) => !listening.has(port));
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
export function memberConditions(evidence: Evidence, name: string, now: string): Condition[] {
  const { connected, hasProbe } = evidence;
  const verdicts: Verdict[] = [
    holds('ProxyReady', `The proxy of ${name} answers ready on 15021`),
    holds('Connected', `The proxy of ${name} is connected to ${connected.istiodPod}`),
    identityMatches(evidence, name),
    holds('ConfigAccepted', `The proxy of ${name} has accepted all configuration`),
    holds('Registered', `istiod has registered the WorkloadEntry of ${name}`),
    ...(hasProbe ? [holds('Healthy', `The health of ${name} is reported True`)] : []),
    upToDate(evidence, name),
  ];
  return verdicts.map((verdict) => ({ ...verdict, lastTransitionTime: now }));
}

/** A certificate of an earlier life of the machine would speak for someone else. */
function identityMatches({ machine, account }: Evidence, name: string): Verdict {
  const { spiffeId } = machine.proxy;
  const expected = `/ns/${account.namespace}/sa/${account.serviceAccount}`;
  if (spiffeId?.endsWith(expected) === true) return holds('IdentityMatches', `The proxy of ${name} is ${spiffeId}`);
  const message = `The proxy of ${name} is ${spiffeId ?? 'nobody'}, not ${expected}; DELETE ${name} and onboard it again`;
  return fails('IdentityMatches', 'IdentityDiffers', message);
}

/** A running proxy is not restarted: what was changed under it, files or package, waits for its next start. */
function upToDate({ machine, revision, connected, awaitsRestart }: Evidence, name: string): Verdict {
  const running = machine.proxy.runningVersion ?? connected.version;
  const what = [
    ...(isVersion(machine.installedVersion, running) || machine.installedVersion === undefined
      ? []
      : [`istio-sidecar ${machine.installedVersion}`]),
    ...awaitsRestart,
  ];
  if (what.length > 0) {
    const message = `The proxy of ${name} runs ${running} without ${what.join(', ')}, changed since its start; POST .../restart-proxy takes it up without a failed request`;
    return fails('ProxyUpToDate', 'RestartRequired', message, 'Warning');
  }
  return running === revision.version
    ? holds('ProxyUpToDate', `The proxy of ${name} runs ${running}`, 'Advisory')
    : fails(
        'ProxyUpToDate',
        'VersionBehind',
        `The proxy of ${name} runs ${running}, its istiod ${revision.version}`,
        'Advisory',
      );
}
