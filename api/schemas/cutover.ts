/** What a migration has done to the traffic: every weight, with who, why and what it rested on. */
import Type from 'typebox';

import { closed, Timestamp } from './common.ts';

/** What the proxies of one side counted within a window. */
export const SideCounts = Type.Object(
  {
    requests: Type.Integer({ minimum: 0 }),
    failed: Type.Integer({ minimum: 0, description: 'Answers of 500 and above, and none at all' }),
    meanMs: Type.Optional(Type.Number({ minimum: 0 })),
  },
  closed,
);
export type SideCounts = Type.Static<typeof SideCounts>;

const WeightChange = Type.Object(
  {
    at: Timestamp,
    weight: Type.Integer({ minimum: 0, maximum: 100 }),
    by: Type.String({ description: 'The run itself, or the caller who asked' }),
    why: Type.String(),
    evidence: Type.Optional(Type.Object({ machines: SideCounts, pods: SideCounts }, closed)),
  },
  closed,
);
export type WeightChange = Type.Static<typeof WeightChange>;

export const CutoverReport = Type.Object(
  {
    weight: Type.Integer({
      minimum: 0,
      maximum: 100,
      description: 'Percent of the traffic to pods, as every proxy has acknowledged',
    }),
    changes: Type.Array(WeightChange),
    soakUntil: Type.Optional(Timestamp),
    finalized: Type.Optional(
      Type.Object(
        { at: Timestamp, by: Type.String(), why: Type.Optional(Type.String()) },
        { ...closed, description: 'Who said that machines may leave' },
      ),
    ),
    wayBack: Type.Optional(
      Type.String({
        description:
          'Why no machine would take the traffic back now, as the run sees it while it waits; absent where one would. It ends or pauses nothing',
      }),
    ),
  },
  closed,
);
export type CutoverReport = Type.Static<typeof CutoverReport>;
