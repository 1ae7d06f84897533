/** Certificates of the cluster: an authority of its own, one key pair per component, and the key that signs service-account tokens. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from '../exec.ts';
import { cluster, paths } from '../layout.ts';

interface Certificate {
  readonly name: string;
  readonly subject: string;
  readonly alternativeNames?: string;
}

const certificates: readonly Certificate[] = [
  {
    name: 'apiserver',
    subject: '/CN=kube-apiserver',
    alternativeNames: [
      ...[
        'kubernetes',
        'kubernetes.default',
        'kubernetes.default.svc',
        `kubernetes.default.svc.${cluster.domain}`,
        'localhost',
      ].map((name) => `DNS:${name}`),
      ...[cluster.podGateway, cluster.apiServiceIp, '127.0.0.1'].map((address) => `IP:${address}`),
    ].join(','),
  },
  { name: 'apiserver-kubelet-client', subject: '/O=system:masters/CN=kube-apiserver-kubelet-client' },
  { name: 'admin', subject: '/O=system:masters/CN=admin' },
  { name: 'controller-manager', subject: '/CN=system:kube-controller-manager' },
  { name: 'scheduler', subject: '/CN=system:kube-scheduler' },
  { name: 'proxy', subject: '/CN=system:kube-proxy' },
  { name: 'node', subject: `/O=system:nodes/CN=system:node:${cluster.nodeName}` },
];

export const keyFile = (name: string): string => join(paths.pki, `${name}.key`);
export const certificateFile = (name: string): string => join(paths.pki, `${name}.crt`);
/** Signs and checks service-account tokens; tests of expiry sign their own with it. */
export const serviceAccountKey = {
  private: keyFile('service-account'),
  public: join(paths.pki, 'service-account.pub'),
};

/** Makes everything that is not there yet. */
export async function ensurePki(): Promise<void> {
  if (existsSync(certificateFile('node'))) return;
  mkdirSync(paths.pki, { recursive: true, mode: 0o700 });
  makeServiceAccountKey();
  await openssl('ca', ['-subj', '/CN=sandbox', '-addext', 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature']);
  await Promise.all(certificates.map(sign));
}

async function sign(certificate: Certificate): Promise<void> {
  await openssl(certificate.name, [
    ...['-CA', certificateFile('ca'), '-CAkey', keyFile('ca'), '-subj', certificate.subject],
    ...['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=clientAuth,serverAuth'],
    ...(certificate.alternativeNames === undefined
      ? []
      : ['-addext', `subjectAltName=${certificate.alternativeNames}`]),
  ]);
}

async function openssl(name: string, args: readonly string[]): Promise<void> {
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '365'],
    ...['-keyout', keyFile(name), '-out', certificateFile(name)],
    ...args,
  ]);
}

function makeServiceAccountKey(): void {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(serviceAccountKey.private, pair.privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  writeFileSync(serviceAccountKey.public, pair.publicKey.export({ type: 'spki', format: 'pem' }));
}
