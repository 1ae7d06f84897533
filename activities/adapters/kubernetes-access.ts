/** AccessPort by the Kubernetes API: TokenReview and SubjectAccessReview, each answer kept for some seconds. */
import { createHash } from 'node:crypto';

import {
  AuthenticationV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  type KubeConfig,
  V1ResourceAttributes,
  V1SubjectAccessReview,
  V1SubjectAccessReviewSpec,
  V1TokenReview,
  V1TokenReviewSpec,
  V1UserInfo,
} from '@kubernetes/client-node';

import type { AccessPort, AccessQuestion, Caller } from '../ports/access-port.ts';
import { BriefCache } from './brief-cache.ts';
import { asClusterFailure, clientConfiguration } from './kubernetes-client.ts';

/** Tokens must be made for it: one that was made for the API server itself, or for another program, is refused. */
const AUDIENCE = 'meshlift';
const KEPT_MS = 10_000;
/** A caller waits for the answer. */
const ANSWER_WITHIN_MS = 3_000;

export class KubernetesAccess implements AccessPort {
  readonly #authentication: AuthenticationV1Api;
  readonly #authorization: AuthorizationV1Api;
  readonly #core: CoreV1Api;
  readonly #callers = new BriefCache<Caller | undefined>(KEPT_MS);
  readonly #answers = new BriefCache<boolean>(KEPT_MS);
  readonly #namespaces = new BriefCache<readonly string[]>(KEPT_MS);

  constructor(kubeConfig: KubeConfig) {
    const configuration = clientConfiguration(kubeConfig, ANSWER_WITHIN_MS);
    this.#authentication = new AuthenticationV1Api(configuration);
    this.#authorization = new AuthorizationV1Api(configuration);
    this.#core = new CoreV1Api(configuration);
  }

  async authenticate(token: string): Promise<Caller | undefined> {
    // The token itself is kept nowhere.
    const key = createHash('sha256').update(token).digest('base64');
    return await this.#callers.get(key, () => asClusterFailure('TokenReview', () => this.#review(token)));
  }

  async #review(token: string): Promise<Caller | undefined> {
    const body = Object.assign(new V1TokenReview(), {
      spec: Object.assign(new V1TokenReviewSpec(), { token, audiences: [AUDIENCE] }),
    });
    const { status } = await this.#authentication.createTokenReview({ body });
    const { username, uid, groups = [], extra } = status?.user ?? new V1UserInfo();
    // An API server that knows nothing of audiences names none.
    const isForUs = status?.authenticated === true && status.audiences?.includes(AUDIENCE) === true;
    if (!isForUs || username === undefined || username === '') return undefined;
    return { username, groups, ...(uid === undefined ? {} : { uid }), ...(extra === undefined ? {} : { extra }) };
  }

  async allows(caller: Caller, question: AccessQuestion): Promise<boolean> {
    const key = JSON.stringify([caller, question]);
    return await this.#answers.get(key, () =>
      asClusterFailure('SubjectAccessReview', () => this.#ask(caller, question)),
    );
  }

  async #ask({ username, uid, groups, extra }: Caller, question: AccessQuestion): Promise<boolean> {
    const spec = Object.assign(new V1SubjectAccessReviewSpec(), {
      user: username,
      groups: [...groups],
      ...(uid === undefined ? {} : { uid }),
      ...(extra === undefined ? {} : { extra }),
      resourceAttributes: Object.assign(new V1ResourceAttributes(), { group: 'meshlift.dev', ...question }),
    });
    const body = Object.assign(new V1SubjectAccessReview(), { spec });
    const { status } = await this.#authorization.createSubjectAccessReview({ body });
    return status?.allowed === true && status.denied !== true;
  }

  async listNamespaces(): Promise<readonly string[]> {
    return await this.#namespaces.get('all', () =>
      asClusterFailure('Namespaces', async () => {
        const { items } = await this.#core.listNamespace();
        return items.flatMap(({ metadata }) => metadata?.name ?? []);
      }),
    );
  }
}
