/** A machine in the mesh: what a caller asks for, what a plan says, and what is known of it. */
import Type from 'typebox';

import {
  closed,
  Condition,
  DnsLabel,
  DnsSubdomain,
  HostAddress,
  Labels,
  PortNumber,
  Revision,
  Timestamp,
} from './common.ts';
import { Enforcement } from './verbs.ts';

const probeTiming = {
  initialDelaySeconds: Type.Optional(Type.Integer({ minimum: 0 })),
  timeoutSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
  periodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
  successThreshold: Type.Optional(Type.Integer({ minimum: 0 })),
  failureThreshold: Type.Optional(Type.Integer({ minimum: 0 })),
};

/** The `probe` of a WorkloadGroup (networking.istio.io/v1 ReadinessProbe): exactly one of the kinds. */
const Probe = Type.Union([
  Type.Object(
    {
      httpGet: Type.Object(
        {
          port: PortNumber,
          path: Type.Optional(Type.String({ pattern: '^/', maxLength: 1024 })),
          host: Type.Optional(HostAddress),
          scheme: Type.Optional(Type.Union([Type.Literal('HTTP'), Type.Literal('HTTPS')])),
        },
        closed,
      ),
      ...probeTiming,
    },
    closed,
  ),
  Type.Object(
    { tcpSocket: Type.Object({ port: PortNumber, host: Type.Optional(HostAddress) }, closed), ...probeTiming },
    closed,
  ),
  Type.Object(
    {
      exec: Type.Object({ command: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }) }, closed),
      ...probeTiming,
    },
    closed,
  ),
  Type.Object(
    { grpc: Type.Object({ port: PortNumber, service: Type.Optional(Type.String()) }, closed), ...probeTiming },
    closed,
  ),
]);

/** The WorkloadGroup to create where none exists; where one exists it must say the same. */
const Workload = Type.Object(
  {
    labels: Type.Optional(Labels),
    ports: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 }), PortNumber, closed),
    ),
    serviceAccount: Type.Optional(DnsSubdomain),
    network: Type.Optional(DnsLabel),
    locality: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9-]+(/[A-Za-z0-9-]+){0,2}$', maxLength: 253 })),
    probe: Type.Optional(Probe),
  },
  closed,
);

/** Exactly one way to know the host before anything is sent to it. */
export const HostKey = Type.Union([
  Type.Object(
    {
      fingerprint: Type.String({ pattern: '^SHA256:[A-Za-z0-9+/]{43}=?$', description: 'As ssh-keygen -lf prints it' }),
    },
    closed,
  ),
  Type.Object(
    { knownHosts: Type.String({ minLength: 1, maxLength: 8192, description: 'One or more known_hosts lines' }) },
    closed,
  ),
  Type.Object(
    { trustOnFirstUse: Type.Literal(true, { description: 'The key seen first is recorded and pinned from then on' }) },
    closed,
  ),
]);
export type HostKey = Type.Static<typeof HostKey>;

const hostFields = {
  address: HostAddress,
  port: Type.Optional(PortNumber),
  user: Type.String({
    pattern: '^[a-z_][a-z0-9_-]*$',
    maxLength: 32,
    description: 'An ordinary login user with sudo -n',
  }),
  credentialsName: DnsSubdomain,
  hostKey: HostKey,
};

/** A machine's SSH endpoint. `credentialsName` is a Secret of type kubernetes.io/ssh-auth in Meshlift's namespace. */
export const Host = Type.Object(
  { ...hostFields, jump: Type.Optional(Type.Object(hostFields, closed)) },
  { ...closed, $id: 'Host' },
);
export type Host = Type.Static<typeof Host>;

const Addressing = Type.Object(
  {
    ip: Type.Optional(HostAddress),
    external: Type.Optional(
      Type.Boolean({ description: 'true: ip is a public address that is not on the machine itself' }),
    ),
  },
  closed,
);

/** Whether the workload is to move into Kubernetes, and until when, or stays on its machine for good. */
export const Intent = Type.Union([
  Type.Object(
    {
      kind: Type.Literal('temporary'),
      until: Type.Optional(
        Type.String({ format: 'date-time', description: 'Past it the advisory TemporaryOverdue says so' }),
      ),
    },
    closed,
  ),
  Type.Object({ kind: Type.Literal('longTerm') }, closed),
]);
export type Intent = Type.Static<typeof Intent>;

/** When Meshlift may restart the proxy by itself: only when asked (default), at once, or in a window. */
const Restart = Type.Union([Type.Literal('manual'), Type.Literal('now'), Type.Literal('window')], {
  description: "Default manual. 'window' is not there yet and answered with 422",
});

const Floor = Type.Integer({
  minimum: 0,
  maximum: 1000,
  description:
    'Endpoints that each Service of the machine keeps while it drains; default 1, the highest of its machines counts',
});

