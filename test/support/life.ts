/** A machine's life through the API, from onboarding to gone, and what it left on both sides at each stage. */
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import type { Api } from '../../demo/api-client.ts';
import { eventually, Unrecoverable } from '../../demo/eventually.ts';
import { onboardRequest, type SandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from './as-found.ts';
import { moveAway } from './moved.ts';
import { ask, endOf, objectsOf } from './operations.ts';
import { kubectl, onMachine } from './sandbox.ts';

export interface Life {
  /** How each operation ended, in order: the verb, its phase, what was not done. */
  readonly ends: readonly string[];
  /** Both sides while it is a member, without what differs between any two machines. */
  readonly member: readonly string[];
  /** What must have happened once: lines of the journal that are there twice, installations, starts of the unit. */
  readonly repeats: readonly string[];
  readonly installs: number;
  readonly starts: number;
  /** What is left of it in the end, on either side. */
  readonly left: readonly string[];
}

const contents = ['/var/lib/istio/envoy/cluster.env', '/etc/istio/config/mesh', '/etc/hosts'];
/** Names of operations, identities and what the proxy writes as it runs differ between any two machines. */
const differs =
  /\/var\/lib\/meshlift\/(results|before|steps|fence)|\/etc\/certs\/|\/var\/lib\/istio\/proxy|sha256|^[-+] [0-9a-f]{64} /;

export async function liveOnce(api: Api, env: SandboxEnv, machine: SandboxMachine): Promise<Life> {
  const asFound = await snapshot(machine);
  const request = onboardRequest(env, machine, machine.name);
  const body = {
    ...request,
    // A Service that pods watch selects it, so that a drain has something to prove.
    workload: { ...request.workload, labels: { ...request.workload?.labels, checkout: 'true' } },
    host: { ...request.host, hostKey: { trustOnFirstUse: true as const } },
  };
  const ends: string[] = [];
  const run = async (start: () => Promise<Operation>): Promise<void> => {
    const { id } = await ask(start);
    const { verb, phase, message, steps } = await endOf(api, id);
    // A retry of what was done finds it done: whether a step changed something is told by its last try alone.
    const undone = steps.filter((step) => step.phase !== 'Succeeded' && step.phase !== 'Unchanged');
    ends.push([verb, phase, ...(phase === 'Succeeded' ? [] : [message]), ...undone.map((step) => step.name)].join(' '));
  };
  ends.push(await takenBack(api, { ...body, workload: { ...body.workload, probe: { httpGet: { port: 9 } } } }));
  await run(() => api.onboard(body));
  const member = (await memberSides(machine, asFound)).map((line) => withoutNames(line, machine));
  const journal = (await onMachine(machine, 'cut -f 2- /var/lib/meshlift/journal')).trim().split('\n');
  await run(() => api.onboard(body));
  for (const [verb, asked] of verbs) await run(() => operate(api, machine, verb, asked));
  const installs = Number(await onMachine(machine, "grep -c ' install istio-sidecar' /var/log/dpkg.log"));
  const starts = Number(await onMachine(machine, countStarts));
  // It leaves as its workload moves.
  ends.push(...(await moveAway(api, machine)));
  return {
    ends,
    member,
    repeats: journal.filter((entry, index) => journal.indexOf(entry) !== index),
    installs,
    starts,
    left: [...difference(asFound, await snapshot(machine)), ...(await objectsOf('shop', machine.name))],
  };
}

/** An onboarding whose health never comes, cancelled there: it is taken back, proxy and all. */
async function takenBack(api: Api, body: OnboardMachine): Promise<string> {
  const { id } = await ask(() => api.onboard(body));
  await eventually(
    `${id} waits for its health`,
    async () => {
      const { phase, message, steps } = await api.operation(id);
      if (phase !== 'Pending' && phase !== 'Running') throw new Unrecoverable(`${id} is ${phase}: ${message ?? ''}`);
      return steps.some(({ name, phase }) => name === 'verifyHealthy' && phase === 'Running');
    },
    240_000,
  );
  await ask(async () => {
    const { status } = await api.call('POST', `/v1/operations/${id}/cancel`);
    if (status !== 202) throw new Error(`The cancel of ${id} answered ${status}`);
    return status;
  });
  const { verb, phase } = await endOf(api, id);
  return `${verb} ${phase}`;
}

/** Machines of one Service wait for each other, and each for a worker that was killed. */
const patiently = { allowDisruption: true, deadlineSeconds: 300 };

/** Everything that is asked of a member, as a drain of a sole endpoint and a caller from outside the mesh allow it. */
const verbs: readonly (readonly [verb: string, body: object])[] = [
  ['restart-proxy', patiently],
  ['drain', patiently],
  ['undrain', {}],
  ['enforce', { mode: 'enforce', allowPlaintextCallers: true }],
  ['enforce', { mode: 'observe' }],
];

async function operate(api: Api, { namespace, name }: SandboxMachine, verb: string, body: object): Promise<Operation> {
  const path = `/v1/machines/${namespace}/${name}/${verb}`;
  const answer = await api.call<Operation>('POST', path, body);
  if (answer.status !== 202) throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** As systemd logged them: each start of the unit has an id of its own. */
const countStarts =
  'journalctl -u istio -o json --no-pager | grep -o \'"INVOCATION_ID":"[0-9a-f]*"\' | sort -u | wc -l';

async function memberSides(machine: SandboxMachine, asFound: readonly string[]): Promise<string[]> {
  const now = await snapshot(machine);
  const listed = difference(asFound, now).filter((line) => !differs.test(line));
  const files = await onMachine(machine, `cat ${contents.join(' ')}; cut -f 2- /var/lib/meshlift/journal | sort`);
  const kinds = 'serviceaccounts,workloadgroups,workloadentries,peerauthentications,sidecars,authorizationpolicies';
  const { items } = await kubectl<{ items: Found[] }>('-n', 'shop', 'get', kinds);
  const objects = items
    .filter(({ metadata }) => metadata.name.includes(machine.name))
    .map(({ kind, metadata: { name, labels }, spec }) => JSON.stringify({ kind, name, labels, spec }));
  return [...listed, ...files.split('\n'), ...objects.sort()];
}

interface Found {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: object };
  readonly spec?: object;
}

const withoutNames = (line: string, { name, address }: SandboxMachine): string =>
  line.replaceAll(name, '<name>').replaceAll(address, '<address>');
