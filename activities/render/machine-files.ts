/** Everything that a machine gets, from facts and request: files, lines of /etc/hosts, objects. */
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { Enforcement } from '../../api/schemas/verbs.ts';
import type { ClusterFacts, KubernetesObject } from '../ports/cluster-port.ts';
import type { MachineFacts } from '../ports/host-port.ts';
import { captureScriptPath, renderCaptureScript } from './capture-script.ts';
import { renderClusterEnv } from './cluster-env.ts';
import { markWithHost } from './host-identity.ts';
import {
  enforceFlagPath,
  excludePortsPath,
  type FoundEnforcement,
  portsToExclude,
  standingEnforcement,
} from './enforcement.ts';
import { renderHostsLines } from './hosts.ts';
import { renderMeshConfig } from './mesh-config.ts';
import { renderObjects } from './objects.ts';
import {
  closedUnitPath,
  closedWantsPath,
  dropInPath,
  renderClosedUnit,
  renderClosedWants,
  renderDropIn,
} from './systemd-unit.ts';
import { machineGroup } from './workload-group.ts';

export interface MachineFile {
  readonly path: string;
  /** Four octal digits. */
  readonly mode: string;
  /** `user:group`. */
  readonly owner: string;
  readonly content: string;
  /** `certificateSet` where the proxy's agent writes the file as well. */
  readonly compare: 'bytes' | 'certificateSet';
}

export interface RenderInput {
  readonly request: OnboardMachine;
  /** Facts in which the control plane, its ConfigMaps and the root certificate were found. */
  readonly cluster: ClusterFacts & Required<Pick<ClusterFacts, 'revision' | 'meshConfig' | 'rootCertificate'>>;
  readonly machine: Pick<
    MachineFacts,
    'hostKeyFingerprint' | 'hostname' | 'addresses' | 'ownAddress' | 'registeredAddress' | 'sshdPorts'
  > &
    FoundEnforcement;
  /** As asked for; absent: as it stands. */
  readonly enforcement?: Enforcement;
}

export interface RenderedMachine {
  readonly files: readonly MachineFile[];
  readonly hostsLines: readonly string[];
  readonly objects: readonly KubernetesObject[];
  readonly serviceAccount: string;
  readonly network: string;
  readonly enforcement: Enforcement;
  /** Ports that are never redirected, beside those of sshd and of the proxy itself. */
  readonly excludedPorts: readonly number[];
  /** The address that the machine registers with. */
  readonly address: string;
  /** Where the token goes that is made at the time of writing. */
  readonly token: Pick<MachineFile, 'path' | 'mode' | 'owner'>;
}

const root = { mode: '0644', owner: 'root:root', compare: 'bytes' } as const;
/** The user as which the proxy runs; the package makes it. */
const proxyOwner = 'istio-proxy:istio-proxy';

/** Throws on a mesh ConfigMap, or an annotation with proxy configuration, that is not YAML. */
export function renderMachineFiles({ request, cluster, machine, ...asked }: RenderInput): RenderedMachine {
  const group = machineGroup(request, cluster.workloadGroup);
  const { istioNamespace = 'istio-system', revision, clusterId = 'Kubernetes' } = cluster;
  const place = { group, revision: revision.name, istioNamespace };
  const mesh = renderMeshConfig({ ...place, machine: request.name, clusterId, meshConfig: cluster.meshConfig });
  const address = addressOf(request, machine);
  const clusterEnv = renderClusterEnv({
    ...place,
    address,
    isExternal: request.addressing?.external === true,
    sshdPorts: machine.sshdPorts,
    proxyMetadata: mesh.proxyMetadata,
    statusPort: mesh.statusPort,
  });
  const enforcement = asked.enforcement ?? standingEnforcement(request.name, machine, cluster);
  const excludedPorts = portsToExclude(enforcement, asked.enforcement !== undefined, machine, group, cluster.services);
  return {
    files: [
      { ...root, path: '/var/lib/istio/envoy/cluster.env', content: clusterEnv },
      { ...root, path: '/etc/istio/config/mesh', content: mesh.text },
      {
        ...root,
        path: '/etc/certs/root-cert.pem',
        content: cluster.rootCertificate,
        owner: proxyOwner,
        compare: 'certificateSet',
      },
      { ...root, path: captureScriptPath, content: renderCaptureScript(), mode: '0755' },
      { ...root, path: dropInPath, content: renderDropIn() },
      { ...root, path: closedUnitPath, content: renderClosedUnit() },
      { ...root, path: closedWantsPath, content: renderClosedWants() },
      ...(excludedPorts.length > 0 ? [{ ...root, path: excludePortsPath, content: lines(excludedPorts) }] : []),
      ...(enforcement === 'enforce' ? [{ ...root, path: enforceFlagPath, content: lines(['enforce']) }] : []),
    ],
    hostsLines: renderHostsLines(cluster.gateway, revision.name, istioNamespace),
    objects: markWithHost(
      renderObjects(request.name, group, cluster, enforcement, excludedPorts),
      request.host,
      machine.hostKeyFingerprint,
    ),
    serviceAccount: group.serviceAccount,
    network: group.network,
    enforcement,
    excludedPorts,
    address,
    token: { path: '/var/run/secrets/tokens/istio-token', mode: '0600', owner: proxyOwner },
  };
}

const lines = (values: readonly (string | number)[]): string => values.map((value) => `${value}\n`).join('');

/** As asked, else the one that it has registered with where that is still its own, else the one to take. */
function addressOf(
  { addressing }: OnboardMachine,
  { addresses, ownAddress, registeredAddress = '' }: RenderInput['machine'],
): string {
  return addressing?.ip ?? (addresses.includes(registeredAddress) ? registeredAddress : ownAddress);
}
