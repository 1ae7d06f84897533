/** What each istiod says of the proxies and the endpoints it gives out (protocols 2). */
import type { KubeConfig } from '@kubernetes/client-node';

import { failure } from '../failures.ts';
import type { ConnectedProxy, EndpointQuery, MeshPort, ProxyQuery } from '../ports/mesh-port.ts';
import { IstiodDebug, type IstiodPod } from './istiod-debug.ts';
import { isGivenOut, readSyncStatus } from './istiod-answers.ts';

export class IstioMesh implements MeshPort {
  readonly #debug: IstiodDebug;
  readonly #istioNamespace: string;

  constructor(kubeConfig: KubeConfig, options: { readonly istioNamespace: string }) {
    this.#debug = new IstiodDebug(kubeConfig, options.istioNamespace);
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

  /** Every istiod of every revision; one that cannot be read means no proof. */
  async #askAll(path: string): Promise<readonly { readonly pod: IstiodPod; readonly body: unknown }[]> {
    const pods = await this.#debug.pods();
    if (pods.length === 0) {
      throw failure(
        'EvidenceUnavailable',
        `No istiod runs in ${this.#istioNamespace}; check the control plane, and the namespace that Meshlift is told`,
      );
    }
    return await Promise.all(
      pods.map(async (pod) => ({ pod, body: JSON.parse(await this.#debug.get(pod, path)) as unknown })),
    );
  }
}
