/** Whether the cluster can run the pods of a migration: one row per finding. */
import { describe, expect, test } from '@jest/globals';

import type {
  CutoverFacts,
  FoundImage,
  FoundNodes,
  FoundQuota,
  PodNeeds,
} from '../../activities/ports/cutover-port.ts';
import type { Condition } from '../../api/schemas/common.ts';
import { cutoverConditions } from '../../workflows/plan/cutover-checks.ts';

const now = '2026-01-01T00:00:00.000Z';
const MEBIBYTE = 2 ** 20;
const needs: PodNeeds = {
  amounts: {
    ...{ 'requests.cpu': 500, 'requests.memory': 256 * MEBIBYTE },
    ...{ 'limits.cpu': 1000, 'limits.memory': 512 * MEBIBYTE },
  },
  unstated: [],
};
const facts: CutoverFacts = {
  ...{ host: 'orders.shop.svc.cluster.local', otherServices: [], entries: [], routes: [], gatewayRoutes: [] },
  ...{ policies: [], objects: [] },
  deployment: {
    ...{ replicas: 0, readyReplicas: 0, gitOps: [], labels: {}, isInjected: true, serviceAccount: 'orders', needs },
    containers: [],
  },
};

/** Of a request for four pods. */
function conditionOf(type: string, more: Partial<CutoverFacts>): Condition | undefined {
  const request = {
    ...{ name: 'move', namespace: 'shop', workloadGroup: 'orders', service: 'orders' },
    ...{ target: { deployment: 'orders', replicas: 4 }, steps: [{ weight: 100 }] },
  };
  const conditions = cutoverConditions({ request, facts: { ...facts, ...more }, machines: [] }, now);
  return conditions.find((one) => one.type === type);
}

const nodes = (more: Partial<FoundNodes> = {}): FoundNodes => ({ count: 3, podsThatFit: 9, images: [], ...more });
const image = (pullPolicy: string, onNodes: number, maybeOnNodes = 0): FoundImage => ({
  ...{ image: 'orders:2', pullPolicy, onNodes, maybeOnNodes },
});
const holding = 'ImagesPresent';

describe('of images', () => {
  test.each<[string, FoundImage[], string, Condition['category'], string]>([
    ['every node has it', [image('IfNotPresent', 3)], holding, 'Critical', 'Each of 3 nodes has orders:2'],
    ['it may not be pulled, and every node has it', [image('Never', 3)], holding, 'Critical', 'has orders:2'],
    [
      'it may not be pulled, and no node has it',
      [image('Never', 0), image('IfNotPresent', 0)],
      ...(['ImageMissing', 'Critical', 'orders:2 (on 0 of 3 nodes) may not be pulled'] as const),
    ],
    [
      'it may not be pulled, and no list that is whole has it',
      [image('Never', 0, 1)],
      ...(['ImageNotOnEveryNode', 'Warning', 'A node tells of 50 images at the most'] as const),
    ],
    [
      'it may not be pulled, and some nodes have it',
      [image('Never', 1)],
      ...(['ImageNotOnEveryNode', 'Warning', 'orders:2 (on 1 of 3 nodes) may not be pulled'] as const),
    ],
    [
      'some nodes have it',
      [image('IfNotPresent', 1)],
      ...(['ImagesPulled', 'Advisory', 'not tried beforehand: orders:2 (on 1 of 3 nodes)'] as const),
    ],
    ['it is pulled whatever is there', [image('Always', 3)], 'ImagesPulled', 'Advisory', 'orders:2 (always)'],
  ])('is told where %s', (_, images, reason, category, message) => {
    expect(conditionOf('ImagesPresent', { nodes: nodes({ images }) })).toMatchObject({
      ...{ status: reason === holding ? 'True' : 'False', reason, category },
      message: expect.stringContaining(message) as unknown,
    });
  });

  test('nothing is told where no node may run the pods', () => {
    const none = nodes({ count: 0, podsThatFit: 0, images: [image('Never', 0)] });
    expect(conditionOf('ImagesPresent', { nodes: none })).toBeUndefined();
    expect(conditionOf('RoomOnNodes', { nodes: none })?.reason).toBe('NoRoomOnNodes');
  });
});

describe('of nodes', () => {
  const running = { deployment: { ...facts.deployment, replicas: 3, readyReplicas: 3 } } as Partial<CutoverFacts>;

  test.each<[string, Partial<CutoverFacts>, string | undefined, string]>([
    ['all pods fit', { nodes: nodes({ podsThatFit: 4 }) }, 'RoomOnNodes', '4 pods fit on 3 nodes'],
    ['some fit', { nodes: nodes({ podsThatFit: 3 }) }, 'NoRoomOnNodes', '3 of 4 pods of Deployment orders fit now'],
    ['some run already', { ...running, nodes: nodes({ podsThatFit: 1 }) }, 'RoomOnNodes', '1 pods fit'],
    ['they may not be listed', { nodesUnread: true }, 'NodesUnread', 'bind ClusterRole meshlift-facts'],
    ['nobody looked', {}, undefined, ''],
  ])('is told where %s', (_, more, reason, message) => {
    const condition = conditionOf('RoomOnNodes', more);
    expect(condition?.reason).toBe(reason);
    expect(condition?.message ?? '').toContain(message);
    expect(condition?.category).not.toBe('Critical');
  });
});

describe('of quotas', () => {
  const quota = (resource: FoundQuota['resource'], free: number): FoundQuota => ({ name: 'team', resource, free });
  const silent = { deployment: { ...facts.deployment, needs: { ...needs, unstated: ['limits.cpu'] } } };

  test.each<[string, Partial<CutoverFacts>, string | undefined, string]>([
    ['none is set', { quotas: [] }, undefined, ''],
    ['there is room', { quotas: [quota('pods', 4), quota('requests.cpu', 2000)] }, 'RoomForPods', 'pods 4 of team'],
    ['pods are too few', { quotas: [quota('pods', 3)] }, 'QuotaTooSmall', 'pods 3 of team for 4; raise them'],
    [
      'CPU is too little',
      { quotas: [quota('requests.cpu', 1999)] },
      'QuotaTooSmall',
      'requests.cpu 1999m of team for 2000m',
    ],
    [
      'memory is too little',
      { quotas: [quota('requests.memory', 1000 * MEBIBYTE)] },
      ...(['QuotaTooSmall', 'requests.memory 1000Mi of team for 1024Mi'] as const),
    ],
    ['limits of CPU are too low', { quotas: [quota('limits.cpu', 3000)] }, 'QuotaTooSmall', 'limits.cpu 3000m'],
    [
      'limits of memory are too low, and CPU is too little',
      { quotas: [quota('limits.memory', 0), quota('requests.cpu', 0)] },
      ...(['QuotaTooSmall', 'limits.memory 0Mi of team for 2048Mi, requests.cpu 0m of team for 2000m'] as const),
    ],
    [
      'a container says nothing of what is limited',
      { ...silent, quotas: [quota('limits.cpu', 9000)] } as Partial<CutoverFacts>,
      ...(['RequestsMissing', 'does not say its limits.cpu'] as const),
    ],
  ])('is told where %s', (_, more, reason, message) => {
    const condition = conditionOf('RoomForPods', more);
    expect(condition?.reason).toBe(reason);
    expect(condition?.message ?? '').toContain(message);
    expect(condition?.category).toBe(
      reason === undefined ? undefined : reason === 'RequestsMissing' ? 'Warning' : 'Critical',
    );
  });
});
