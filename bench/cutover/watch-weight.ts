/** When a VirtualService of a namespace first sends a share to its second side, as the API server tells its watchers. */
import { KubeConfig, Watch } from '@kubernetes/client-node';

interface Routed {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly http?: readonly { readonly route?: readonly { readonly weight?: number }[] }[] };
}

/** Resolves with `performance.now()` of that moment. */
export async function watchWeight(kubeconfig: string, namespace: string): Promise<number> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const path = `/apis/networking.istio.io/v1/namespaces/${namespace}/virtualservices`;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const abort = await new Watch(config).watch(
    path,
    {},
    (_, object: Routed) => {
      const shares = (object.spec.http ?? []).map(({ route }) => route?.[1]?.weight ?? 0);
      if (object.metadata.name !== 'edge' && shares.some((share) => share > 0)) resolve(performance.now());
    },
    (error: unknown) => {
      reject(error instanceof Error ? error : new Error('The watch ended before the write was seen'));
    },
  );
  return await promise.finally(() => {
    abort.abort();
  });
}
