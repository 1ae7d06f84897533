/** The API server's audit log: who asked for what, without bodies, so that granted permissions can be compared with used ones. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { paths } from '../layout.ts';

/** One JSON event a line. Full files are renamed beside it, the time in their names; the oldest goes. */
export const auditLog = join(paths.audit, 'audit.log');

/** The cluster's own parts ask all the time and are nobody's question. */
const policy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    {
      level: 'None',
      users: ['system:apiserver', 'system:kube-controller-manager', 'system:kube-scheduler', 'system:kube-proxy'],
    },
    { level: 'None', userGroups: ['system:nodes', 'system:serviceaccounts:kube-system'] },
    { level: 'None', nonResourceURLs: ['/healthz*', '/livez*', '/readyz*', '/openapi/*'] },
    { level: 'Metadata' },
  ],
};

/** Writes the policy and answers the API server's flags. */
export function auditFlags(): Readonly<Record<string, string>> {
  const file = join(paths.audit, 'policy.json');
  mkdirSync(paths.audit, { recursive: true });
  writeFileSync(file, JSON.stringify(policy));
  return {
    'audit-policy-file': file,
    'audit-log-path': auditLog,
    // In megabytes.
    'audit-log-maxsize': '100',
    'audit-log-maxbackup': '3',
  };
}
