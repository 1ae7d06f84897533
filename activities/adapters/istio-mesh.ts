/** What each istiod says of the proxies and the endpoints it gives out (protocols 2). */
import type { KubeConfig } from '@kubernetes/client-node';

import { failure } from '../failures.ts';
import type { ObjectRef } from '../ports/cluster-port.ts';
import type {
  ConnectedProxy,
  EndpointLook,
  EndpointQuery,
  ExpectedProxy,
  HeldLook,
  MachineQuery,
  MachineService,
  MeshPort,
  Neighbours,
  OfferedLook,
  ProxyQuery,
  PushType,
  Routes,
  UnguardedProxy,
  WatcherLook,
} from '../ports/mesh-port.ts';
import { machineEndpoints, machineServices, offeredEndpoints, proxyConnections } from './endpoint-answers.ts';
import { heldObject, heldService, unguardedRoutes } from './config-answers.ts';
import { IstiodDebug, type IstiodPod } from './istiod-debug.ts';
import { isGivenOut, readAuthorizations, readSyncStatus } from './istiod-answers.ts';
import { kubernetesClient, type KubernetesClient } from './kubernetes-client.ts';
import { listExpectedProxies, readRoutes } from './mesh-members.ts';

interface IstiodAnswer {
  readonly pod: IstiodPod;
  readonly body: unknown;
  /** RFC 3339, by istiod's clock. */
  readonly at: string;
}

export class IstioMesh implements MeshPort {
  readonly #debug: IstiodDebug;
  readonly #client: KubernetesClient;
  readonly #istioNamespace: string;

  constructor(kubeConfig: KubeConfig, options: { readonly istioNamespace: string }) {
    this.#debug = new IstiodDebug(kubeConfig, options.istioNamespace);
    this.#client = kubernetesClient(kubeConfig);
    this.#istioNamespace = options.istioNamespace;
  }

  async readProxy({ namespace, name }: ProxyQuery): Promise<readonly ConnectedProxy[]> {
    const answers = await this.#askAll(`/debug/syncz?namespace=${encodeURIComponent(namespace)}`);
    return answers.flatMap(({ pod, body }) =>
      readSyncStatus(body, `${name}.${namespace}`).map((status) => ({
        istiodPod: pod.name,
        revision: pod.revision,
        ...status,
      })),
    );
  }

  async isEndpointGivenOut(endpoint: EndpointQuery): Promise<boolean> {
    const answers = await this.#askAll('/debug/endpointShardz');
    return answers.some(({ body }) => isGivenOut(body, endpoint));
  }

  async readServices(machine: MachineQuery): Promise<readonly MachineService[]> {
    const answers = await this.#askAll('/debug/endpointShardz');
    return machineServices(
      answers.map(({ body }) => body),
      machine,
    );
  }

  async readEndpoints(endpoint: EndpointQuery): Promise<readonly EndpointLook[]> {
    const answers = await this.#askAll('/debug/endpointShardz');
    return answers.map(({ pod, body, at }) => ({
      istiodPod: pod.name,
      at,
      endpoints: machineEndpoints(body, endpoint),
    }));
  }

  async readWatchers(hosts: readonly string[], type?: PushType): Promise<readonly WatcherLook[]> {
    const [status, watched] = await Promise.all([this.#askAll('/debug/syncz'), this.#askAll('/debug/adsz')]);
    return await Promise.all(
      status.map(async ({ pod, body }) => {
        const adsz = watched.find((answer) => answer.pod.name === pod.name)?.body;
        return {
          istiodPod: pod.name,
          version: (await this.#debug.get(pod, '/version')).trim(),
          connections: proxyConnections(body, adsz, hosts, type),
        };
      }),
    );
  }

  async readOffered(host: string): Promise<readonly OfferedLook[]> {
    const answers = await this.#askAll('/debug/endpointShardz');
    return answers.map(({ pod, body, at }) => ({ istiodPod: pod.name, at, endpoints: offeredEndpoints(body, host) }));
  }

  async readHeld(ref: ObjectRef, since?: number): Promise<readonly HeldLook[]> {
    // istiod takes Services for no configuration.
    const isService = ref.kind === 'Service';
    const answers = await this.#askAll(isService ? '/debug/registryz' : '/debug/configz', since);
    const held = isService ? heldService : heldObject;
    return answers.map(({ pod, body, at }) => ({ istiodPod: pod.name, at, ...held(body, ref) }));
  }

  async meetIstiods(): Promise<void> {
    const pods = await this.#debug.pods();
    await Promise.all(pods.map((pod) => this.#debug.get(pod, '/version')));
  }

  async readUnguarded(host: string, ports: readonly number[]): Promise<readonly UnguardedProxy[]> {
    const found: UnguardedProxy[] = [];
    const clusters = new Set(ports.map((port) => `outbound|${port}||${host}`));
    for (const { istiodPod, connections } of await this.readWatchers([host])) {
      const pod = (await this.#debug.pods()).find(({ name }) => name === istiodPod);
      if (pod === undefined) continue;
      for (const { proxy } of connections.filter(({ isWatching }) => isWatching)) {
        const path = `/debug/config_dump?types=rds,lds&proxyID=${encodeURIComponent(proxy)}`;
        const dump = await this.#debug.get(pod, path);
        const ways = unguardedRoutes(JSON.parse(dump), clusters);
        if (ways === undefined) {
          const message = `istiod ${pod.name} tells routes of ${proxy} in an unknown form; see ${path}, and whether Meshlift supports its version`;
          throw failure('EvidenceUnavailable', message);
        }
        found.push(...ways.map((way) => ({ proxy, ...way })));
      }
    }
    return found;
  }

  listExpectedProxies(): Promise<readonly ExpectedProxy[]> {
    return listExpectedProxies(this.#client);
  }

  readRoutes(namespace: string): Promise<Routes> {
    return readRoutes(this.#client, namespace);
  }

  async readNeighbours(): Promise<Neighbours> {
    const [proxies, [answer]] = await Promise.all([this.listExpectedProxies(), this.#askAll('/debug/authorizationz')]);
    return { proxies, ...readAuthorizations(answer?.body, this.#istioNamespace) };
  }

  /** Every istiod of every revision; one that cannot be read means no proof. */
  async #askAll(path: string, since?: number): Promise<readonly IstiodAnswer[]> {
    const pods = await this.#debug.pods();
    if (pods.length === 0) {
      throw failure(
        'EvidenceUnavailable',
        `No istiod runs in ${this.#istioNamespace}; check the control plane, and the namespace that Meshlift is told`,
      );
    }
    return await Promise.all(
      pods.map(async (pod) => {
        const { body, date } = await this.#debug.answer(pod, path, since);
        return { pod, body: JSON.parse(body) as unknown, at: new Date(date).toISOString() };
      }),
    );
  }
}
