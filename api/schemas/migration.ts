/** A migration: the traffic of one Service moves from the machines of a WorkloadGroup to pods, step by step. */
import Type from 'typebox';

import { closed, Condition, DnsLabel, DnsSubdomain, Labels, Timestamp } from './common.ts';
import { OperationPhase } from './operation.ts';

const duration = { pattern: '^[0-9]{1,6}(s|m|h)$', examples: ['30s', '10m', '2h'] };

/** Percent of the traffic that goes to pods. */
const Weight = Type.Integer({ minimum: 1, maximum: 100, description: 'Percent of the traffic to pods' });

const CutoverStep = Type.Object(
  {
    weight: Weight,
    hold: Type.Optional(
      Type.String({ ...duration, description: 'How long the step stands before it is judged; default 1m' }),
    ),
  },
  closed,
);

const promql = { minLength: 1, maxLength: 2_000 };

/** One number of a store of metrics, and what it may be: at least one limit is needed. */
export const MetricQuery = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
    query: Type.String({
      ...promql,
      description:
        'Of pods: PromQL that answers with one number. {{namespace}}, {{service}}, {{deployment}}, {{workloadGroup}} and {{window}} (since the step began, e.g. 60s) are filled in',
      examples: [
        'histogram_quantile(0.99, sum by (le) (rate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_workload_namespace="{{namespace}}",destination_workload="{{deployment}}"}[{{window}}])))',
      ],
    }),
    machinesQuery: Type.Optional(Type.String({ ...promql, description: 'The same of machines; maxRatio needs it' })),
    atLeast: Type.Optional(Type.Number({ description: 'Of pods' })),
    atMost: Type.Optional(Type.Number({ description: 'Of pods' })),
    maxRatio: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'How many times the number of machines that of pods may be' }),
    ),
  },
  closed,
);
export type MetricQuery = Type.Static<typeof MetricQuery>;

/** What a step must show: pods against machines in the same window, and against the limits. */
export const Analysis = Type.Object(
  {
    minRequests: Type.Optional(
      Type.Integer({ minimum: 1, description: 'To pods, in the window; with fewer the step waits. Default 100' }),
    ),
    successRate: Type.Optional(
      Type.Number({ minimum: 0, maximum: 1, description: 'The least share of answers below 500; default 0.99' }),
    ),
    maxSuccessDrop: Type.Optional(
      Type.Number({ minimum: 0, maximum: 1, description: "How far it may be below the machines' share; default 0.01" }),
    ),
    maxLatencyMs: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'Of the mean answer; default: no limit' }),
    ),
    maxLatencyRatio: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: "Of the mean answer to the machines' mean; default 2" }),
    ),
    queries: Type.Optional(
      Type.Array(MetricQuery, {
        minItems: 1,
        maxItems: 10,
        description:
          "Asked of the Prometheus that the worker knows, and judged beside the proxies' counters; default: none",
      }),
    ),
    onInconclusive: Type.Optional(
      Type.Union([Type.Literal('wait'), Type.Literal('pause'), Type.Literal('rollback')], {
        description: 'What follows where too little was seen to judge by; default wait',
      }),
    ),
  },
  closed,
);
export type Analysis = Type.Static<typeof Analysis>;

const size = {
  replicas: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1000,
      description: 'Default: what the manifest says, or else as many as the group has machines',
    }),
  ),
  readyWithin: Type.Optional(
    Type.String({ ...duration, description: 'How long its pods may take until all are ready; default 5m' }),
  ),
};

/** What stands in it beside kind and name is the kind's own: the API server judges it, before anything is touched. */
const Manifest = Type.Object(
  {
    apiVersion: Type.Enum(['apps/v1', 'v1']),
    kind: Type.Enum(['Deployment', 'ServiceAccount', 'ConfigMap']),
    metadata: Type.Object(
      {
        name: DnsSubdomain,
        namespace: Type.Optional(DnsLabel),
        labels: Type.Optional(Labels),
        annotations: Type.Optional(Type.Record(Type.String({ pattern: '^.{1,317}$' }), Type.String())),
      },
      closed,
    ),
    spec: Type.Optional(Type.Object({}, { additionalProperties: true })),
    data: Type.Optional(Type.Record(Type.String({ pattern: '^[-._a-zA-Z0-9]+$' }), Type.String(), closed)),
    automountServiceAccountToken: Type.Optional(Type.Boolean()),
    imagePullSecrets: Type.Optional(Type.Array(Type.Object({ name: DnsSubdomain }, closed), { maxItems: 20 })),
  },
  closed,
);
export type Manifest = Type.Static<typeof Manifest>;

const Target = Type.Union([
  Type.Object(
    { deployment: DnsSubdomain, ...size },
    { ...closed, description: 'A Deployment of the namespace, scaled to 0 until the guard holds' },
  ),
  Type.Object(
    {
      manifests: Type.Array(Manifest, {
        ...{ minItems: 1, maxItems: 20 },
        contains: Type.Object({ kind: Type.Literal('Deployment') }),
        ...{ minContains: 1, maxContains: 1 },
        description:
          'One Deployment and what it needs, none of them there yet: applied once the guard holds, deleted by a rollback, and ' +
          "their owner's alone after finalize. The caller needs the right to create, patch and delete each. Secrets are not taken, since a run " +
          'keeps its request: apply those yourself',
      }),
      ...size,
    },
    closed,
  ),
]);

