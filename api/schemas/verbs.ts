/** What is asked of a machine that is in the mesh. */
import Type from 'typebox';

import { closed } from './common.ts';

/** How a machine's isolation stands: announced only, or held against everybody. */
export const Enforcement = Type.Union([Type.Literal('observe'), Type.Literal('enforce')]);
export type Enforcement = Type.Static<typeof Enforcement>;

/** Body of `POST .../enforce`. */
export const EnforceMachine = Type.Object(
  {
    mode: Enforcement,
    allowPlaintextCallers: Type.Optional(
      Type.Boolean({ description: 'true: callers outside the mesh that are connected now are cut; default false' }),
    ),
  },
  { ...closed, $id: 'EnforceMachine' },
);
export type EnforceMachine = Type.Static<typeof EnforceMachine>;

const drainFields = {
  allowDisruption: Type.Optional(
    Type.Boolean({ description: 'true: go on where a Service falls below its floor, e.g. with its only endpoint' }),
  ),
  allowUnproven: Type.Optional(
    Type.Boolean({ description: 'true: go on without proof that every client has let go; recorded. Default false' }),
  ),
  deadlineSeconds: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 3600,
      description: 'How long to wait for a lease, for proof and for requests to end, each; default 60',
    }),
  ),
};

/** Body of `POST .../drain`. */
export const DrainMachine = Type.Object(drainFields, { ...closed, $id: 'DrainMachine' });
export type DrainMachine = Type.Static<typeof DrainMachine>;

/** Body of `POST .../undrain`. */
export const UndrainMachine = Type.Object({}, { ...closed, $id: 'UndrainMachine' });
export type UndrainMachine = Type.Static<typeof UndrainMachine>;

/** Body of `POST .../restart-proxy`: a drain, a restart of the proxy, and the way back. */
export const RestartProxy = Type.Object(drainFields, { ...closed, $id: 'RestartProxy' });
export type RestartProxy = Type.Static<typeof RestartProxy>;
