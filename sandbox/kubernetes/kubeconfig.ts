/** One kubeconfig per component, with its certificate inside; the administrator's is the one that `env` names. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cluster, paths, ports, RUN } from '../layout.ts';
import { certificateFile, keyFile } from './pki.ts';

const apiServerUrl = `https://${cluster.podGateway}:${ports.apiServer}`;

const base64 = (path: string): string => readFileSync(path).toString('base64');

/** Writes the kubeconfig of the component and answers its path. */
export function writeKubeconfig(name: string, path: string = join(RUN, `${name}.kubeconfig`)): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'sandbox',
        cluster: { server: apiServerUrl, 'certificate-authority-data': base64(certificateFile('ca')) },
      },
    ],
    users: [
      {
        name,
        user: { 'client-certificate-data': base64(certificateFile(name)), 'client-key-data': base64(keyFile(name)) },
      },
    ],
    contexts: [{ name: 'sandbox', context: { cluster: 'sandbox', user: name } }],
    'current-context': 'sandbox',
  };
  writeFileSync(path, JSON.stringify(config, null, 2), { mode: 0o600 });
  return path;
}

export const writeAdminKubeconfig = (): string => writeKubeconfig('admin', paths.kubeconfig);
