/**
 * What goes wrong while a workload moves: the traffic ends where it should, the reason is named, nothing is left behind. Rows of one
 * lab run a migration of one name, so each but the first is the run again after a rollback, without a clean-up.
 */
import type { WeightChange } from '../../api/schemas/cutover.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually, Unrecoverable } from '../../demo/eventually.ts';
import { startLoad } from '../../demo/load.ts';
import { powerOff, powerOn, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { type MigrationLab, shareOfErrors } from './migration-lab.ts';
import type { MigrationRow } from './migration-row.ts';
import { endOf } from './operations.ts';
import type { Platform } from './platform.ts';
import { command, onMachine } from './sandbox.ts';

const failedPods = (changes: readonly WeightChange[]): boolean =>
  changes.some(({ weight, evidence }) => weight > 0 && (evidence?.pods.failed ?? 0) > 0);

const longSteps = [{ weight: 50, hold: '1h' }];
/** The gateway's route is not owned. */
const bySelector = { guard: 'selector', ownGatewayRoutes: [] } satisfies Partial<CreateMigration>;
const soon = { deployment: 'orders', readyWithin: '20s' };

export const migrationRows: Readonly<Record<string, MigrationRow>> = {
  'an image that is missing': {
    ...{ deployment: { image: 'example.invalid/orders:none' }, request: { target: soon } },
    ...{
      phase: 'Failed',
      message: /^Nothing was touched: example\.invalid\/orders:none \(on 0 of 1 nodes\) may not be pulled/,
    },
  },
  'an image that no registry has': {
    deployment: { image: '127.0.0.1:1/orders:none', pullPolicy: 'IfNotPresent' },
    ...{ request: { target: soon }, phase: 'RolledBack', message: /0 of 2 pods .*(ErrImagePull|ImagePullBackOff)/ },
  },
  'pods that never get ready': {
    ...{ deployment: { readinessPort: 9 }, request: { target: soon } },
    ...{ phase: 'RolledBack', message: /0 of 2 pods .* are ready/ },
  },
  'a node with no room': {
    ...{ deployment: { cpus: 1000 }, request: { target: soon } },
    ...{ phase: 'RolledBack', message: /Unschedulable: .*Insufficient cpu/ },
  },
  'pods that answer 500 to 2% of the requests': {
    ...{ deployment: { faults: ['--fail-every', '50'] }, request: { analysis: { minRequests: 200 } } },
    ...{ isLoaded: true, phase: 'RolledBack', message: /requests to pods failed: 9\d\.\d\d% succeeded, 99\.00% must/ },
    ...{ mayLose: /500/, tells: failedPods },
  },
  'pods of which Prometheus tells that they answer 500 to 2% of the requests': {
    deployment: { faults: ['--fail-every', '50'] },
    request: {
      steps: [{ weight: 50, hold: '20s' }],
      analysis: { minRequests: 20, successRate: 0, maxSuccessDrop: 1, queries: [{ ...shareOfErrors, atMost: 0.005 }] },
    },
    ...{ isLoaded: true, phase: 'RolledBack', message: /errors of pods is 0\.0\d+, 0\.005 is the most/ },
    ...{ mayLose: /500/, tells: failedPods },
  },
  'pods that are slow above 25% of the weight': {
    deployment: { faults: ['--capacity', '25', '--late', '2s'] },
    request: {
      steps: [25, 75, 100].map((weight) => ({ weight, hold: '4s' })),
      analysis: { minRequests: 100, maxLatencyMs: 400, maxLatencyRatio: 50 },
    },
    ...{ isLoaded: true, phase: 'RolledBack', message: /pods answer in .* on average, 400\.0 ms is allowed/ },
    during: async (id, { platform }) => {
      await eventually('25% has passed', async () => isDone(await platform.api.operation(id), 'shiftTo25'), 120_000);
    },
  },
  'pods that are taken away, which leaves a subset without endpoints': {
    ...{ request: { steps: longSteps }, phase: 'RolledBack', message: /No pod that serves .* is ready any more/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      await kubectl(lab, 'scale', 'deployment', 'orders', '--replicas', '0');
    },
  },
  'no traffic at all, which is waited for and passes nothing': {
    ...{
      request: { steps: [{ weight: 50, hold: '1s' }] },
      phase: 'RolledBack',
      message: /on request of .*: no callers/,
    },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /0 of the 20 requests to judge by came to pods/);
      await lab.control(id, 'rollback', 'no callers');
    },
  },
  'no traffic at all, where the policy is to roll back': {
    request: { steps: [{ weight: 50, hold: '1s' }], analysis: { minRequests: 20, onInconclusive: 'rollback' } },
    ...{ phase: 'RolledBack', message: /^0 of the 20 requests to judge by came to pods/ },
  },
  'no traffic at all, where the policy is to pause': {
    request: { steps: [{ weight: 50, hold: '1s' }], analysis: { minRequests: 20, onInconclusive: 'pause' } },
    ...{ phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /POST .*resume/);
      const load = await lab.load();
      await lab.control(id, 'resume');
      // Judged again, with enough to judge by.
      await platform.api.waitsFor(id, /POST .*rollback/);
      await load.stop();
      await lab.control(id, 'rollback');
    },
  },
  'a run that is paused by hand, and stays at the weight that it has': {
    ...{ request: { steps: [50, 100].map((weight) => ({ weight, hold: '5s' })) }, isLoaded: true },
    ...{ phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      await lab.control(id, 'pause');
      await platform.api.waitsFor(id, /POST .*resume/);
      const { cutover } = await platform.api.operation(id);
      if (cutover?.weight !== 50) throw new Error(`It is paused at ${cutover?.weight ?? 0}%`);
      await lab.control(id, 'resume');
      await platform.api.waitsFor(id, /finalize/);
      await lab.control(id, 'rollback');
    },
  },
  'a run that ends at a split, which stands until somebody ends it': {
    ...{ request: { steps: [{ weight: 50, hold: '4s' }] }, isLoaded: true },
    ...{ phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /50% stays with pods/);
      const served = Object.keys(await lab.answeredBy(100));
      if (served.length !== 4) throw new Error(`Both sides are to answer: ${served.join(', ')}`);
      await lab.control(id, 'rollback');
    },
  },
  'a caller past the mesh, who keeps the machines from silence': {
    ...{ request: {}, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /finalize/);
      const [machine] = lab.machines;
      if (machine === undefined) throw new Error('unreachable');
      const past = await startLoad(`http://${lab.outside.address}:8080`, [`http://${machine.address}:8080/`], 20);
      await lab.control(id, 'finalize');
      await platform.api.waitsFor(id, new RegExp(`silence: .*(requests reached machines|from ${lab.outside.address})`));
      await past.stop();
      await lab.control(id, 'rollback');
    },
  },
  'a machine that joins the group meanwhile, beside which none leaves': {
    ...{ request: {}, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /finalize/);
      const late = await lab.machine('again-late');
      await lab.onboard(late, 'orders');
      await lab.control(id, 'finalize');
      await platform.api.waitsFor(id, new RegExp(`silence: ${late.name} joined WorkloadGroup`));
      await lab.control(id, 'rollback');
      await endOf(platform.api, id);
      const leaving = await platform.api.offboard(lab.namespace.name, late.name);
      const { phase, message } = await endOf(platform.api, leaving.id);
      if (phase !== 'Succeeded') throw new Error(`${late.name} could not leave: ${message ?? phase}`);
    },
  },
  'a route that somebody else edits, which is put back and told': {
    ...{ request: { steps: longSteps }, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      const away = { op: 'replace', path: '/spec/http/0/timeout', value: '1s' };
      await kubectl(
        lab,
        'patch',
        'virtualservice',
        'meshlift-again',
        '--type=json',
        `-p=${JSON.stringify([{ ...away, op: 'add' }])}`,
      );
      await eventually('it is put back and told', async () => {
        const { cutover } = await platform.api.operation(id);
        return (
          cutover?.changes.some(({ why }) => /VirtualService .* was changed by kubectl.*: put back/.test(why)) === true
        );
      });
      const left = await kubectl(lab, 'get', 'virtualservice', 'meshlift-again', '-o=jsonpath={.spec.http[0].timeout}');
      if (left !== '') throw new Error(`The timeout of somebody else is still there: ${left}`);
      await lab.control(id, 'rollback');
    },
  },
  'a gateway route that somebody else edits, which pauses the run until it is resumed': {
    ...{ request: { steps: longSteps, onForeignEdit: 'pause' }, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      const weights = '-o=jsonpath={.spec.http[0].route[*].weight}';
      const edit = [['0', 100] as const, ['1', 0] as const].map(([index, value]) => ({
        ...{ op: 'replace', path: `/spec/http/0/route/${index}/weight`, value },
      }));
      await kubectl(lab, 'patch', 'virtualservice', 'edge', '--type=json', `-p=${JSON.stringify(edit)}`);
      await platform.api.waitsFor(
        id,
        /resume once this is mended: Route orders of VirtualService .*\/edge was changed by/,
      );
      const edited = await kubectl(lab, 'get', 'virtualservice', 'edge', weights);
      if (edited.trim() !== '100 0') throw new Error(`It was put back while the run was paused: ${edited}`);
      await lab.control(id, 'resume');
      await eventually('it is put back', async () => {
        const now = await kubectl(lab, 'get', 'virtualservice', 'edge', weights);
        return now.trim() === '50 50';
      });
      await platform.api.waitsFor(id, /at 50%/);
      await lab.control(id, 'rollback');
    },
  },
  'a subset that somebody else edits while edits pause the run, which a rollback mends before the pods go': {
    ...{ request: { steps: longSteps, onForeignEdit: 'pause' }, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      const subset = ['destinationrule', 'meshlift-again', '-o=jsonpath={.spec.subsets[?(@.name=="machines")].labels}'];
      await platform.api.waitsFor(id, /at 50%/);
      const asWritten = await kubectl(lab, 'get', ...subset);
      const nobody = { op: 'replace', path: '/spec/subsets/0/labels', value: { app: 'nobody' } };
      const rule = ['destinationrule', 'meshlift-again'];
      await kubectl(lab, 'patch', ...rule, '--type=json', `-p=${JSON.stringify([nobody])}`);
      await platform.api.waitsFor(id, /resume once this is mended: DestinationRule .* was changed by kubectl/);
      await lab.control(id, 'rollback');
      await eventually('the traffic is with the machines', async () => {
        const { cutover } = await platform.api.operation(id);
        return cutover?.weight === 0 && cutover.changes.at(-1)?.why === 'rollback';
      });
      const now = await kubectl(lab, 'get', ...subset);
      if (now !== asWritten) throw new Error(`Machines have the subset ${now}, and had ${asWritten}`);
    },
  },
  'a rule of others that comes to be for the Service, which pauses the run for as long as it stands': {
    ...{ request: { steps: longSteps }, phase: 'RolledBack', message: /on request of .*: it came again/ },
    during: async (id, { platform, lab }) => {
      const name = `beside-${lab.namespace.name}`;
      const spec = { host: `orders.${lab.namespace.name}.svc.cluster.local` };
      const metadata = { name, namespace: 'bank' };
      const rule = { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata, spec };
      const remove = () => command('kubectl', '-n', 'bank', 'delete', '--ignore-not-found', 'destinationrule', name);
      const told = new RegExp(`resume once this is mended: DestinationRule bank/${name}, which kubectl wrote last`);
      await platform.api.waitsFor(id, /at 50%/);
      try {
        await applyObjects([rule]);
        await platform.api.waitsFor(id, told, 60_000);
        await lab.control(id, 'resume');
        // It is still there.
        await platform.api.waitsFor(id, told, 60_000);
        await remove();
        await lab.control(id, 'resume');
        await platform.api.waitsFor(id, /at 50%/, 60_000);
        await applyObjects([rule]);
        await platform.api.waitsFor(id, told, 60_000);
        await lab.control(id, 'rollback', 'it came again');
        // While it stands the traffic returns, and then it is in the way of seeing that the routes are gone.
        await eventually('the traffic is with the machines', async () => {
          const { cutover } = await platform.api.operation(id);
          return cutover?.weight === 0 && cutover.changes.at(-1)?.why === 'rollback: it came again';
        });
      } finally {
        await remove();
      }
    },
  },
  'pods that are taken away while the run is paused for an edit': {
    ...{ request: { steps: longSteps, onForeignEdit: 'pause' }, phase: 'RolledBack' },
    message: /No pod that serves .* is ready any more/,
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      const edit = [{ op: 'add', path: '/spec/http/1/timeout', value: '9s' }];
      const name = `meshlift-${id.split('.').at(-1) ?? ''}`;
      await kubectl(lab, 'patch', 'virtualservice', name, '--type=json', `-p=${JSON.stringify(edit)}`);
      await platform.api.waitsFor(id, /resume once this is mended: VirtualService/);
      await kubectl(lab, 'scale', 'deployment', 'orders', '--replicas', '0');
    },
  },
  'a run that was terminated at 50%, which the next one takes on': {
    ...{ request: { steps: longSteps }, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      await platform.temporal('workflow', 'terminate', '--workflow-id', id);
      await lab.start(lab.request(id.split('.').at(-1) ?? '', { steps: longSteps }));
      // Before its own pods are started: those of the run before stand behind its routes.
      await eventually('it guards the Service', async () => isBegun(await platform.api.operation(id), 'guardService'));
      await lab.control(id, 'rollback');
      await endOf(platform.api, id);
      const route = await kubectl(lab, 'get', 'virtualservice', 'edge', '-o=jsonpath={.spec.http[0].route}');
      if (/subset|weight/.test(route)) throw new Error(`The gateway's route is not as it was: ${route}`);
    },
  },
  'by the selector of its Service, a rollback from 50%': {
    ...{ request: { ...bySelector, steps: longSteps }, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      const machines = lab.machines.map(({ name }) => name).sort();
      const byGateway = await lab.gatewayAnsweredBy(20);
      if (byGateway.join() !== machines.join()) throw new Error(`Who follows no route is at ${byGateway.join(', ')}`);
      await lab.control(id, 'rollback');
    },
  },
  'by the selector of its Service, a rollback after 100%, and a rule of a client': {
    request: { ...bySelector, soak: '1h' },
    ...{ isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      const rule = await lab.clientRule();
      await platform.api.waitsFor(id, /machines warm/);
      const served = [...Object.keys(await lab.answeredBy(100)), ...(await lab.gatewayAnsweredBy(20))];
      if (lab.machines.some(({ name }) => served.includes(name)))
        throw new Error(`Machines answer at 100%: ${served.join(', ')}`);
      await lab.control(id, 'rollback');
      await endOf(platform.api, id);
      await rule.remove();
    },
  },
  'by the selector of its Service, a run that was terminated at 100%, which the next one takes on': {
    ...{ request: { ...bySelector, soak: '1h' }, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /machines warm/);
      await platform.temporal('workflow', 'terminate', '--workflow-id', id);
      await lab.start(lab.request(id.split('.').at(-1) ?? '', { ...bySelector, steps: longSteps }));
      await platform.api.waitsFor(id, /at 50%/);
      await lab.control(id, 'rollback');
    },
  },
  'a selector that somebody else edits, which is put back and told': {
    ...{ request: { ...bySelector, steps: longSteps }, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      const edit = JSON.stringify({ spec: { selector: { 'meshlift.dev/workload-group': null } } });
      await kubectl(lab, 'patch', 'service', 'orders', '--type=merge', '-p', edit);
      await eventually('it is put back and told', async () => {
        const { cutover } = await platform.api.operation(id);
        return (
          cutover?.changes.some(({ why }) => /Selector of Service .* was changed by kubectl.*: put back/.test(why)) ===
          true
        );
      });
      await lab.control(id, 'rollback');
    },
  },
  'a rollback after 100%': {
    ...{ request: { soak: '1h' }, isLoaded: true, phase: 'RolledBack', message: /on request of .*: second thoughts/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /machines warm/);
      const served = Object.keys(await lab.answeredBy(100));
      if (lab.machines.some(({ name }) => served.includes(name)))
        throw new Error(`Machines answer at 100%: ${served.join(', ')}`);
      const { cutover } = await platform.api.operation(id);
      if (Date.parse(cutover?.soakUntil ?? '') - Date.now() < 3_000_000)
        throw new Error(`The soak of an hour ends at ${cutover?.soakUntil ?? 'no time'}`);
      await lab.control(id, 'rollback', 'second thoughts');
    },
    tells: (changes) => {
      const { weight, by, why } = changes.at(-1) ?? {};
      return weight === 0 && by !== 'the run' && why === 'rollback: second thoughts';
    },
  },
  'machines whose proxies are down when the traffic is to return, which stays until one serves': {
    ...{ request: { soak: '1h' }, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /machines warm/);
      await Promise.all(lab.machines.map((machine) => onMachine(machine, 'systemctl stop istio')));
      const [machine] = lab.machines;
      if (machine === undefined) throw new Error('unreachable');
      await wayBackIs(
        platform,
        id,
        /^No machine of WorkloadGroup .*\/orders serves .*: none would take the traffic back/,
      );
      await onMachine(machine, 'systemctl start istio');
      await wayBackIs(platform, id, undefined);
      await onMachine(machine, 'systemctl stop istio');
      await wayBackIs(platform, id, /No machine/);
      await lab.control(id, 'rollback');
      await platform.api.waitsFor(id, /No machine of WorkloadGroup .*\/orders serves/);
      const served = Object.keys(await lab.answeredBy(100));
      if (served.length !== 2) throw new Error(`Both pods are to answer until a machine does: ${served.join(', ')}`);
      await Promise.all(lab.machines.map((machine) => onMachine(machine, 'systemctl start istio')));
      const { cutover } = await endOf(platform.api, id);
      if (cutover?.wayBack !== undefined) throw new Error(`It still tells: ${cutover.wayBack}`);
    },
  },
  'machines that are asked to drain in the soak, of which one has to stay warm': {
    ...{ request: { soak: '1h' }, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /machines warm/);
      const [machine, other] = lab.machines;
      if (machine === undefined || other === undefined) throw new Error('unreachable');
      await ends(platform, machine, 'drain', 'Drained');
      await ends(platform, other, 'drain', 'InMesh', { deadlineSeconds: 2 });
      await ends(platform, machine, 'undrain', 'InMesh');
      await lab.control(id, 'rollback');
    },
  },
  'a machine that is drained at 50% and taken back': {
    ...{ request: { steps: longSteps }, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      const [machine, other] = lab.machines;
      if (machine === undefined || other === undefined) throw new Error('unreachable');
      await ends(platform, machine, 'drain', 'Drained');
      const served = Object.keys(await lab.answeredBy(100));
      if (served.includes(machine.name) || !served.includes(other.name) || served.length === 1)
        throw new Error(`${machine.name} is drained, and there answer: ${served.join(', ')}`);
      await ends(platform, machine, 'undrain', 'InMesh');
      await lab.control(id, 'rollback');
    },
  },
  'a machine that dies at 50%': {
    ...{ request: { steps: longSteps }, isLoaded: true, phase: 'RolledBack', message: /on request of/ },
    // What it was asked when it died, in whatever way its callers hear of that.
    mayLose: /./,
    during: async (id, { platform, lab }) => {
      await platform.api.waitsFor(id, /at 50%/);
      const [machine] = lab.machines;
      if (machine === undefined) throw new Error('unreachable');
      await powerOff(machine);
      await eventually(
        'callers have pods and the other machine',
        async () => {
          const served = Object.keys(await lab.answeredBy(50));
          return served.length === 3 && !served.includes(machine.name);
        },
        120_000,
      );
      await platform.api.waitsFor(id, /at 50%/);
      await lab.control(id, 'rollback', 'a machine is gone');
      await eventually(
        'the routes are gone',
        async () => !(await kubectl(lab, 'get', 'virtualservices')).includes('again'),
        120_000,
      );
      await powerOn(machine);
    },
  },
};

