/** What pods ask for, and what nodes and quotas leave, in plain numbers: pure readings of what the Kubernetes API answers. */
import type { FoundImage, FoundNodes, FoundQuota, PodAmount, PodNeeds } from '../ports/cutover-port.ts';

type Quantities = Readonly<Record<string, string>>;

interface Resources {
  readonly requests?: Quantities;
  readonly limits?: Quantities;
}

interface Container {
  readonly image?: string;
  readonly imagePullPolicy?: string;
  readonly restartPolicy?: string;
  readonly resources?: Resources;
}

interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
}

interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

/** What is read of a pod's spec, or of its template's. */
export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly resources?: Resources;
  readonly overhead?: Quantities;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly Toleration[];
}

export interface RunningPod {
  readonly spec?: PodSpec & { readonly nodeName?: string };
  readonly status?: { readonly phase?: string };
}

export interface ClusterNode {
  readonly metadata?: { readonly name?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly Taint[] };
  readonly status?: {
    readonly allocatable?: Quantities;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly images?: readonly { readonly names?: readonly string[] }[];
  };
}

export interface Quota {
  readonly metadata?: { readonly name?: string };
  readonly spec?: {
    readonly scopes?: readonly string[];
    readonly scopeSelector?: { readonly matchExpressions?: readonly { readonly scopeName: string }[] };
  };
  readonly status?: { readonly hard?: Quantities; readonly used?: Quantities };
}

const factors: Readonly<Record<string, number>> = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};

/** A quantity as the API server writes it, e.g. `100m`, `1.5Gi`, `1e3` [apimachinery/pkg/api/resource]; 0 where there is none. */
export function quantityOf(text = '0'): number {
  const [, digits, suffix = ''] = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?$/.exec(text) ?? [];
  return Number(digits ?? 0) * (factors[suffix] ?? 1);
}

/** The scheduler counts in whole millicores, rounded up; the inner rounding takes off what binary fractions add. */
const millicoresOf = (text: string | undefined): number => Math.ceil(Math.round(quantityOf(text) * 1e6) / 1e3);
const bytesOf = (text: string | undefined): number => Math.ceil(quantityOf(text));

/** In the terms of a ResourceQuota. */
const amounts: readonly PodAmount[] = ['requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'];

/** Where a container says nothing but a limit, the API server takes that for its request. */
function statedOf({ requests, limits }: Resources = {}, amount: PodAmount): string | undefined {
  const [kind, resource = ''] = amount.split('.');
  return kind === 'limits' ? limits?.[resource] : (requests?.[resource] ?? limits?.[resource]);
}

const amountOf = (amount: PodAmount, text: string | undefined): number =>
  amount.endsWith('.cpu') ? millicoresOf(text) : bytesOf(text);

const staysOn = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always';

/** The containers together, or a step of its start where that needs more [k8s.io/component-helpers/resource]. */
function neededBy(spec: PodSpec, amount: PodAmount): number {
  const overhead = amountOf(amount, spec.overhead?.[amount.split('.')[1] ?? '']);
  const ofPod = statedOf(spec.resources, amount);
  if (ofPod !== undefined) return amountOf(amount, ofPod) + overhead;
  const needs = (container: Container): number => amountOf(amount, statedOf(container.resources, amount));
  let [beside, most] = [0, 0];
  for (const init of spec.initContainers ?? []) {
    most = Math.max(most, beside + needs(init));
    if (staysOn(init)) beside += needs(init);
  }
  const running = spec.containers.reduce((sum, container) => sum + needs(container), beside);
  return Math.max(most, running) + overhead;
}

/** By the template alone: a proxy that is injected asks for its own beside it, and a LimitRange may fill in what is not said. */
export function needsOf(spec: PodSpec): PodNeeds {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  return {
    amounts: Object.fromEntries(amounts.map((amount) => [amount, neededBy(spec, amount)])) as PodNeeds['amounts'],
    unstated: amounts.filter(
      (amount) =>
        statedOf(spec.resources, amount) === undefined &&
        containers.some(({ resources }) => statedOf(resources, amount) === undefined),
    ),
  };
}

/** `cpu` and `memory` mean requests. */
const limitedBy: Readonly<Record<string, FoundQuota['resource']>> = {
  ...{ pods: 'pods', cpu: 'requests.cpu', memory: 'requests.memory' },
  ...Object.fromEntries(amounts.map((amount) => [amount, amount])),
};
/** Those that pods of a Deployment with a proxy are in; by which of the others a pod is counted is not judged. */
const scopes = ['NotTerminating', 'NotBestEffort'];