/** Body of `POST /v1/machines` and input of the onboarding. */
export const OnboardMachine = Type.Object(
  {
    name: DnsLabel,
    namespace: DnsLabel,
    workloadGroup: DnsSubdomain,
    workload: Type.Optional(Workload),
    host: Host,
    addressing: Type.Optional(Addressing),
    revision: Type.Optional(Revision),
    restart: Type.Optional(Restart),
    floor: Type.Optional(Floor),
    intent: Type.Optional(Intent),
  },
  { ...closed, $id: 'OnboardMachine' },
);
export type OnboardMachine = Type.Static<typeof OnboardMachine>;

/** Body of `PATCH`: what may change of a machine without onboarding it anew; at least one field. */
export const PatchMachine = Type.Object(
  {
    restart: Type.Optional(Restart),
    floor: Type.Optional(Floor),
    intent: Type.Optional(Intent),
    host: Type.Optional(Host),
  },
  { ...closed, $id: 'PatchMachine', minProperties: 1 },
);
export type PatchMachine = Type.Static<typeof PatchMachine>;

export const MachinePhase = Type.Union([
  Type.Literal('Onboarding'),
  Type.Literal('InMesh'),
  Type.Literal('Drained'),
  Type.Literal('Offboarding'),
  Type.Literal('Offboarded'),
  Type.Literal('Migrated', { description: 'Its traffic is served by pods, and it has left the mesh' }),
  Type.Literal('Failed'),
]);
export type MachinePhase = Type.Static<typeof MachinePhase>;

/** One thing an operation would do, in its order. */
const PlannedStep = Type.Object({ name: Type.String(), change: Type.String(), object: Type.String() }, closed);

/** Answer of `validateOnly`: everything at once, nothing touched. */
export const Plan = Type.Object(
  {
    conditions: Type.Array(Condition),
    files: Type.Array(
      Type.Object(
        {
          path: Type.String(),
          mode: Type.String({ pattern: '^0[0-7]{3}$' }),
          sha256: Type.Optional(
            Type.String({ description: 'Absent where the content is a secret made at the time of writing' }),
          ),
          content: Type.String({ description: 'Secrets are masked' }),
        },
        closed,
      ),
    ),
    objects: Type.Array(Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true })),
    steps: Type.Array(PlannedStep),
  },
  { ...closed, $id: 'Plan', description: 'What the request would do; nothing was touched' },
);
export type Plan = Type.Static<typeof Plan>;

/** An operation as its machine remembers it; `endedAt` is absent while it waits or runs. */
export const OperationSummary = Type.Object(
  {
    id: Type.String(),
    verb: Type.String(),
    phase: Type.String(),
    endedAt: Type.Optional(Timestamp),
    message: Type.Optional(Type.String()),
  },
  closed,
);
export type OperationSummary = Type.Static<typeof OperationSummary>;

/** One machine, as its entity knows it. */
export const Machine = Type.Object(
  {
    namespace: Type.String(),
    name: Type.String(),
    workloadGroup: Type.String(),
    phase: MachinePhase,
    enforcement: Enforcement,
    intent: Type.Optional(Intent),
    restart: Type.Optional(Restart),
    floor: Type.Optional(Floor),
    conditions: Type.Array(Condition),
    proxy: Type.Object(
      {
        installedVersion: Type.Optional(Type.String()),
        runningVersion: Type.Optional(Type.String()),
        revision: Type.Optional(Type.String()),
        desiredVersion: Type.Optional(Type.String()),
        desiredRevision: Type.Optional(Type.String()),
        connected: Type.Boolean(),
        configAccepted: Type.Boolean(),
      },
      closed,
    ),
    identity: Type.Object(
      {
        spiffeId: Type.Optional(Type.String()),
        certificateExpiresAt: Type.Optional(Timestamp),
        tokenExpiresAt: Type.Optional(Timestamp),
      },
      closed,
    ),
    host: Host,
    version: Type.Integer({ description: 'Counts what a PATCH can change; the ETag' }),
    claimedBy: Type.Optional(Type.String({ description: 'The operation that moves its workload to pods' })),
    lastOperations: Type.Array(OperationSummary),
  },
  { ...closed, $id: 'Machine', description: 'One machine, as its entity knows it' },
);
export type Machine = Type.Static<typeof Machine>;

/** A row of the list, from search attributes and memo alone. */
export const MachineRow = Type.Object(
  {
    namespace: Type.String(),
    name: Type.String(),
    workloadGroup: Type.Optional(Type.String()),
    phase: Type.Optional(MachinePhase),
    revision: Type.Optional(Type.String()),
    proxyVersion: Type.Optional(Type.String()),
    outdated: Type.Boolean(),
  },
  { ...closed, $id: 'MachineRow' },
);
export type MachineRow = Type.Static<typeof MachineRow>;

export const MachineList = Type.Object(
  { machines: Type.Array(MachineRow), nextPageToken: Type.Optional(Type.String()) },
  { ...closed, $id: 'MachineList', description: 'One page of machines' },
);
export type MachineList = Type.Static<typeof MachineList>;