/** The run tells it, and goes on soaking. */
async function wayBackIs({ api }: Platform, id: string, told: RegExp | undefined): Promise<void> {
  await eventually(
    `${id} tells that the way back is ${told?.source ?? 'open'}`,
    async () => {
      const { cutover, waitingFor = '' } = await api.operation(id);
      if (!waitingFor.includes('machines warm')) throw new Unrecoverable(`It waits for ${waitingFor}`);
      return told === undefined ? cutover?.wayBack === undefined : told.test(cutover?.wayBack ?? '');
    },
    120_000,
  );
}

async function ends(
  { api }: Platform,
  { namespace, name }: SandboxMachine,
  verb: string,
  phase: string,
  asked: object = {},
): Promise<void> {
  const { status, body } = await api.call<Operation>('POST', `/v1/machines/${namespace}/${name}/${verb}`, asked);
  if (status !== 202) throw new Error(`${verb} of ${name} answered ${status}: ${JSON.stringify(body)}`);
  const { message } = await endOf(api, body.id);
  const found = (await api.machine(namespace, name)).phase;
  if (found !== phase) throw new Error(`${name} is ${found} after ${verb}: ${message ?? ''}`);
}

const isBegun = ({ steps }: Operation, step: string): boolean =>
  steps.some(({ name, phase }) => name === step && phase !== 'Pending');

const isDone = ({ steps }: Operation, step: string): boolean =>
  steps.some(({ name, phase }) => name === step && phase === 'Succeeded');

const kubectl = async (lab: MigrationLab, ...args: string[]): Promise<string> =>
  await command('kubectl', '-n', lab.namespace.name, ...args);
