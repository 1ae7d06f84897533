import { describe, expect, test } from '@jest/globals';

import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import { describeEnforce, filesOfEnforce, planEnforce, policyMissing } from '../../workflows/plan/enforce-plan.ts';
import { fresh, memberMachine } from './facts.ts';

const policy = (kind: string, spec: object = {}): KubernetesObject => ({
  apiVersion: 'security.istio.io/v1',
  kind,
  metadata: { name: 'meshlift-orders-1', namespace: 'shop' },
  spec,
});
const observed = [policy('PeerAuthentication', { mode: 'PERMISSIVE' }), policy('Sidecar')];
const enforced = [policy('PeerAuthentication', { mode: 'STRICT' }), policy('Sidecar'), policy('AuthorizationPolicy')];

const plan = (
  found: readonly KubernetesObject[],
  wanted: readonly KubernetesObject[],
  machine: Partial<MachineFacts>,
  enforcement: 'observe' | 'enforce' = 'enforce',
  excludedPorts: readonly number[] = [],
) =>
  planEnforce({
    ...fresh,
    cluster: { ...fresh.cluster, objects: found },
    machine: { ...memberMachine, ...machine },
    rendered: { ...fresh.rendered, objects: wanted, enforcement, excludedPorts },
  });

describe('a plan', () => {
  test('is empty where both sides are as asked for', () => {
    expect(plan(enforced, enforced, { isEnforced: true })).toEqual([]);
  });

  test('changes policies that differ, then the machine, and keeps what stood before', () => {
    const changes = plan(observed, enforced, { excludedPorts: [25] });
    expect(changes.map(({ step }) => step)).toEqual(['applyPolicies', 'setEnforcement', 'confirmEnforcement']);
    expect(changes[0]).toMatchObject({
      apply: [{ kind: 'PeerAuthentication' }, { kind: 'AuthorizationPolicy' }],
      remove: [],
      before: observed,
    });
    expect(changes[1]).toMatchObject({ mode: 'enforce', before: { mode: 'observe', excludePorts: [25] } });
  });

  test('takes the AuthorizationPolicy away on the way back', () => {
    const [change] = plan(enforced, observed, { isEnforced: true }, 'observe');
    expect(change).toMatchObject({
      apply: [{ kind: 'PeerAuthentication' }],
      remove: [{ kind: 'AuthorizationPolicy', name: 'meshlift-orders-1' }],
    });
  });

  test('captures a port that is declared since', () => {
    const changes = plan(enforced, enforced, { isEnforced: true, excludedPorts: [25] });
    expect(changes.map(({ step }) => step)).toEqual(['setEnforcement', 'confirmEnforcement']);
  });

  test('confirms what was cut off before its confirmation', () => {
    const journal = { ...memberMachine.journal, deadManArmed: true };
    expect(plan(enforced, enforced, { isEnforced: true, journal })).toEqual([{ step: 'confirmEnforcement' }]);
  });

  test('shows the files that it writes, and no other', () => {
    const file = (path: string) => ({
      path,
      mode: '0644',
      owner: 'root:root',
      content: '',
      sha256: '',
      compare: 'bytes' as const,
    });
    const paths = ['/var/lib/meshlift/bin/capture', '/var/lib/meshlift/enforce', '/var/lib/istio/envoy/cluster.env'];
    const input = { ...fresh, rendered: { ...fresh.rendered, files: paths.map(file) } };
    const shown = (changes: ReturnType<typeof plan>) => filesOfEnforce(changes, input).map(({ path }) => path);
    expect(shown(plan(observed, enforced, {}))).toEqual(['/var/lib/meshlift/enforce']);
    expect(shown(plan(observed, enforced, { isEnforced: true }))).toEqual([]);
  });

  test('says that the new listeners close old connections once', () => {
    const lines = describeEnforce(plan(observed, enforced, {}), 'shop/orders-1').map(
      ({ change, object }) => `${change} ${object}`,
    );
    expect(lines).toEqual([
      'change PeerAuthentication shop/meshlift-orders-1',
      'create AuthorizationPolicy shop/meshlift-orders-1',
      'close connections of shop/orders-1 that are older than 45 s, once, because its listeners change; no other proxy is touched',
      'write /var/lib/meshlift/enforce on shop/orders-1',
      'write /var/lib/meshlift/exclude-ports on shop/orders-1: no port',
      'redirect traffic of shop/orders-1 anew, without a restart of its proxy',
      'confirm SSH, DNS and the application of shop/orders-1 over a new connection',
    ]);
  });
});

describe('what the running proxy does not do yet', () => {
  const strict = { plaintextPorts: [], reachesAnything: false, authorizations: ['shop/meshlift-orders-1'] };
  const open = { plaintextPorts: ['*'], reachesAnything: true, authorizations: [] };
  const rows: readonly (readonly ['observe' | 'enforce', MachineFacts['proxy']['policy'], string | undefined])[] = [
    ['enforce', strict, undefined],
    ['observe', open, undefined],
    ['enforce', undefined, 'does not tell its listeners'],
    ['enforce', { ...strict, plaintextPorts: ['*', '8080'] }, 'takes plaintext still on its captured ports'],
    ['enforce', { ...strict, plaintextPorts: ['2525', '8080'] }, 'takes plaintext still on port 8080'],
    ['enforce', { ...strict, plaintextPorts: ['2525'] }, undefined],
    ['enforce', { ...strict, reachesAnything: true }, 'lets unknown destinations through still'],
    ['enforce', { ...strict, authorizations: [] }, 'does not judge callers by shop/meshlift-orders-1 yet'],
    ['observe', { ...open, plaintextPorts: ['2525'] }, 'refuses plaintext still'],
    [
      'observe',
      { ...open, authorizations: ['shop/meshlift-orders-1'] },
      'judges callers by shop/meshlift-orders-1 still',
    ],
  ];
  test.each(rows)('at %s, of %j: %s', (mode, policy, expected) => {
    const proxy = { ready: true, ...(policy ? { policy } : {}) };
    expect(policyMissing(mode, { proxy, excludedPorts: [2525] }, 'shop/meshlift-orders-1')).toBe(expected);
  });
});
