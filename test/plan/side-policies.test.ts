/** What policies hold for machines and for pods: one row per difference that callers would meet. */
import { describe, expect, test } from '@jest/globals';

import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { CutoverFacts } from '../../activities/ports/cutover-port.ts';
import { cutoverConditions } from '../../workflows/plan/cutover-checks.ts';

const now = '2026-01-01T00:00:00.000Z';
const root = 'istio-system';
const entry = (machine: string) => ({
  ...{ name: machine, address: '192.0.2.1', isHealthy: true },
  labels: { app: 'orders', 'meshlift.dev/machine': machine },
});
const facts: CutoverFacts = {
  ...{ host: 'orders.shop.svc.cluster.local', otherServices: [], routes: [], gatewayRoutes: [], objects: [] },
  ...{ entries: [entry('orders-1'), entry('orders-2')], policies: [], ownPolicies: [], rootNamespace: root },
  deployment: {
    ...{ replicas: 0, readyReplicas: 0, gitOps: [], isInjected: true, serviceAccount: 'orders', containers: [] },
    labels: { app: 'orders', version: 'v2' },
  },
};

function told(type: string, more: Partial<CutoverFacts>) {
  const request = {
    ...{ name: 'move', namespace: 'shop', workloadGroup: 'orders', service: 'orders' },
    ...{ target: { deployment: 'orders' }, steps: [{ weight: 100 }] },
  };
  const input = { request, facts: { ...facts, ...more }, machines: [] };
  return cutoverConditions(input, now).find((one) => one.type === type);
}

const policy = (kind: string, spec: object, namespace = 'shop', name = 'theirs'): KubernetesObject => ({
  ...{ apiVersion: 'security.istio.io/v1', kind, spec },
  metadata: { namespace, name },
});
const of = (matchLabels: object) => ({ selector: { matchLabels } });
const machineOnly = (machine: string) => of({ 'meshlift.dev/machine': machine });
const podsOnly = of({ version: 'v2' });
const mtls = (mode: string, more: object = {}, namespace = 'shop') =>
  policy('PeerAuthentication', { ...more, mtls: { mode } }, namespace);
const fromShop = { from: [{ source: { namespaces: ['shop'] } }] };
const allow = (more: object = {}, namespace = 'shop') =>
  policy('AuthorizationPolicy', { ...more, action: 'ALLOW', rules: [fromShop] }, namespace);

/** As Meshlift writes them for a machine. */
const observed = (machine: string): KubernetesObject[] => [mtls('PERMISSIVE', machineOnly(machine))];
const enforced = (machine: string): KubernetesObject[] => [
  mtls('STRICT', machineOnly(machine)),
  allow(machineOnly(machine)),
];
const both = [...enforced('orders-1'), ...enforced('orders-2')];

describe('policies of the whole mesh', () => {
  test.each<[string, KubernetesObject, string]>([
    ['without a selector are those of both sides', allow({}, root), 'SamePolicies'],
    ['that select pods alone are told', allow(podsOnly, root), 'OtherPolicies'],
    ['that select a machine alone are told', allow(machineOnly('orders-1'), root), 'OtherPolicies'],
    ['that Istio does not obey are not', mtls('STRICT', podsOnly, root), 'SamePolicies'],
  ])('%s', (_, theirs, reason) => {
    expect(told('SamePolicies', { policies: [theirs] })?.reason).toBe(reason);
  });

  test('are named with their namespace', () => {
    expect(told('SamePolicies', { policies: [allow(podsOnly, root)] })?.message).toContain(
      'AuthorizationPolicy istio-system/theirs (pods, 0 of 2 machines)',
    );
  });
});

describe('protection by Meshlift', () => {
  const plaintext = 'take plaintext';
  const everybody = 'calls of every namespace';
  const nothing = [plaintext, everybody];

  test.each<[string, Partial<CutoverFacts>, string[]]>([
    ['no machine has', { ownPolicies: observed('orders-1') }, []],
    ['pods lack as a whole', { ownPolicies: both }, nothing],
    ['one of the machines has', { ownPolicies: [...enforced('orders-1'), ...observed('orders-2')] }, nothing],
    ['pods have of their own', { ownPolicies: both, policies: [mtls('STRICT', podsOnly), allow(podsOnly)] }, []],
    ['pods have by their namespace', { ownPolicies: both, policies: [mtls('STRICT'), allow()] }, []],
    ['pods have by the mesh', { ownPolicies: both, policies: [mtls('STRICT', {}, root), allow({}, root)] }, []],
    ['pods have against plaintext alone', { ownPolicies: both, policies: [mtls('STRICT')] }, [everybody]],
    ['pods have against other namespaces alone', { ownPolicies: both, policies: [allow(podsOnly)] }, [plaintext]],
    [
      'the namespace takes from what the mesh gives',
      { ownPolicies: both, policies: [mtls('STRICT', {}, root), mtls('PERMISSIVE'), allow()] },
      [plaintext],
    ],
    [
      'the namespace leaves to the mesh',
      { ownPolicies: both, policies: [mtls('STRICT', {}, root), mtls('UNSET'), allow()] },
      [],
    ],
    [
      'a policy for other pods does not give',
      { ownPolicies: both, policies: [mtls('STRICT', of({ app: 'bank' })), allow(of({ app: 'bank' }))] },
      nothing,
    ],
    [
      'a policy that lets everybody through does not give',
      { ownPolicies: both, policies: [mtls('STRICT'), policy('AuthorizationPolicy', { rules: [{}] })] },
      [everybody],
    ],
    [
      'a refusal of other namespaces gives',
      {
        ownPolicies: both,
        policies: [
          mtls('STRICT'),
          policy('AuthorizationPolicy', {
            action: 'DENY',
            rules: [{ from: [{ source: { notNamespaces: ['shop'] } }] }],
          }),
        ],
      },
      [],
    ],
    [
      'a refusal of a path does not give',
      {
        ownPolicies: both,
        policies: [
          mtls('STRICT'),
          policy('AuthorizationPolicy', { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] }),
        ],
      },
      [everybody],
    ],
  ])('that %s', (_, more, lacks) => {
    const condition = told('ProtectionKept', more);
    const reason = lacks.length === 0 ? 'ProtectionKept' : 'PodsUnprotected';
    expect(condition).toMatchObject({ reason, category: 'Warning' });
    expect(nothing.filter((one) => condition?.message.includes(one))).toEqual(lacks);
  });

  test('is told with the machines that have it', () => {
    const ownPolicies = [...enforced('orders-1'), ...observed('orders-2')];
    expect(told('ProtectionKept', { ownPolicies })?.message).toMatch(/the enforced machines orders-1 refuse; apply/);
  });
});
