import { expect, test } from '@jest/globals';

import { ConfigError, readApiConfig } from '../../api/config.ts';
import { readWorkerConfig } from '../../worker/config.ts';

const faultsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    readApiConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
};

test('listens on loopback and uses the Temporal namespace meshlift when nothing is set', () => {
  const config = readApiConfig({});
  expect(config.listen).toEqual({ host: '127.0.0.1', port: 8080, isLoopback: true });
  expect(config.auth).toBe('cluster');
  expect(config.temporal.namespace).toBe('meshlift');
  expect(config.temporal.uiUrl).toBeUndefined();
});

test("takes Temporal's own variables", () => {
  const { temporal } = readApiConfig({ TEMPORAL_ADDRESS: '10.0.0.9:7233', TEMPORAL_NAMESPACE: 'fleet' });
  expect(temporal.connection.address).toBe('10.0.0.9:7233');
  expect(temporal.namespace).toBe('fleet');
});

test.each(['127.0.0.1:0', '127.8.8.8:9000', '[::1]:8080', 'localhost:8080'])('listens on %s', (listen) => {
  expect(faultsOf({ MESHLIFT_LISTEN: listen })).toEqual([]);
});

test('beyond loopback, missing TLS and authentication that is off are told together', () => {
  expect(faultsOf({ MESHLIFT_LISTEN: '0.0.0.0:8080', MESHLIFT_AUTH: 'off' })).toEqual([
    expect.stringMatching(/not a loopback address.*MESHLIFT_AUTH may not be off/),
    expect.stringMatching(/not a loopback address.*MESHLIFT_TLS_CERT and MESHLIFT_TLS_KEY/),
  ]);
  expect(faultsOf({ MESHLIFT_LISTEN: '127.0.0.1:8080', MESHLIFT_AUTH: 'off' })).toEqual([]);
});

/** A file that is there and no certificate. */
const own = import.meta.filename;

test.each([
  ['a certificate without its key', { MESHLIFT_TLS_CERT: own }, /MESHLIFT_TLS_KEY is not set/],
  [
    'a file that is not there',
    { MESHLIFT_TLS_CERT: own, MESHLIFT_TLS_KEY: '/nowhere/key.pem' },
    /'\/nowhere\/key.pem' cannot be read/,
  ],
  [
    'files that are no certificate and key',
    { MESHLIFT_TLS_CERT: own, MESHLIFT_TLS_KEY: own },
    /no certificate and key/,
  ],
  ['a limit that is no number', { MESHLIFT_RATE_LIMIT: 'none' }, /MESHLIFT_RATE_LIMIT='none' is not a whole number/],
])('refuses %s', (_title, environment, fault) => {
  expect(faultsOf(environment)).toEqual([expect.stringMatching(fault)]);
});

test('reports every fault at once', () => {
  const faults = faultsOf({ MESHLIFT_LISTEN: 'nonsense', MESHLIFT_AUTH: 'maybe', MESHLIFT_TEMPORAL_UI: 'ftp://ui' });
  expect(faults).toEqual([
    expect.stringContaining('MESHLIFT_LISTEN'),
    expect.stringContaining('MESHLIFT_TEMPORAL_UI'),
    expect.stringContaining('MESHLIFT_AUTH'),
  ]);
});

test('the worker refuses a package address with a password, and does not repeat it', () => {
  const start = (): unknown =>
    readWorkerConfig({ MESHLIFT_PACKAGES: 'https://me:s3cret@packages.example/{version}.deb' });
  expect(start).toThrow(/MESHLIFT_PACKAGES='https:\/\/\.\.\.@packages.*without user, password/);
  expect(start).toThrow(expect.objectContaining({ message: expect.not.stringContaining('s3cret') as unknown }));
});

test.each([
  ['http://prometheus.monitoring:9090', 'http://prometheus.monitoring:9090'],
  ['https://metrics.example/tenant-1/', 'https://metrics.example/tenant-1/'],
])('a worker asks the Prometheus at %s', (given, prometheus) => {
  expect(readWorkerConfig({ MESHLIFT_PACKAGES: '/packages', MESHLIFT_PROMETHEUS: given })).toMatchObject({
    prometheus,
  });
});

test.each(['prometheus:9090', 'https://me:s3cret@metrics.example'])('a worker refuses the Prometheus %s', (given) => {
  const start = (): unknown => readWorkerConfig({ MESHLIFT_PACKAGES: '/packages', MESHLIFT_PROMETHEUS: given });
  expect(start).toThrow(/MESHLIFT_PROMETHEUS=.*without user, password/);
  expect(start).toThrow(expect.objectContaining({ message: expect.not.stringContaining('s3cret') as unknown }));
});
