/** Activities on the Kubernetes API. Checks are single looks that throw while the evidence is missing: Temporal's retry is the wait. */
import { createHash } from 'node:crypto';

import { Context } from '@temporalio/activity';

import type { OnboardMachine } from '../api/schemas/machine.ts';
import type { Enforcement } from '../api/schemas/verbs.ts';
import { drainingLabel } from '../workflows/plan/drain-value.ts';
import { type HostOfMachine, othersOnHost } from '../workflows/plan/same-host.ts';
import { failure } from './failures.ts';
import type {
  AppliedObject,
  ClusterFacts,
  ClusterPort,
  ClusterQuery,
  FoundWorkloadEntry,
  KnownMachine,
  KubernetesObject,
  ObjectRef,
} from './ports/cluster-port.ts';
import type { FoundPackage, PackagePort } from './ports/package-port.ts';
import {
  type MachineFile,
  renderMachineFiles,
  type RenderedMachine,
  type RenderInput,
} from './render/machine-files.ts';
import { refOf } from './render/object-ref.ts';

interface RenderMachineInput {
  readonly request: OnboardMachine;
  readonly cluster: ClusterFacts;
  readonly machine: RenderInput['machine'];
  /** Absent: as it stands. */
  readonly enforcement?: Enforcement;
}

export type RenderMachineResult = Omit<RenderedMachine, 'files'> & {
  readonly files: readonly (MachineFile & { readonly sha256: string })[];
};

/** A machine's entry: the group and the address that it registered with. */
interface EntryQuery {
  readonly namespace: string;
  readonly workloadGroup: string;
  readonly address: string;
}

/** The entry of a machine that cannot be asked for its address: found by the label that its proxy registers with. */
interface LabelledEntryQuery {
  readonly namespace: string;
  readonly workloadGroup: string;
  readonly machine: string;
}

type AnyEntryQuery = EntryQuery | LabelledEntryQuery;

interface LeavingMachine {
  readonly namespace: string;
  readonly workloadGroup: string;
  readonly machine: string;
  /** The group's account, for a retry that finds the group gone. */
  readonly serviceAccount: string;
}

export interface ClusterActivities {
  readClusterFacts(query: ClusterQuery): Promise<ClusterFacts>;
  /** Other machines, of any namespace, that are on this host. */
  findMachinesOnHost(input: HostOfMachine): Promise<readonly KnownMachine[]>;
  /** Failure types: `RevisionUnknown`, `MeshConfigInvalid`. */
  renderMachine(input: RenderMachineInput): Promise<RenderMachineResult>;
  /** Failure types: `PackageMissing`, `PackageChecksumWrong`, `PackageSourceUnreachable`. */
  findPackage(input: { version: string; format: 'deb' | 'rpm'; architecture: string }): Promise<FoundPackage>;
  applyObjects(input: { objects: readonly KubernetesObject[] }): Promise<readonly AppliedObject[]>;
  /** Returns what it removed; what Meshlift did not make stays. */
  removeObjects(input: { objects: readonly ObjectRef[] }): Promise<readonly ObjectRef[]>;
  /** Removes a group of ours that has no other machine, and its account where that is ours and nobody uses it any more. */
  removeGroupIfUnused(input: LeavingMachine): Promise<readonly ObjectRef[]>;
  /** Throws `NotRegistered` until the entry is there and connected, after `since` where that is given. */
  verifyRegistered(input: EntryQuery & { since?: string }): Promise<FoundWorkloadEntry>;
  /** Throws `NotHealthy` until the probe has succeeded over the present connection; without a probe, registered is enough. */
  verifyHealthy(input: EntryQuery & { hasProbe: boolean }): Promise<FoundWorkloadEntry>;
  /** The entry that istiod registered; undefined where there is none. */
  readWorkloadEntry(query: AnyEntryQuery): Promise<FoundWorkloadEntry | undefined>;
  /** Takes the entry out of load balancing (null puts it back); false where there is no entry. */
  drainWorkloadEntry(input: AnyEntryQuery & { value: string | null }): Promise<boolean>;
  removeWorkloadEntry(query: AnyEntryQuery): Promise<readonly ObjectRef[]>;
}

export interface ClusterActivityPorts {
  readonly cluster: ClusterPort;
  readonly packages: PackagePort;
}