/** Body of `POST /v1/migrations`. */
export const CreateMigration = Type.Object(
  {
    name: DnsLabel,
    namespace: DnsLabel,
    workloadGroup: DnsSubdomain,
    service: DnsLabel,
    target: Target,
    steps: Type.Array(CutoverStep, {
      minItems: 1,
      maxItems: 20,
      description: 'Rising weights; the last one is 100, unless the run is to stay at a split',
    }),
    analysis: Type.Optional(Analysis),
    approvals: Type.Optional(
      Type.Array(Weight, { uniqueItems: true, description: 'Weights that wait for POST .../approve first' }),
    ),
    cutoverAt: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When the first weight is written; everything is made ready before',
      }),
    ),
    smoke: Type.Optional(
      Type.Object(
        {
          path: Type.String({ pattern: '^/[!-~]*$', maxLength: 1024 }),
          requests: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: 'Default 10' })),
        },
        { ...closed, description: "Requests that only pods get; default: the path of the group's HTTP probe" },
      ),
    ),
    guard: Type.Optional(
      Type.Union([Type.Literal('routes'), Type.Literal('selector')], {
        description:
          "What keeps traffic from pods until their weight: routes (default), subsets of the Service that every caller's routes name; selector, for Services that others route or have rules for: the Service selects machines alone until 100%, pods are reached through a second one, and callers that follow no route move at once at 100%",
      }),
    ),
    onForeignEdit: Type.Optional(
      Type.Union([Type.Literal('reassert'), Type.Literal('pause')], {
        description:
          'Where somebody else edits what routes the Service: it is put back at once, or the run pauses and puts it back when it is resumed. Told in both; default reassert. An object of others that comes to route the Service beside the run pauses it in both, until it is removed and the run resumed',
      }),
    ),
    gitops: Type.Optional(
      Type.Literal('paused', {
        description:
          'Argo CD, Flux or Helm, which manage the Deployment, an owned VirtualService or, with guard: selector, the Service, do not put back what the run changes: the caller has seen to it',
      }),
    ),
    ownGatewayRoutes: Type.Optional(
      Type.Array(
        Type.Object(
          { namespace: Type.Optional(DnsLabel), virtualService: DnsSubdomain, route: Type.String({ maxLength: 253 }) },
          closed,
        ),
        {
          maxItems: 20,
          description:
            'HTTP routes of gateways, by name, that lead to the Service: they follow the weights, and are put back as they were',
        },
      ),
    ),
    soak: Type.Optional(Type.String({ ...duration, description: 'At 100%, machines warm; default 10m' })),
    silence: Type.Optional(
      Type.String({ ...duration, description: 'How long no request may reach a machine before it leaves; default 1m' }),
    ),
  },
  { ...closed, $id: 'CreateMigration' },
);
export type CreateMigration = Type.Static<typeof CreateMigration>;

/** Who asked for it and why, with `POST /v1/operations/{id}/approve` and the like. */
export const Decision = Type.Object(
  {
    reason: Type.Optional(Type.String({ maxLength: 500, description: 'Why; kept with the operation' })),
  },
  { ...closed, $id: 'Decision' },
);
export type Decision = Type.Static<typeof Decision>;

/** A decision that may say which step it means: sent twice, it is no approval of the next one. */
export const Approval = Type.Object(
  {
    ...Decision.properties,
    weight: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, description: 'That is approved; 409 where another one waits' }),
    ),
  },
  { ...closed, $id: 'Approval' },
);
export type Approval = Type.Static<typeof Approval>;

/** A row of the list. */
const MigrationRow = Type.Object(
  {
    namespace: DnsLabel,
    name: DnsLabel,
    phase: OperationPhase,
    startedAt: Timestamp,
    endedAt: Type.Optional(Timestamp),
  },
  { ...closed, $id: 'MigrationRow' },
);

export const MigrationList = Type.Object(
  { migrations: Type.Array(MigrationRow), nextPageToken: Type.Optional(Type.String()) },
  { ...closed, $id: 'MigrationList', description: 'One page of migrations' },
);

/** Answer to `validateOnly`. */
export const MigrationPlan = Type.Object(
  {
    conditions: Type.Array(Condition),
    objects: Type.Array(
      Type.Object(
        {
          ref: Type.String({ description: 'Kind, namespace and name' }),
          change: Type.Union([Type.Literal('create'), Type.Literal('change'), Type.Literal('unchanged')], {
            description:
              'What the run does to it until its guard holds: change and unchanged are of what a run before has left, or of a VirtualService of ownGatewayRoutes',
          }),
          routes: Type.Optional(
            Type.Array(Type.String(), {
              description: "Of somebody's VirtualService: the HTTP routes that the run leads, all that it writes of it",
            }),
          ),
          object: Type.Unknown({ description: 'As the guard has it, with all of the traffic at the machines' }),
        },
        closed,
      ),
    ),
    steps: Type.Array(Type.Object({ name: Type.String(), gate: Type.String() }, closed)),
    rollback: Type.Array(Type.String(), { description: 'What a rollback restores, in its order' }),
  },
  { ...closed, $id: 'MigrationPlan' },
);
export type MigrationPlan = Type.Static<typeof MigrationPlan>;
