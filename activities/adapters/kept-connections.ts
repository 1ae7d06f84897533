/**
 * Connections to the API server, kept for the calls that follow. The library makes a dispatcher for each call, and with it a connection
 * and a TLS handshake (@kubernetes/client-node 2.0.1, `applySecurityAuthentication` in config.js), which cost both sides more than most
 * calls do.
 */
import type { RequestOptions } from 'node:https';

import {
  type Configuration,
  createConfiguration,
  type KubeConfig,
  type RequestContext,
  type ResponseContext,
  type SecurityAuthentication,
  wrapHttpLibrary,
} from '@kubernetes/client-node';

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>;

/** One for all clients of a kubeconfig. */
const known = new WeakMap<KubeConfig, KeptConnections>();

export class KeptConnections implements SecurityAuthentication {
  readonly #kubeConfig: KubeConfig;
  #kept: { readonly credentials: string; readonly dispatcher: Dispatcher } | undefined;

  private constructor(kubeConfig: KubeConfig) {
    this.#kubeConfig = kubeConfig;
  }

  static of(kubeConfig: KubeConfig): KeptConnections {
    const kept = known.get(kubeConfig) ?? new KeptConnections(kubeConfig);
    known.set(kubeConfig, kept);
    return kept;
  }

  getName(): string {
    return this.#kubeConfig.getName();
  }

  async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await this.#kubeConfig.applySecurityAuthentication(context);
    const dispatcher = context.getDispatcher();
    if (dispatcher === undefined) return;
    const credentials = await this.#credentials();
    if (this.#kept?.credentials !== credentials) {
      void this.#kept?.dispatcher.close();
      this.#kept = { credentials, dispatcher };
    }
    context.setDispatcher(this.#kept.dispatcher);
  }

  /** Renewed ones have connections of their own. A token is a header of each call, and none of them. */
  async #credentials(): Promise<string> {
    const options: RequestOptions = {};
    await this.#kubeConfig.applyToHTTPSOptions(options);
    const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = options;
    return JSON.stringify([ca, cert, key, pfx, passphrase, servername, rejectUnauthorized].map(String));
  }

  /** As the library sends, but that the call after one without an answer makes connections anew: those kept may lead nowhere. */
  sends(): Configuration['httpApi'] {
    const library = createConfiguration().httpApi;
    return wrapHttpLibrary({
      send: async (request): Promise<ResponseContext> => {
        try {
          return await library.send(request).toPromise();
        } catch (error) {
          this.#forget(request.getDispatcher());
          throw error;
        }
      },
    });
  }

  /** Calls that are under way on it end as they do. */
  #forget(dispatcher: Dispatcher | undefined): void {
    if (dispatcher === undefined || this.#kept?.dispatcher !== dispatcher) return;
    this.#kept = undefined;
    void dispatcher.close();
  }
}