export function quotaRoom({ metadata, spec, status }: Quota): readonly FoundQuota[] {
  const isOurs =
    (spec?.scopes ?? []).every((scope) => scopes.includes(scope)) &&
    (spec?.scopeSelector?.matchExpressions ?? []).every(({ scopeName }) => scopes.includes(scopeName));
  if (!isOurs) return [];
  return Object.entries(status?.hard ?? {}).flatMap(([key, hard]) => {
    const resource = limitedBy[key];
    if (resource === undefined) return [];
    const used = status?.used?.[key];
    const free =
      resource === 'pods' ? quantityOf(hard) - quantityOf(used) : amountOf(resource, hard) - amountOf(resource, used);
    return [{ name: metadata?.name ?? '', resource, free }];
  });
}

/** As many as a request may ask for. */
const MOST_PODS = 1000;
/** A kubelet reports the largest ones, as many as this at the most (`nodeStatusMaxImages`, by default). */
const MOST_IMAGES = 50;

/** What the nodes that may run pods of this template have for them, beside `pods`, those of every namespace. */
export function nodesFor(spec: PodSpec, nodes: readonly ClusterNode[], pods: readonly RunningPod[]): FoundNodes {
  const suited = nodes.filter((node) => mayRun(spec, node));
  const fitting = suited.map((node) => fittingPods(spec, node, pods));
  return {
    count: suited.length,
    podsThatFit: Math.min(
      MOST_PODS,
      fitting.reduce((sum, one) => sum + one, 0),
    ),
    images: imagesOf(spec, suited),
  };
}

/** By readiness, nodeSelector and taints. Affinity, spread and volumes are the scheduler's to weigh. */
function mayRun({ nodeSelector = {}, tolerations = [] }: PodSpec, { metadata, spec, status }: ClusterNode): boolean {
  const isReady = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
  const isSelected = Object.entries(nodeSelector).every(([key, value]) => metadata?.labels?.[key] === value);
  const keepsOff = (spec?.taints ?? []).filter(
    (taint) => taint.effect !== 'PreferNoSchedule' && !tolerations.some((one) => tolerates(one, taint)),
  );
  return isReady && isSelected && spec?.unschedulable !== true && keepsOff.length === 0;
}

function tolerates({ key = '', operator = 'Equal', value = '', effect = '' }: Toleration, taint: Taint): boolean {
  if (effect !== '' && effect !== taint.effect) return false;
  if (operator === 'Exists') return key === '' || key === taint.key;
  return key === taint.key && value === (taint.value ?? '');
}

/** Pods of one template are alike: each node takes as many as its scarcest resource allows. */
function fittingPods(spec: PodSpec, { metadata, status }: ClusterNode, pods: readonly RunningPod[]): number {
  const there = pods.filter(
    (pod) => pod.spec?.nodeName === metadata?.name && !['Succeeded', 'Failed'].includes(pod.status?.phase ?? ''),
  );
  const fits = (amount: PodAmount, resource: string): number => {
    const used = there.reduce((sum, pod) => sum + (pod.spec === undefined ? 0 : neededBy(pod.spec, amount)), 0);
    const needed = neededBy(spec, amount);
    return needed === 0 ? MOST_PODS : (amountOf(amount, status?.allocatable?.[resource]) - used) / needed;
  };
  const slots = quantityOf(status?.allocatable?.['pods']) - there.length;
  return Math.max(0, Math.floor(Math.min(slots, fits('requests.cpu', 'cpu'), fits('requests.memory', 'memory'))));
}

function imagesOf(spec: PodSpec, nodes: readonly ClusterNode[]): readonly FoundImage[] {
  const listed = nodes.map(({ status }) => ({
    names: new Set((status?.images ?? []).flatMap(({ names = [] }) => names.map(fullImageName))),
    isCutOff: (status?.images ?? []).length >= MOST_IMAGES,
  }));
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const found = new Map<string, FoundImage>();
  for (const { image = '', imagePullPolicy } of containers) {
    const full = fullImageName(image);
    const pullPolicy = imagePullPolicy ?? (full.endsWith(':latest') ? 'Always' : 'IfNotPresent');
    const without = listed.filter(({ names }) => !names.has(full));
    found.set(`${image} ${pullPolicy}`, {
      ...{ image, pullPolicy },
      onNodes: listed.length - without.length,
      maybeOnNodes: without.filter(({ isCutOff }) => isCutOff).length,
    });
  }
  return [...found.values()];
}

/** As container runtimes report it: `orders` is `docker.io/library/orders:latest`. A digest says more than the tag beside it. */
export function fullImageName(image: string): string {
  const [host = '', ...path] = image.split('/');
  const isHost = path.length > 0 && (/[.:]/.test(host) || host === 'localhost');
  const named = isHost ? image : path.length > 0 ? `docker.io/${image}` : `docker.io/library/${image}`;
  const withoutTag = named.replace(/:[^/@]+@/, '@');
  return /[:@]/.test(withoutTag.slice(withoutTag.lastIndexOf('/'))) ? withoutTag : `${withoutTag}:latest`;
}