export function clusterActivities({ cluster, packages }: ClusterActivityPorts): ClusterActivities {
  const readEntry = (query: AnyEntryQuery): Promise<FoundWorkloadEntry | undefined> => {
    const { namespace, workloadGroup } = query;
    return 'address' in query
      ? cluster.readWorkloadEntry(namespace, workloadGroup, query.address)
      : cluster.findWorkloadEntry(namespace, workloadGroup, query.machine);
  };

  const verifyRegistered = async (input: EntryQuery & { since?: string }): Promise<FoundWorkloadEntry> => {
    const entry = await readEntry(input);
    const isConnected = entry?.connectedAt !== undefined && !isBefore(entry.connectedAt, input.since);
    if (entry !== undefined && isConnected) return entry;
    const why = entry === undefined ? 'has no WorkloadEntry' : 'has a WorkloadEntry that is not connected';
    throw failure(
      'NotRegistered',
      `${describe(input)} ${why}; see journalctl -u istio and /var/log/istio/istio.log on the machine`,
    );
  };

  return {
    readClusterFacts: (query) => cluster.readFacts(query),
    findMachinesOnHost: async (input) => othersOnHost(await cluster.listMachines(), input),
    renderMachine: (input) => Promise.resolve(renderMachine(input)),
    findPackage: ({ version, format, architecture }) =>
      packages.find(version, format, architecture, Context.current().cancellationSignal),
    applyObjects: ({ objects }) => cluster.apply(objects),
    removeObjects: ({ objects }) => cluster.remove(objects),
    removeGroupIfUnused: (input) => removeGroupIfUnused(cluster, input),
    verifyRegistered,
    async verifyHealthy(input) {
      const entry = await verifyRegistered(input);
      if (!input.hasProbe || isHealthy(entry)) return entry;
      const { status = 'not reported yet', message = '' } = entry.healthy ?? {};
      throw failure(
        'NotHealthy',
        `${describe(input)} is not healthy (${status}${message === '' ? '' : `: ${message}`}); check that the application answers the group's probe on the machine`,
      );
    },
    readWorkloadEntry: readEntry,
    async drainWorkloadEntry(input) {
      const entry = await readEntry(input);
      return entry !== undefined && cluster.labelWorkloadEntry(input.namespace, entry.name, drainingLabel, input.value);
    },
    async removeWorkloadEntry(query) {
      const entry = await readEntry(query);
      if (entry === undefined) return [];
      const { namespace } = query;
      return cluster.remove([
        { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', namespace, name: entry.name },
      ]);
    },
  };
}

function renderMachine({ request, cluster, machine, ...asked }: RenderMachineInput): RenderMachineResult {
  const { revision, meshConfig, rootCertificate } = cluster;
  const place = `${request.namespace}/${request.name}`;
  if (revision === undefined) {
    throw failure('RevisionUnknown', `No control plane of revision ${request.revision ?? 'default'} for ${place}`);
  }
  if (meshConfig === undefined || rootCertificate === undefined) {
    const missing = meshConfig === undefined ? 'the mesh ConfigMap' : 'the ConfigMap istio-ca-root-cert';
    throw failure('MeshConfigInvalid', `Revision ${revision.name} has no ${missing} for ${place}; check its istiod`);
  }
  try {
    const rendered = renderMachineFiles({
      request,
      cluster: { ...cluster, revision, meshConfig, rootCertificate },
      machine,
      ...asked,
    });
    const digest = (content: string): string => createHash('sha256').update(content).digest('hex');
    return { ...rendered, files: rendered.files.map((file) => ({ ...file, sha256: digest(file.content) })) };
  } catch (error) {
    throw failure(
      'MeshConfigInvalid',
      `The proxy configuration for ${place} is not YAML; correct key mesh of the ConfigMap of revision ${revision.name}, or the annotation proxy.istio.io/config of WorkloadGroup ${request.workloadGroup}`,
      error,
    );
  }
}

/**
 * A machine's own objects go first and come first, so a machine that joins meanwhile is seen: before the removal, or after it, and
 * then the group returns.
 */
async function removeGroupIfUnused(
  cluster: ClusterPort,
  { namespace, workloadGroup, machine, serviceAccount }: LeavingMachine,
): Promise<readonly ObjectRef[]> {
  const hasOthers = async (): Promise<boolean> =>
    (await cluster.listGroupMachines(namespace, workloadGroup)).some((name) => name !== machine);
  const facts = await cluster.readFacts({ namespace, machine, workloadGroup, serviceAccount });
  const group = facts.objects.find(({ kind, metadata }) => kind === 'WorkloadGroup' && metadata.name === workloadGroup);
  if (await hasOthers()) return [];
  const groups = await cluster.remove(group === undefined ? [] : [refOf(group)]);
  if (await hasOthers()) {
    if (group !== undefined) await cluster.apply([group]);
    return [];
  }
  const named = facts.workloadGroup?.spec.template?.serviceAccount ?? serviceAccount;
  const account = facts.objects.find(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === named);
  const isFree = account !== undefined && !(await cluster.isServiceAccountUsed(namespace, named));
  return [...groups, ...(await cluster.remove(isFree ? [refOf(account)] : []))];
}

const describe = ({ namespace, workloadGroup, address }: EntryQuery): string =>
  `Machine at ${address} of WorkloadGroup ${namespace}/${workloadGroup}`;

const isBefore = (time: string, since: string | undefined): boolean =>
  since !== undefined && Date.parse(time) < Date.parse(since);

/** A report that is older than the connection speaks of an earlier run; the probe's time may have whole seconds only. */
function isHealthy({ healthy, connectedAt }: FoundWorkloadEntry): boolean {
  if (healthy?.status !== 'True' || healthy.lastProbeTime === undefined || connectedAt === undefined) return false;
  const precisionMs = healthy.lastProbeTime.includes('.') ? 0 : 999;
  return Date.parse(healthy.lastProbeTime) + precisionMs >= Date.parse(connectedAt);
}
