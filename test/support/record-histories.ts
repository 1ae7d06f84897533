/**
 * Records the histories of the replay test from real runs: `node test/support/record-histories.ts` while the sandbox is up. Every
 * workflow, and of each the ways it ends; each goes to test/replay/histories/<name>.json. `migrations` as argument: those alone.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { onboardRequest, powerOff, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { deployTarget } from '../../demo/target.ts';
import { move, planMove, withTarget } from './moved.ts';
import { type Platform, startPlatform } from './platform.ts';
import { onMachine } from './sandbox.ts';

const folder = join(import.meta.dirname, '..', 'replay', 'histories');
mkdirSync(folder, { recursive: true });

const platform: Platform = await startPlatform();
const { api, env } = platform;
try {
  if (process.argv[2] !== 'migrations') await recordMachines();
  await recordMigration(await platform.machine('history-mover', 'shop'));
  await recordMigrationToDeployment(await platform.machine('history-heir', 'shop'));
} finally {
  await platform.stop();
}

async function recordMachines(): Promise<void> {
  const names = ['member', 'killed', 'stopped', 'broken'];
  const machines = await Promise.all(names.map((name) => platform.machine(`history-${name}`, 'shop')));
  const [member, killed, stopped, broken] = machines;
  if (!member || !killed || !stopped || !broken) throw new Error('a machine is missing');
  await Promise.all([recordUnreachable(), recordMember(member), recordRolledBack(broken)]);
  await recordCancelled(stopped);
  await recordKilled(killed);
  await recordLeaving(member);
}

function requestFor(machine: SandboxMachine) {
  return onboardRequest(env, machine, machine.name);
}

async function recordMember(machine: SandboxMachine): Promise<void> {
  const body = requestFor(machine);
  await api.call('POST', '/v1/machines?validateOnly=true', body);
  const plans = JSON.parse(await platform.temporal('workflow', 'list', '--query', "WorkflowType='planMachine'")) as {
    readonly execution: { readonly workflowId: string };
  }[];
  await record('plan', plans[0]?.execution.workflowId ?? '');
  await finish('onboard', (await api.onboard(body)).id);
  await finish('onboard-repeated', (await api.onboard(body)).id);
  const verbs = [
    ['enforce', 'enforce', { mode: 'enforce' }],
    ['enforce-repeated', 'enforce', { mode: 'enforce' }],
    ['observe', 'enforce', { mode: 'observe' }],
    ['drain', 'drain', { allowDisruption: true }],
    ['undrain', 'undrain', {}],
    ['restart-proxy', 'restart-proxy', { allowDisruption: true }],
    ['restart-proxy-again', 'restart-proxy', {}],
  ] as const;
  for (const [name, verb, request] of verbs) {
    const path = `/v1/machines/shop/${machine.name}/${verb}`;
    await finish(name, (await api.call<Operation>('POST', path, request)).body.id);
  }
  await record('machine-in-mesh', `machine/shop/${machine.name}`);
  await record('floors', 'floors/shop');
}

async function recordUnreachable(): Promise<void> {
  const nowhere = { name: 'history-nowhere', namespace: 'shop', workloadGroup: 'nowhere', workload: {} };
  const host = { address: '127.0.0.1', port: 1, user: 'ops', credentialsName: 'sandbox-ssh' };
  const request = { ...nowhere, host: { ...host, hostKey: { fingerprint: `SHA256:${'A'.repeat(43)}` } } };
  await finish('onboard-unreachable', (await api.onboard(request)).id);
  await record('machine-failed', 'machine/shop/history-nowhere');
}

/** The package is in when the files meet a folder that takes none. */
async function recordRolledBack(machine: SandboxMachine): Promise<void> {
  const folderOfUnits = '/etc/systemd/system';
  await onMachine(
    machine,
    `mount --bind ${folderOfUnits} ${folderOfUnits} && mount -o remount,ro,bind ${folderOfUnits}`,
  );
  await finish('onboard-rolled-back', (await api.onboard(requestFor(machine))).id);
}

