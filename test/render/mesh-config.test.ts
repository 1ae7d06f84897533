import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

import type { FoundWorkloadGroup } from '../../activities/ports/cluster-port.ts';
import { renderMeshConfig } from '../../activities/render/mesh-config.ts';
import { machineGroup } from '../../activities/render/workload-group.ts';

type Found = Partial<FoundWorkloadGroup>;

function render(meshConfig: string, found: Found = {}, revision = '1-30-0') {
  const request = { namespace: 'shop', workloadGroup: 'orders' };
  const group = machineGroup(request, { isOurs: false, annotations: {}, spec: {}, ...found });
  const rendered = renderMeshConfig({
    machine: 'orders-1',
    group,
    revision,
    istioNamespace: 'istio-system',
    clusterId: 'Kubernetes',
    meshConfig,
  });
  const { defaultConfig } = parse(rendered.text) as { defaultConfig: Record<string, unknown> };
  return { ...rendered, defaultConfig };
}

describe('merge order', () => {
  const annotation = (text: string): Record<string, string> => ({ 'proxy.istio.io/config': text });

  test('fills in the discovery address of the revision where nothing sets one', () => {
    expect(render('{}').defaultConfig['discoveryAddress']).toBe('istiod-1-30-0.istio-system.svc:15012');
  });

  test('fills it in for the unrevisioned istiod as well', () => {
    expect(render('{}', {}, 'default').defaultConfig['discoveryAddress']).toBe('istiod.istio-system.svc:15012');
  });

  test('keeps the mesh’s own discovery address', () => {
    const { defaultConfig } = render('defaultConfig: {discoveryAddress: "istiod.other.svc:15012"}');
    expect(defaultConfig['discoveryAddress']).toBe('istiod.other.svc:15012');
  });

  test('the template’s annotation wins over the object’s, which wins over the mesh; metadata is merged per key', () => {
    const { defaultConfig, statusPort } = render(
      'defaultConfig: {statusPort: 1, concurrency: 1, proxyMetadata: {A: mesh, B: mesh, C: mesh}}',
      {
        annotations: annotation('{statusPort: 2, concurrency: 2, proxyMetadata: {B: object, C: object}}'),
        spec: { metadata: { annotations: annotation('{statusPort: 3, proxyMetadata: {C: template}}') } },
      },
    );
    expect(defaultConfig).toMatchObject({
      concurrency: 2,
      statusPort: 3,
      proxyMetadata: { A: 'mesh', B: 'object', C: 'template' },
    });
    expect(statusPort).toBe(3);
  });

  test('computed metadata wins over everything, and the probe is the group’s or none', () => {
    const { defaultConfig, proxyMetadata } = render(
      'defaultConfig: {readinessProbe: {httpGet: {port: 1}}, proxyMetadata: {POD_NAMESPACE: other}}',
    );
    expect(proxyMetadata).toMatchObject({ POD_NAMESPACE: 'shop' });
    expect(defaultConfig).not.toHaveProperty('readinessProbe');
  });

  test('DNS is captured unless mesh or group say otherwise', () => {
    const off = 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "false"}';
    const captured = (mesh: string, found: Found = {}): string | undefined =>
      render(mesh, found).proxyMetadata['ISTIO_META_DNS_CAPTURE'];
    expect(captured('{}')).toBe('true');
    expect(captured(`defaultConfig: {${off}}`)).toBe('false');
    expect(captured('{}', { annotations: annotation(off) })).toBe('false');
  });
});

describe('the round trip through protobuf', () => {
  const kept: readonly (readonly [string, Record<string, unknown>])[] = [
    ['concurrency: 0', { concurrency: 0 }],
    ['holdApplicationUntilProxyStarts: false', { holdApplicationUntilProxyStarts: false }],
    ['tracing: {}', { tracing: {} }],
    [
      'tracing: {zipkin: {address: "z:9411"}, sampling: 0.5}',
      { tracing: { zipkin: { address: 'z:9411' }, sampling: 0.5 } },
    ],
    ['drain_duration: 1m30s', { drainDuration: '90s' }],
    ['terminationDrainDuration: 1500ms', { terminationDrainDuration: '1.500s' }],
    ['drainDuration: 0s', { drainDuration: '0s' }],
    ['interceptionMode: TPROXY', { interceptionMode: 'TPROXY' }],
    ['extraStatTags: [a, b]', { extraStatTags: ['a', 'b'] }],
    ['settingOfANewerIstio: {x: 1}', { settingOfANewerIstio: { x: 1 } }],
  ];
  test.each(kept)('%s stays', (line, expected) => {
    expect(render(`defaultConfig: {${line}}`).defaultConfig).toMatchObject(expected);
  });

  const dropped = ['statusPort: 0', 'configPath: ""', 'interceptionMode: REDIRECT', 'extraStatTags: []', 'sds: null'];
  test.each(dropped)('%s is not written', (line) => {
    const field = line.slice(0, line.indexOf(':'));
    expect(render(`defaultConfig: {${line}}`).defaultConfig).not.toHaveProperty(field);
  });

  test('text that is not YAML throws', () => {
    expect(() => render('defaultConfig: {')).toThrow('Flow map');
  });
});

describe('metadata of the group', () => {
  test('a group without anything is filled in: account default, canonical name from the group', () => {
    expect(render('trustDomain: example.org').proxyMetadata).toMatchObject({
      SERVICE_ACCOUNT: 'default',
      CANONICAL_SERVICE: 'orders',
      CANONICAL_REVISION: 'latest',
      TRUST_DOMAIN: 'example.org',
    });
  });

  test('template labels win over metadata labels, and labels of the machine and of its group are added', () => {
    const spec = { metadata: { labels: { app: 'a', team: 'x' } }, template: { labels: { app: 'b', version: 'v2' } } };
    const { proxyMetadata } = render('{}', { spec });
    expect(JSON.parse(proxyMetadata['ISTIO_METAJSON_LABELS'] ?? '')).toEqual({
      app: 'b',
      'meshlift.dev/machine': 'orders-1',
      'meshlift.dev/workload-group': 'orders',
      'service.istio.io/canonical-name': 'b',
      'service.istio.io/canonical-revision': 'v2',
      team: 'x',
      version: 'v2',
    });
  });

  test('ports are listed by name', () => {
    const spec = { template: { ports: { http: 8080, grpc: 9090 } } };
    expect(render('{}', { spec }).proxyMetadata['ISTIO_META_POD_PORTS']).toBe(
      '[{"name":"grpc","containerPort":9090,"protocol":""},{"name":"http","containerPort":8080,"protocol":""}]',
    );
  });
});
