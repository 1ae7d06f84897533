/** Activities on the Kubernetes API. Checks are single looks that throw while the evidence is missing: Temporal's retry is the wait. */
import { createHash } from 'node:crypto';

import type { OnboardMachine } from '../api/schemas/machine.ts';
import { failure } from './failures.ts';
import type {
  AppliedObject,
  ClusterFacts,
  ClusterPort,
  ClusterQuery,
  FoundWorkloadEntry,
  KubernetesObject,
  ObjectRef,
} from './ports/cluster-port.ts';
import type { MachineFacts } from './ports/host-port.ts';
import type { FoundPackage, PackagePort } from './ports/package-port.ts';
import { type MachineFile, renderMachineFiles, type RenderedMachine } from './render/machine-files.ts';

interface RenderMachineInput {
  readonly request: OnboardMachine;
  readonly cluster: ClusterFacts;
  readonly machine: Pick<MachineFacts, 'hostname' | 'addresses' | 'sshdPorts'>;
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

const drainingLabel = 'istio.io/draining';

export interface ClusterActivities {
  readClusterFacts(query: ClusterQuery): Promise<ClusterFacts>;
  /** Failure types: `RevisionUnknown`, `MeshConfigInvalid`. */
  renderMachine(input: RenderMachineInput): Promise<RenderMachineResult>;
  /** Failure types: `PackageMissing`, `PackageChecksumWrong`, `PackageSourceUnreachable`. */
  findPackage(input: { version: string; format: 'deb' | 'rpm'; architecture: string }): Promise<FoundPackage>;
  applyObjects(input: { objects: readonly KubernetesObject[] }): Promise<readonly AppliedObject[]>;
  /** Returns what it removed; what Meshlift did not make stays. */
  removeObjects(input: { objects: readonly ObjectRef[] }): Promise<readonly ObjectRef[]>;
  /** Removes a group of ours that has no other machine, and accounts of ours that nobody uses any more. */
  removeGroupIfUnused(input: {
    namespace: string;
    workloadGroup: string;
    machine: string;
  }): Promise<readonly ObjectRef[]>;
  /** Throws `NotRegistered` until the entry is there and connected, after `since` where that is given. */
  verifyRegistered(input: EntryQuery & { since?: string }): Promise<FoundWorkloadEntry>;
  /** Throws `NotHealthy` until the probe has succeeded over the present connection; without a probe, registered is enough. */
  verifyHealthy(input: EntryQuery & { hasProbe: boolean }): Promise<FoundWorkloadEntry>;
  /** Takes the entry out of load balancing (null puts it back); false where there is no entry. */
  drainWorkloadEntry(input: EntryQuery & { value: string | null }): Promise<boolean>;
  removeWorkloadEntry(query: EntryQuery): Promise<readonly ObjectRef[]>;
}

export interface ClusterActivityPorts {
  readonly cluster: ClusterPort;
  readonly packages: PackagePort;
}

export function clusterActivities({ cluster, packages }: ClusterActivityPorts): ClusterActivities {
  const readEntry = (query: EntryQuery): Promise<FoundWorkloadEntry | undefined> =>
    cluster.readWorkloadEntry(query.namespace, query.workloadGroup, query.address);

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
    renderMachine: (input) => Promise.resolve(renderMachine(input)),
    findPackage: ({ version, format, architecture }) => packages.find(version, format, architecture),
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

function renderMachine({ request, cluster, machine }: RenderMachineInput): RenderMachineResult {
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

async function removeGroupIfUnused(
  cluster: ClusterPort,
  { namespace, workloadGroup, machine }: { namespace: string; workloadGroup: string; machine: string },
): Promise<readonly ObjectRef[]> {
  const others = (await cluster.listGroupMachines(namespace, workloadGroup)).filter((name) => name !== machine);
  if (others.length > 0) return [];
  const facts = await cluster.readFacts({ namespace, machine, workloadGroup });
  const groups = await cluster.remove(
    facts.workloadGroup?.isOurs === true
      ? [{ apiVersion: 'networking.istio.io/v1', kind: 'WorkloadGroup', namespace, name: workloadGroup }]
      : [],
  );
  const unused: ObjectRef[] = [];
  for (const { apiVersion, kind, metadata } of facts.objects) {
    if (kind !== 'ServiceAccount' || (await cluster.isServiceAccountUsed(namespace, metadata.name))) continue;
    unused.push({ apiVersion, kind, namespace, name: metadata.name });
  }
  return [...groups, ...(await cluster.remove(unused))];
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
