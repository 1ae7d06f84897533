/**
 * What deploy/ grants is what the end-to-end tests used, by the API server's own audit log: they ran as that account, so it is
 * enough; here it is shown not to be more.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { beforeAll, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';

import { sandboxEnv } from '../../demo/sandbox-client.ts';

interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
}

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[] }[];
}

const deploy = join(import.meta.dirname, '..', '..', 'deploy');
let events: readonly AuditEvent[];

beforeAll(async () => {
  const { auditLog } = await sandboxEnv();
  const [stem = ''] = basename(auditLog).split('.');
  const files = readdirSync(dirname(auditLog)).filter((name) => name.startsWith(stem) && name.endsWith('.log'));
  events = files.flatMap((name) =>
    readFileSync(join(dirname(auditLog), name), 'utf8')
      .split('\n')
      .filter((line) => line.includes('system:serviceaccount:meshlift-system:'))
      .map((line) => JSON.parse(line) as AuditEvent),
  );
});

const name = (group: string, resource: string, verb: string): string =>
  `${verb} ${resource}${group === '' ? '' : `.${group}`}`;

function granted(file: string): string[] {
  const roles = parseAllDocuments(readFileSync(join(deploy, file), 'utf8')).map((document) => document.toJS() as Role);
  const rules = roles.flatMap((role) => role.rules ?? []);
  const names = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => name(group, resource, verb)))),
  );
  return [...new Set(names)].sort();
}

/** An apply that creates its object needs the verb create as well, and is logged as the patch it was. */
function used(account: string): Set<string> {
  const created = 201;
  return new Set(
    events
      .filter(({ user }) => user.username === `system:serviceaccount:meshlift-system:${account}`)
      .flatMap(({ verb, objectRef, responseStatus }) => {
        if (!objectRef) return [];
        const { apiGroup = '', resource, subresource } = objectRef;
        const what = subresource === undefined ? resource : `${resource}/${subresource}`;
        const verbs = verb === 'patch' && responseStatus?.code === created ? ['patch', 'create'] : [verb];
        return verbs.map((one) => name(apiGroup, what, one));
      }),
  );
}

/** Kubernetes from 1.35 asks for this verb where a port-forward comes as a WebSocket; the one here is older and asks for get. */
const ofNewerClusters = ['create pods/portforward'];

test.each([
  ['worker.yaml', 'meshlift'],
  ['api.yaml', 'meshlift-api'],
])('deploy/%s grants nothing that the tests did not use', (file, account) => {
  const known = used(account);
  expect(known.size).toBeGreaterThan(0);
  const unused = granted(file).filter((permission) => !known.has(permission));
  expect(unused.filter((permission) => !ofNewerClusters.includes(permission))).toEqual([]);
});