async function recordCancelled(machine: SandboxMachine): Promise<void> {
  const { id } = await api.onboard(requestFor(machine));
  await reaches(id, 'startProxy');
  await api.call('POST', `/v1/operations/${id}/cancel`);
  await finish('onboard-cancelled', id);
}

async function recordKilled(machine: SandboxMachine): Promise<void> {
  const { id } = await api.onboard(requestFor(machine));
  await reaches(id, 'installPackage');
  await platform.replaceWorker();
  await finish('onboard-after-kill', id);
  await finish('offboard', (await api.offboard('shop', machine.name)).id);
  await record('machine-offboarded', `machine/shop/${machine.name}`);
}

async function recordLeaving(machine: SandboxMachine): Promise<void> {
  const { id } = await api.offboard('shop', machine.name);
  await reaches(id, 'drainWorkloadEntry');
  await api.call('POST', `/v1/operations/${id}/cancel`);
  await finish('offboard-cancelled', id);
  await powerOff(machine);
  await finish('offboard-untouched', (await api.offboard('shop', machine.name)).id);
  const forced = await api.call<Operation>('DELETE', `/v1/machines/shop/${machine.name}?force=true`);
  await finish('offboard-forced', forced.body.id);
}

async function onboarded(machine: SandboxMachine): Promise<void> {
  const { phase, message } = await api.finished((await api.onboard(requestFor(machine))).id);
  if (phase !== 'Succeeded') throw new Error(`${machine.name} was not onboarded: ${message ?? phase}`);
}

async function recordMigration(machine: SandboxMachine): Promise<void> {
  await onboarded(machine);
  await withTarget(machine, async (body) => {
    await planMove(api, body);
    const plans = JSON.parse(
      await platform.temporal('workflow', 'list', '--query', "WorkflowType='planMigration'"),
    ) as { readonly execution: { readonly workflowId: string } }[];
    await record('plan-migration', plans[0]?.execution.workflowId ?? '');
    await finish('migrate-rolled-back', (await move(api, body, 'rollback')).id);
    await finish('migrate-by-selector-rolled-back', (await move(api, { ...body, guard: 'selector' }, 'rollback')).id);
    await finish('migrate', (await move(api, body, 'finalize')).id);
  });
}

/** The Deployment is there already, and the request brings nothing along. */
async function recordMigrationToDeployment(machine: SandboxMachine): Promise<void> {
  const { namespace, name } = machine;
  await onboarded(machine);
  await withTarget(machine, async (body) => {
    await deployTarget(namespace, name);
    const target = { deployment: name, replicas: 1 };
    await finish('migrate-to-deployment', (await move(api, { ...body, target }, 'finalize')).id);
  });
}

async function reaches(id: string, step: string): Promise<void> {
  await eventually(
    `${id} is in step ${step}`,
    async () => (await api.operation(id)).steps.find(({ name }) => name === step)?.phase === 'Running',
    60_000,
    20,
  );
}

async function finish(name: string, id: string): Promise<void> {
  const { phase, message } = await api.finished(id);
  process.stdout.write(`${name}: ${phase} ${message ?? ''}\n`);
  await record(name, id);
}

async function record(name: string, workflowId: string): Promise<void> {
  writeFileSync(
    join(folder, `${name}.json`),
    withoutOrigin(await platform.temporal('workflow', 'show', '--workflow-id', workflowId)),
  );
}

/** Without stack traces and identities: who recorded it, and where, is of no use here. */
function withoutOrigin(history: string): string {
  const blank: Readonly<Record<string, string>> = { stackTrace: '', identity: 'recorder' };
  const parsed: unknown = JSON.parse(history, (key, value: unknown) => blank[key] ?? value);
  return `${JSON.stringify(parsed)}\n`;
}
