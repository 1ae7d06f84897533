/**
 * Reads istiod's debug endpoints through the API server's port-forward: to istiod the caller is then its own loopback, which needs no
 * authorisation, and nothing crosses the network in the clear.
 */
import { request } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';

import { type KubeConfig, PortForward, type V1Pod } from '@kubernetes/client-node';

import { failure } from '../failures.ts';
import { asClusterFailure, kubernetesClient, type KubernetesClient } from './kubernetes-client.ts';

/** istiod's monitoring port, which serves /debug and /version. */
const monitoringPort = 15014;
/** A full dump of a large mesh takes seconds. */
const answerTimeoutMs = 20_000;
const connectTimeoutMs = 5_000;
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

/** The port-forward's socket; the client types it as one that may be a function. */
interface Closeable {
  close(): void;
}

export class IstiodDebug {
  readonly #client: KubernetesClient;
  readonly #forward: PortForward;
  readonly #istioNamespace: string;
  readonly #answers = new Map<string, { readonly at: number; readonly answer: Promise<Answer> }>();

  constructor(kubeConfig: KubeConfig, istioNamespace: string) {
    this.#client = kubernetesClient(kubeConfig);
    this.#forward = new PortForward(kubeConfig);
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

  /** The same, with the time that istiod put on it. */
  async answer(pod: IstiodPod, path: string): Promise<Answer> {
    const key = `${pod.name} ${path}`;
    const now = Date.now();
    const known = this.#answers.get(key);
    if (known !== undefined && now - known.at < sharedForMs) return known.answer;
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
    const [toPod, fromPod, complaints] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const forwarding = this.#forward.portForward(
      this.#istioNamespace,
      pod,
      [monitoringPort],
      fromPod,
      complaints,
      toPod,
    ) as Promise<Closeable>;
    const socket = await within(connectTimeoutMs, forwarding);
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const connection = Duplex.from({ readable: fromPod, writable: toPod });
        connection.on('error', reject);
        complaints.on('data', (data: Buffer) => {
          reject(new Error(data.toString().trim()));
        });
        const call = request(
          {
            path,
            headers: { host: 'localhost', connection: 'close' },
            createConnection: () => connection,
            signal: AbortSignal.timeout(answerTimeoutMs),
          },
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.on('error', reject);
            response.on('end', () => {
              const body = Buffer.concat(chunks).toString();
              if (response.statusCode === 200) resolve({ body, date: response.headers.date ?? '' });
              else reject(new Error(`HTTP ${response.statusCode ?? 0}: ${body.slice(0, 200).trim()}`));
            });
          },
        );
        call.on('error', reject);
        call.end();
      });
    } finally {
      socket.close();
    }
  }
}

/** The client's own connection attempt has no time limit; one that succeeds too late is closed then. */
async function within(timeoutMs: number, work: Promise<Closeable>): Promise<Closeable> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      void work.then(
        (socket) => {
          socket.close();
        },
        () => undefined,
      );
      reject(new Error(`no answer within ${timeoutMs / 1000} s`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

const isRunning = (pod: V1Pod): boolean =>
  pod.status?.phase === 'Running' && pod.metadata?.deletionTimestamp === undefined;
