/** The part of a migration's preflight that judges whether the cluster can run the pods: their images, the nodes, the quotas. */
import type { FoundImage, FoundQuota } from '../../activities/ports/cutover-port.ts';
import type { CutoverCheck, CutoverInput } from './cutover-checks.ts';
import { deploymentOf } from './migration-target.ts';
import { replicasOf } from './target-checks.ts';
import { fails, holds, listed, unknown } from './verdicts.ts';

/** Those that a run before has left are there already. */
function podsToStart(input: CutoverInput): number {
  return Math.max(0, replicasOf(input) - (input.facts.deployment?.readyReplicas ?? 0));
}

/**
 * Whether a registry gives an image out is known when a kubelet asks it. What is certain before is that an image which may not be
 * pulled has to be there: Critical, where every node tells all that it has.
 */
const imagesPresent: CutoverCheck = ({ request: { target }, facts: { nodes } }) => {
  if (nodes === undefined || nodes.count === 0) return undefined;
  const type = 'ImagesPresent';
  const { count, images } = nodes;
  const place = ({ image, onNodes }: FoundImage): string => `${image} (on ${onNodes} of ${count} nodes)`;
  const isListed = ({ onNodes }: FoundImage): boolean => onNodes === count;
  const kept = images.filter(({ pullPolicy }) => pullPolicy === 'Never');
  const absent = kept.filter(({ onNodes, maybeOnNodes }) => onNodes === 0 && maybeOnNodes === 0);
  if (absent.length > 0) {
    return fails(
      type,
      'ImageMissing',
      `${listed(absent.map(place))} may not be pulled (imagePullPolicy Never of Deployment ${deploymentOf(target)}); load it on the nodes, which tell of it within a minute, or change the policy`,
    );
  }
  const unproven = kept.filter((image) => !isListed(image));
  if (unproven.length > 0) {
    return fails(
      type,
      'ImageNotOnEveryNode',
      `${listed(unproven.map(place))} may not be pulled (imagePullPolicy Never of Deployment ${deploymentOf(target)}), and pods start only where it is; load it on every node. A node tells of 50 images at the most, so one that has more may have it`,
      'Warning',
    );
  }
  const pulled = images.filter(
    (image) => image.pullPolicy === 'Always' || (image.pullPolicy !== 'Never' && !isListed(image)),
  );
  if (pulled.length > 0) {
    const named = pulled.map((image) => (image.pullPolicy === 'Always' ? `${image.image} (always)` : place(image)));
    return fails(
      type,
      'ImagesPulled',
      `Where a node does not have it an image is pulled, which is not tried beforehand: ${listed(named)}; a node tells of 50 images at the most`,
      'Advisory',
    );
  }
  return holds(type, `Each of ${count} nodes has ${listed(images.map(({ image }) => image))}`);
};

/** Never Critical: an autoscaler may bring nodes, other pods may leave, and startPods waits behind the guard, where it costs nobody. */
const roomOnNodes: CutoverCheck = (input) => {
  const { nodes, nodesUnread } = input.facts;
  const type = 'RoomOnNodes';
  if (nodesUnread === true) {
    return unknown(
      type,
      'NodesUnread',
      'Nodes may not be listed, so neither their room nor their images are judged; bind ClusterRole meshlift-facts of deploy/ as it is',
      'Advisory',
    );
  }
  if (nodes === undefined) return undefined;
  const [wanted, { podsThatFit, count }] = [podsToStart(input), nodes];
  const basis = 'by the requests of their template, without their proxies and without affinity';
  if (podsThatFit >= wanted) return holds(type, `${wanted} pods fit on ${count} nodes, ${basis}`, 'Warning');
  return fails(
    type,
    'NoRoomOnNodes',
    `${podsThatFit} of ${wanted} pods of Deployment ${deploymentOf(input.request.target)} fit now on the ${count} nodes that may run them, ${basis}; make room, unless a cluster autoscaler adds nodes: startPods waits for all of them`,
    'Warning',
  );
};

const MEBIBYTE = 2 ** 20;

/** Amounts of CPU are in millicores, of memory in bytes. */
function amountText(resource: FoundQuota['resource'], amount: number): string {
  if (resource === 'pods') return String(amount);
  return resource.endsWith('.cpu') ? `${amount}m` : `${Math.round(amount / MEBIBYTE)}Mi`;
}

const roomForPods: CutoverCheck = (input) => {
  const { quotas = [], deployment } = input.facts;
  if (quotas.length === 0) return undefined;
  const type = 'RoomForPods';
  const wanted = podsToStart(input);
  const neededOf = ({ resource }: FoundQuota): number =>
    resource === 'pods' ? wanted : wanted * (deployment?.needs?.amounts[resource] ?? 0);
  const text = (quota: FoundQuota): string =>
    `${quota.resource} ${amountText(quota.resource, quota.free)} of ${quota.name}`;
  const small = quotas.filter((quota) => quota.free < neededOf(quota));
  if (small.length > 0) {
    const told = small.map((quota) => `${text(quota)} for ${amountText(quota.resource, neededOf(quota))}`);
    return fails(
      type,
      'QuotaTooSmall',
      `ResourceQuotas of namespace ${input.request.namespace} leave too little for the ${wanted} pods that are to start: ${listed(told)}; raise them`,
    );
  }
  const silent = quotas.filter(({ resource }) => deployment?.needs?.unstated.some((one) => one === resource) === true);
  if (silent.length > 0) {
    return fails(
      type,
      'RequestsMissing',
      `A container of Deployment ${deploymentOf(input.request.target)} does not say its ${listed(silent.map(({ resource }) => resource))}, by which ResourceQuotas of namespace ${input.request.namespace} refuse pods unless a LimitRange fills it in; say it`,
      'Warning',
    );
  }
  return holds(type, `ResourceQuotas leave room: ${listed(quotas.map(text))}`);
};

export const roomChecks: readonly CutoverCheck[] = [imagesPresent, roomOnNodes, roomForPods];
