/** A machine's workload moves to a pod: planned, rolled back from 100%, and then for good. */
import type { Problem } from '../../api/schemas/common.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import type { Api } from '../../demo/api-client.ts';
import { startLoad } from '../../demo/load.ts';
import { podAddress, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { applyObjects, targetOf } from '../../demo/target.ts';
import { manifestsBinding, migrationsBinding, selectorsBinding } from './deployed.ts';
import { ask, endOf } from './operations.ts';
import { command, kubectl } from './sandbox.ts';

/** How each of it ended. The machine's group and app have its name; it has left when this resolves. */
export async function moveAway(api: Api, machine: SandboxMachine): Promise<readonly string[]> {
  return await withTarget(machine, async (body) => {
    const plan = await planMove(api, body);
    const ends = [`plan ${Object.keys(plan).join(' ')}`];
    for (const [action, guard] of ways) {
      const { verb, phase, message } = await move(api, { ...body, guard }, action);
      ends.push(`${verb} ${phase} ${(message ?? '').replaceAll(machine.name, '<name>')}`);
      ends.push(...(await broughtAlong(machine)));
    }
    return ends;
  });
}

/** What can be done of a migration, each once. */
const ways = [
  ['rollback', 'selector'],
  ['finalize', 'routes'],
] as const;

/** The Deployment and ConfigMap as they stand: whose they are, and who has written them so far. */
async function broughtAlong({ namespace, name }: SandboxMachine): Promise<readonly string[]> {
  const kinds = ['get', 'deployments,configmaps', `--field-selector=metadata.name=${name}`, '--show-managed-fields'];
  const { items } = await kubectl<{ items: Made[] }>('-n', namespace, ...kinds);
  return items.map(({ kind, metadata: { labels, managedFields = [] } }) => {
    // Its controller tells the Deployment's status, and is no owner.
    const owners = managedFields.filter(({ subresource }) => subresource === undefined).map(({ manager }) => manager);
    return `${kind} ${JSON.stringify(labels)} ${JSON.stringify(owners)}`;
  });
}

interface Made {
  readonly kind: string;
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly { readonly manager: string; readonly subresource?: string }[];
  };
}

/** What a computer that is busy with other things does to latency is not what is tested here. */
const lenient = {
  ...{ minRequests: 1, successRate: 0.5, maxSuccessDrop: 1, maxLatencyRatio: 1_000 },
  queries: [{ name: 'proxies', query: 'count(up{side="pods"})', atLeast: 1 }],
};

/** With a Service that selects the machine, the manifests of what is to take over, and a caller. */
export async function withTarget<T>(machine: SandboxMachine, use: (body: CreateMigration) => Promise<T>): Promise<T> {
  const { namespace, name } = machine;
  await applyObjects([
    migrationsBinding(namespace),
    manifestsBinding(namespace),
    selectorsBinding(namespace),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
  ]);
  const metadata = { name, labels: { 'app.kubernetes.io/managed-by': 'its-owner' } };
  const manifests = [
    await targetOf(namespace, name),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { k: 'v' } } as const,
  ];
  const caller = `http://${await podAddress('shop', 'app=frontend')}:8080`;
  const load = await startLoad(caller, [`http://${name}.${namespace}/`], 10);
  try {
    return await use({
      ...{ name, namespace, workloadGroup: name, service: name, target: { manifests, replicas: 1 } },
      ...{ steps: [{ weight: 100, hold: '1s' }], analysis: lenient, smoke: { path: '/' } },
      ...{ soak: '1s', silence: '1s' },
    });
  } finally {
    await load.stop();
    await command(
      'kubectl',
      '-n',
      namespace,
      'delete',
      'service,deployment,configmap,serviceaccount',
      name,
      '--wait=false',
      '--ignore-not-found',
    );
  }
}

export const planMove = (api: Api, body: CreateMigration): Promise<object> =>
  ask(async () => await accepted(api, '/v1/migrations?validateOnly=true', body, 200));

/** Up to the wait for finalize, and then as told. */
export async function move(api: Api, body: CreateMigration, action: 'rollback' | 'finalize'): Promise<Operation> {
  const { id } = (await ask(async () => await accepted(api, '/v1/migrations', body, 202))) as Operation;
  await api.waitsFor(id, /finalize/, 600_000);
  await ask(() => say(api, id, action));
  return await endOf(api, id, 600_000);
}

/** With a key, so that it can be said again where its answer was lost; by then a rollback may be over. */
async function say(api: Api, id: string, action: string): Promise<void> {
  const path = `/v1/operations/${id}/${action}`;
  const { status, body } = await api.call<Partial<Problem>>('POST', path, {}, { 'idempotency-key': action });
  const isOver = body.type === 'urn:meshlift:problem:operation-not-running';
  if (status !== 200 && !isOver) throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(body)}`);
}

async function accepted(api: Api, path: string, body: object, wanted: number): Promise<object> {
  const { status, body: answer } = await api.call<object>('POST', path, body);
  if (status !== wanted) throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(answer)}`);
  return answer;
}
