/** Clients of the Kubernetes API with a time-out on every call, and the vendor's errors as Meshlift's failures. */
import {
  AdmissionregistrationV1Api,
  ApiException,
  AppsV1Api,
  type Configuration,
  CoreV1Api,
  createConfiguration,
  CustomObjectsApi,
  type KubeConfig,
  KubernetesObjectApi,
  ServerConfiguration,
} from '@kubernetes/client-node';
import { ApplicationFailure } from '@temporalio/common';

import { failure, type FailureType } from '../failures.ts';
import { KeptConnections } from './kept-connections.ts';

/** Ample for one object, and short enough that a retry finds another API server soon. */
const callTimeoutMs = 15_000;

export interface KubernetesClient {
  readonly core: CoreV1Api;
  readonly apps: AppsV1Api;
  readonly admission: AdmissionregistrationV1Api;
  readonly custom: CustomObjectsApi;
  readonly objects: KubernetesObjectApi;
}

export function kubernetesClient(kubeConfig: KubeConfig): KubernetesClient {
  const configuration = clientConfiguration(kubeConfig);
  return {
    core: new CoreV1Api(configuration),
    apps: new AppsV1Api(configuration),
    admission: new AdmissionregistrationV1Api(configuration),
    custom: new CustomObjectsApi(configuration),
    objects: new KubernetesObjectApi(configuration),
  };
}

/** Every call ends within `timeoutMs`. */
export function clientConfiguration(kubeConfig: KubeConfig, timeoutMs = callTimeoutMs): Configuration {
  const server = kubeConfig.getCurrentCluster()?.server;
  if (server === undefined) throw new Error('The kubeconfig names no current cluster; set its current-context');
  const connections = KeptConnections.of(kubeConfig);
  return createConfiguration({
    baseServer: new ServerConfiguration(server, {}),
    httpApi: connections.sends(),
    authMethods: { default: connections },
    promiseMiddleware: [
      {
        pre: (context) => {
          context.setSignal(AbortSignal.timeout(timeoutMs));
          return Promise.resolve(context);
        },
        post: (context) => Promise.resolve(context),
      },
    ],
  });
}

/** The answer, or undefined where the object (or its kind) does not exist. */
export async function found<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const isNotFound = (error: unknown): boolean => error instanceof ApiException && error.code === 404;

/** Runs calls to the API; what they throw becomes a failure that names `what`. */
export async function asClusterFailure<T>(what: string, calls: () => Promise<T>): Promise<T> {
  try {
    return await calls();
  } catch (error) {
    throw clusterFailure(what, error);
  }
}

function clusterFailure(what: string, error: unknown): unknown {
  if (error instanceof ApplicationFailure) return error;
  if (error instanceof ApiException) {
    const { reason, message, kind } = statusOf(error.body);
    const [type, advice] = classify(error.code, reason, message, kind);
    return failure(type, `${what}: ${message === '' ? `HTTP ${error.code}` : message}; ${advice}`, error);
  }
  if (isTransport(error)) {
    const cause = isErrorLike(error.cause) ? error.cause.message : error.message;
    return failure(
      'ClusterUnreachable',
      `${what}: the Kubernetes API did not answer (${cause}); check its address`,
      error,
    );
  }
  return error;
}

function classify(code: number, reason: string, message: string, kind: string): readonly [FailureType, string] {
  if (code === 404 && (kind === 'namespaces' || message.startsWith('namespaces '))) {
    return ['NamespaceMissing', 'create the namespace first'];
  }
  if (/admission webhook .* denied/.test(message)) return ['ObjectRejected', 'correct what the webhook names'];
  // The API server answers 500 where a field is not of the kind's schema.
  if (message.includes('failed to create typed patch object')) return ['ObjectRejected', 'correct the field'];
  if (code === 401) return ['ClusterForbidden', "check the kubeconfig's credentials"];
  if (code === 403 && reason === 'Forbidden') return ['ClusterForbidden', "grant it to Meshlift's account"];
  if (code === 409) return ['ClusterConflict', 'it is tried again'];
  if (code === 429 || code >= 500) return ['ClusterUnreachable', 'it is tried again'];
  return ['ObjectRejected', 'correct the request, or install what it needs'];
}

/** The Status object that the API server answers errors with. */
function statusOf(body: unknown): { readonly reason: string; readonly message: string; readonly kind: string } {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  let status: unknown = body;
  if (typeof body === 'string') {
    try {
      status = JSON.parse(body);
    } catch {
      return { reason: '', message: body.trim().slice(0, 300), kind: '' };
    }
  }
  if (typeof status !== 'object' || status === null) return { reason: '', message: '', kind: '' };
  const { reason, message, details } = status as { reason?: unknown; message?: unknown; details?: { kind?: unknown } };
  return { reason: text(reason), message: text(message), kind: text(details?.kind) };
}

interface ErrorLike {
  readonly name: string;
  readonly message: string;
  readonly cause?: unknown;
}

/** Time-outs are a DOMException, which is no Error everywhere. */
const isErrorLike = (error: unknown): error is ErrorLike =>
  typeof error === 'object' && error !== null && 'name' in error && 'message' in error;

/** undici's `fetch failed`, a time-out, or a socket's error code. */
const isTransport = (error: unknown): error is ErrorLike =>
  isErrorLike(error) &&
  (error.message === 'fetch failed' || ['TimeoutError', 'AbortError'].includes(error.name) || 'code' in error);
