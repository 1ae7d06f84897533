/** What pods ask for, and what nodes and quotas leave, as the Kubernetes API writes it. */
import { describe, expect, test } from '@jest/globals';
import {
  type ClusterNode,
  type PodSpec,
  type Quota,
  type RunningPod,
  fullImageName,
  needsOf,
  nodesFor,
  quantityOf,
  quotaRoom,
} from '../../activities/adapters/pod-resources.ts';

test.each<[string | undefined, number]>([
  ['100m', 0.1],
  ['2', 2],
  ['0.5', 0.5],
  ['1500000000n', 1.5],
  ['1e3', 1000],
  ['1E3', 1000],
  ['12E', 12e18],
  ['1k', 1000],
  ['128Mi', 134_217_728],
  ['1.5Gi', 1_610_612_736],
  ['-1', -1],
  [undefined, 0],
])('the quantity %s is %d', (text, wanted) => {
  expect(quantityOf(text)).toBeCloseTo(wanted, 9);
});

test.each([
  ['orders', 'docker.io/library/orders:latest'],
  ['team/orders:2', 'docker.io/team/orders:2'],
  ['localhost/orders:2', 'localhost/orders:2'],
  ['registry.example:5000/orders', 'registry.example:5000/orders:latest'],
  ['example.com/orders:2@sha256:abc', 'example.com/orders@sha256:abc'],
  ['example.com/orders@sha256:abc', 'example.com/orders@sha256:abc'],
])('the image %s is %s', (image, full) => {
  expect(fullImageName(image)).toBe(full);
});

const asks = (cpu?: string, memory?: string, limits?: Record<string, string>) => ({
  requests: { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) },
  ...(limits === undefined ? {} : { limits }),
});
const spec = (more: Partial<PodSpec> = {}): PodSpec => ({
  containers: [{ image: 'orders:2', imagePullPolicy: 'IfNotPresent', resources: asks('500m', '1Gi') }],
  ...more,
});
const GIBIBYTE = 2 ** 30;

describe('a pod asks for', () => {
  const requests = (of: PodSpec): number[] => {
    const { amounts } = needsOf(of);
    return [amounts['requests.cpu'], amounts['requests.memory'] / GIBIBYTE];
  };

  test.each<[string, PodSpec, number[]]>([
    ['what its container does', spec(), [500, 1]],
    [
      'what all of its containers do',
      spec({
        containers: [{ resources: asks('70m', '1Gi') }, { resources: asks('70m', '1Gi') }],
      }),
      [140, 2],
    ],
    [
      'what a step of its start does, where that is more',
      spec({ initContainers: [{ resources: asks('2', '512Mi') }] }),
      [2000, 1],
    ],
    [
      'what a container that stays beside it does as well',
      spec({ initContainers: [{ restartPolicy: 'Always', resources: asks('100m', '1Gi') }] }),
      [600, 2],
    ],
    [
      'its limit, where no request is said',
      spec({ containers: [{ resources: { limits: { cpu: '1', memory: '2Gi' } } }] }),
      [1000, 2],
    ],
    ['what its runtime adds', spec({ overhead: { cpu: '250m', memory: '1Gi' } }), [750, 2]],
    ['what is said of the pod as a whole', spec({ resources: asks('3', '4Gi') }), [3000, 4]],
    ['nothing, where nothing is said', spec({ containers: [{}] }), [0, 0]],
  ])('%s', (_, of, wanted) => {
    expect(requests(of)).toEqual(wanted);
  });

  test('what it does not say is told', () => {
    expect(needsOf(spec()).unstated).toEqual(['limits.cpu', 'limits.memory']);
    const limited = spec({ containers: [{ resources: { limits: { cpu: '1' } } }] });
    expect(needsOf(limited).unstated).toEqual(['requests.memory', 'limits.memory']);
  });
});

const labels = { zone: 'a' };
const node = (
  name: string,
  more: Partial<ClusterNode['spec']> = {},
  images: string[] = [],
  isReady = true,
): ClusterNode => ({
  metadata: { name, labels },
  spec: { ...more },
  status: {
    allocatable: { cpu: '2', memory: '4Gi', pods: '110' },
    conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
    images: images.map((image) => ({ names: [image] })),
  },
});
const pod = (nodeName: string, cpu: string, phase = 'Running'): RunningPod => ({
  spec: { nodeName, containers: [{ resources: asks(cpu) }] },
  status: { phase },
});
const tainted = { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] };
const tolerant = (toleration: object) => spec({ tolerations: [toleration] });

