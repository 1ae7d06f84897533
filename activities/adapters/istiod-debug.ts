/**
 * Reads istiod's debug endpoints through the API server's port-forward: to istiod the caller is then its own loopback, which needs no
 * authorisation, and nothing crosses the network in the clear.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';

import { type KubeConfig, PortForward, type V1Pod } from '@kubernetes/client-node';

import { failure } from '../failures.ts';
import { ForwardAgent } from './forward-agent.ts';
import { asClusterFailure, kubernetesClient, type KubernetesClient } from './kubernetes-client.ts';

/** istiod's monitoring port, which serves /debug and /version. */
const monitoringPort = 15014;
/** A full dump of a large mesh takes seconds. */
const answerTimeoutMs = 20_000;
/** Everything that waits shares one answer per istiod and second. */
const sharedForMs = 1_000;

export interface IstiodPod {
  readonly name: string;
  /** `default` for the unrevisioned istiod. */
  readonly revision: string;
}

interface Answer {
  readonly body: string;
  /** The reply's `Date`, by istiod's clock. */
  readonly date: string;
}

export class IstiodDebug {
  readonly #client: KubernetesClient;
  readonly #agent: ForwardAgent;
  readonly #istioNamespace: string;
  readonly #answers = new Map<string, { readonly at: number; readonly answer: Promise<Answer> }>();

  constructor(kubeConfig: KubeConfig, istioNamespace: string) {
    this.#client = kubernetesClient(kubeConfig);
    this.#agent = new ForwardAgent(new PortForward(kubeConfig), istioNamespace, monitoringPort);
    this.#istioNamespace = istioNamespace;
  }

  /** The istiods that run, of every revision. */
  async pods(): Promise<readonly IstiodPod[]> {
    const pods = await asClusterFailure(`List of istiod pods in ${this.#istioNamespace}`, () =>
      this.#client.core.listNamespacedPod({ namespace: this.#istioNamespace, labelSelector: 'app=istiod' }),
    );
    return pods.items.filter(isRunning).map(({ metadata }) => ({
      name: metadata?.name ?? '',
      revision: metadata?.labels?.['istio.io/rev'] ?? 'default',
    }));
  }

  /** The answer of one istiod, at most a second old. Throws `EvidenceUnavailable` where it cannot be read. */
  async get(pod: IstiodPod, path: string): Promise<string> {
    return (await this.answer(pod, path)).body;
  }

  /** The same, with the time that istiod put on it. `since`: asked for no earlier, by our own clock in ms. */
  async answer(pod: IstiodPod, path: string, since = 0): Promise<Answer> {
    const key = `${pod.name} ${path}`;
    const now = Date.now();
    const known = this.#answers.get(key);
    if (known !== undefined && now - known.at < sharedForMs && known.at >= since) return known.answer;
    for (const [stale, { at }] of this.#answers) if (now - at >= sharedForMs) this.#answers.delete(stale);
    const answer = this.#read(pod.name, path);
    this.#answers.set(key, { at: now, answer });
    return answer;
  }

  async #read(pod: string, path: string): Promise<Answer> {
    try {
      return await this.#request(pod, path);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'the port-forward was refused';
      throw failure(
        'EvidenceUnavailable',
        `istiod ${this.#istioNamespace}/${pod} cannot be read at ${path} (${reason}); check that it runs and that Meshlift may create pods/portforward there`,
        error,
      );
    }
  }

  async #request(pod: string, path: string): Promise<Answer> {
    const response = await this.#respond(pod, path);
    const body = await text(response);
    if (response.statusCode === 200) return { body, date: response.headers.date ?? '' };
    throw new Error(`HTTP ${response.statusCode ?? 0}: ${body.slice(0, 200).trim()}`);
  }

  /** A kept connection may have ended meanwhile, which says nothing of the pod: it is asked again by another. */
  async #respond(pod: string, path: string): Promise<IncomingMessage> {
    const signal = AbortSignal.timeout(answerTimeoutMs);
    const call = request({ host: pod, path, agent: this.#agent, headers: { host: 'localhost' }, signal });
    try {
      call.end();
      const [response] = (await once(call, 'response')) as [IncomingMessage];
      return response;
    } catch (error) {
      if (call.reusedSocket && !signal.aborted) return await this.#respond(pod, path);
      throw error;
    }
  }
}

const isRunning = (pod: V1Pod): boolean =>
  pod.status?.phase === 'Running' && pod.metadata?.deletionTimestamp === undefined;
