/** The API on a port of its own, over the Temporal that the caller names. */
import { buildApp } from '../../api/app.ts';
import { readApiConfig } from '../../api/config.ts';
import { connectTemporal } from '../../api/temporal.ts';

export interface ListeningApi {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** Port 1 of loopback: nothing listens there. */
export const CLOSED_PORT = '127.0.0.1:1';

export async function listeningApi(
  temporalAddress: string,
  namespace = 'meshlift',
  settings: Readonly<Record<string, string>> = {},
): Promise<ListeningApi> {
  const config = readApiConfig({
    MESHLIFT_LISTEN: '127.0.0.1:0',
    MESHLIFT_AUTH: 'off',
    ...settings,
    TEMPORAL_ADDRESS: temporalAddress,
    TEMPORAL_NAMESPACE: namespace,
  });
  const temporal = connectTemporal(config.temporal);
  const app = await buildApp({ temporal, access: 'off', config, logger: false });
  const url = await app.listen(config.listen);
  return {
    url,
    close: async () => {
      await app.close();
      await temporal.close();
    },
  };
}
