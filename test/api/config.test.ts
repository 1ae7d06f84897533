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
  expect(config.listen).toEqual({ host: '127.0.0.1', port: 8080 });
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

test.each(['0.0.0.0:8080', '[::]:8080', '192.0.2.7:8080', 'meshlift.example:8080'])(
  'refuses to listen on %s, because there is no authentication yet',
  (listen) => {
    expect(faultsOf({ MESHLIFT_LISTEN: listen })).toEqual([
      expect.stringMatching(/not a loopback address.*no authentication/),
    ]);
  },
);

test('reports every fault at once', () => {
  const faults = faultsOf({ MESHLIFT_LISTEN: 'nonsense', MESHLIFT_AUTH: 'cluster', MESHLIFT_TEMPORAL_UI: 'ftp://ui' });
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
