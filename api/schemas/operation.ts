/** One run of a verb on a target, as its workflow reports it. */
import Type from 'typebox';

import { closed, Condition, Timestamp } from './common.ts';
import { CutoverReport } from './cutover.ts';

export const OperationPhase = Type.Union([
  Type.Literal('Pending'),
  Type.Literal('Running'),
  Type.Literal('Waiting'),
  Type.Literal('Succeeded'),
  Type.Literal('Failed', {
    description: 'Ended before its first write, or could not undo everything: the message says which',
  }),
  Type.Literal('RolledBack', { description: 'Failed, and everything it did was undone on both sides' }),
  Type.Literal('Cancelled', { description: 'Stopped on request, and everything it did was undone on both sides' }),
]);
export type OperationPhase = Type.Static<typeof OperationPhase>;

export const OperationStep = Type.Object(
  {
    name: Type.String(),
    phase: Type.Union([
      Type.Literal('Pending'),
      Type.Literal('Running'),
      Type.Literal('Succeeded'),
      Type.Literal('Unchanged', { description: 'Already as wanted: nothing was written' }),
      Type.Literal('Failed'),
      Type.Literal('Undone'),
    ]),
    startedAt: Type.Optional(Timestamp),
    endedAt: Type.Optional(Timestamp),
    attempts: Type.Integer({ minimum: 0, description: 'How often the step was tried; 0 before its start' }),
    reason: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
  },
  closed,
);
export type OperationStep = Type.Static<typeof OperationStep>;

export const Verb = Type.Union([
  Type.Literal('onboard'),
  Type.Literal('offboard'),
  Type.Literal('enforce'),
  Type.Literal('drain'),
  Type.Literal('undrain'),
  Type.Literal('restart-proxy'),
  Type.Literal('migrate'),
]);
export type Verb = Type.Static<typeof Verb>;

/** What a drain saw and cost; a field is absent until it is known. */
export const DrainReport = Type.Object(
  {
    disrupts: Type.Optional(
      Type.Array(Type.String(), { description: 'Services that fall below their floor by it, as was allowed' }),
    ),
    unproven: Type.Optional(
      Type.Array(Type.String(), { description: 'What could not be proven, where that was allowed' }),
    ),
    connectionsLeft: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Requests and connections that went on at the deadline of a drain' }),
    ),
    connectionsCut: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Requests and connections that were cut at the deadline, as a stop followed',
      }),
    ),
    outboundFailed: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Calls by the machine that its new proxy saw fail; those without a proxy are not seen',
      }),
    ),
    proxyDownSeconds: Type.Optional(Type.Number({ minimum: 0 })),
    gap: Type.Optional(
      Type.Object(
        {
          predictedSeconds: Type.Object({ least: Type.Integer(), most: Type.Integer() }, closed),
          measuredSeconds: Type.Optional(Type.Number()),
        },
        {
          ...closed,
          description: 'How long a Service is without an endpoint, from the label to its end on every istiod',
        },
      ),
    ),
  },
  closed,
);
export type DrainReport = Type.Static<typeof DrainReport>;

export const Operation = Type.Object(
  {
    id: Type.String(),
    run: Type.Optional(
      Type.String({
        description: 'Of a migration, whose id its runs share: GET with ?run= tells of this one ever after',
      }),
    ),
    verb: Verb,
    target: Type.Object({ namespace: Type.String(), name: Type.String() }, closed),
    phase: OperationPhase,
    revision: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Counts the changes of an operation that has started; the id of its events',
      }),
    ),
    steps: Type.Array(OperationStep),
    conditions: Type.Array(Condition),
    waitingFor: Type.Optional(Type.String({ description: 'What the operation waits for, on which object' })),
    next: Type.Optional(Type.String({ description: 'What happens next, or what a person should do' })),
    message: Type.Optional(Type.String()),
    drain: Type.Optional(DrainReport),
    cutover: Type.Optional(CutoverReport),
    workflowUrl: Type.Optional(Type.String()),
  },
  { ...closed, $id: 'Operation', description: 'One run of a verb on a target' },
);
export type Operation = Type.Static<typeof Operation>;

/** A row of the list, from the visibility store alone: the steps are with the operation itself. */
export const OperationRow = Type.Object(
  {
    id: Type.String(),
    verb: Operation.properties.verb,
    target: Operation.properties.target,
    phase: OperationPhase,
    startedAt: Timestamp,
    endedAt: Type.Optional(Timestamp),
    workflowUrl: Type.Optional(Type.String()),
  },
  { ...closed, $id: 'OperationRow' },
);
export type OperationRow = Type.Static<typeof OperationRow>;

export const OperationList = Type.Object(
  { operations: Type.Array(OperationRow), nextPageToken: Type.Optional(Type.String()) },
  { ...closed, $id: 'OperationList', description: 'One page of operations' },
);
export type OperationList = Type.Static<typeof OperationList>;