describe('room', () => {
  test.each<[string, PodSpec, ClusterNode[], RunningPod[], [count: number, podsThatFit: number]]>([
    ['is what the scarcest resource of each node allows', spec(), [node('a'), node('b')], [], [2, 8]],
    ['is less by what runs there', spec(), [node('a'), node('b')], [pod('a', '1200m'), pod('b', '100m')], [2, 4]],
    ['is not less by what has ended', spec(), [node('a')], [pod('a', '2', 'Succeeded')], [1, 4]],
    ['is none where more runs than fits', spec(), [node('a')], [pod('a', '3')], [1, 0]],
    [
      'does not add up over nodes',
      spec({ containers: [{ resources: asks('3') }] }),
      [node('a'), node('b')],
      [],
      [2, 0],
    ],
    ['is bounded by the pods of a node', spec({ containers: [{}] }), [node('a')], [pod('a', '1')], [1, 109]],
    ['is not on a node that is cordoned', spec(), [node('a', { unschedulable: true })], [], [0, 0]],
    ['is not on a node that is not ready', spec(), [node('a', {}, [], false)], [], [0, 0]],
    ['is not on a node that keeps pods off', spec(), [node('a', tainted)], [], [0, 0]],
    ['is on one whose taint is tolerated', tolerant({ key: 'gpu', value: 'yes' }), [node('a', tainted)], [], [1, 4]],
    [
      'is on one whose taint is tolerated as all are',
      tolerant({ operator: 'Exists' }),
      [node('a', tainted)],
      [],
      [1, 4],
    ],
    [
      'is not where another value is tolerated',
      tolerant({ key: 'gpu', value: 'no' }),
      [node('a', tainted)],
      [],
      [0, 0],
    ],
    [
      'is on a node that is only kept for last',
      spec(),
      [node('a', { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] })],
      [],
      [1, 4],
    ],
    ['is where the nodeSelector says', spec({ nodeSelector: labels }), [node('a')], [], [1, 4]],
    ['is nowhere else', spec({ nodeSelector: { zone: 'b' } }), [node('a')], [], [0, 0]],
  ])('%s', (_, of, nodes, pods, wanted) => {
    const { count, podsThatFit } = nodesFor(of, nodes, pods);
    expect([count, podsThatFit]).toEqual(wanted);
  });

  test('is told up to the most that a request asks for', () => {
    const free = spec({ containers: [{}] });
    const nodes = Array.from({ length: 20 }, (_, index) => node(`n${index}`));
    expect(nodesFor(free, nodes, []).podsThatFit).toBe(1000);
  });
});

test('an image is counted where nodes list it, and may be where their lists are full', () => {
  const full = Array.from({ length: 50 }, (_, index) => `example.com/other:${index}`);
  const nodes = [node('a', {}, ['docker.io/library/orders:2']), node('b', {}, full), node('c')];
  const of = spec({ initContainers: [{ image: 'example.com/other:7', imagePullPolicy: 'Never' }] });
  expect(nodesFor(of, nodes, []).images).toEqual([
    { image: 'example.com/other:7', pullPolicy: 'Never', onNodes: 1, maybeOnNodes: 0 },
    { image: 'orders:2', pullPolicy: 'IfNotPresent', onNodes: 1, maybeOnNodes: 1 },
  ]);
});

describe('a quota', () => {
  const quota = (more: Quota['spec'] = {}): Quota => ({
    metadata: { name: 'team' },
    spec: more,
    status: {
      hard: { pods: '5', cpu: '2', 'requests.memory': '4Gi', 'limits.cpu': '4', 'count/secrets': '9' },
      used: { pods: '2', cpu: '500m', 'limits.cpu': '4500m' },
    },
  });

  test('leaves what is not used of it, in the terms of requests and limits', () => {
    expect(quotaRoom(quota())).toEqual([
      { name: 'team', resource: 'pods', free: 3 },
      { name: 'team', resource: 'requests.cpu', free: 1500 },
      { name: 'team', resource: 'requests.memory', free: 4 * GIBIBYTE },
      { name: 'team', resource: 'limits.cpu', free: -500 },
    ]);
  });

  test.each<[string, Quota['spec'], boolean]>([
    ['pods that run on', { scopes: ['NotTerminating'] }, true],
    ['pods that end', { scopes: ['Terminating'] }, false],
    ['pods of a priority', { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass' }] } }, false],
  ])('of %s', (_, more, counts) => {
    expect(quotaRoom(quota(more)).length > 0).toBe(counts);
  });
});
