/** What must hold after workers were killed everywhere; each claim is a test of its own. */
import { activityNames, type Crashed } from './crashes.ts';
import { seed } from './seed.ts';

interface Claim {
  readonly title: string;
  readonly sides: (crashed: Crashed) => { readonly found: unknown; readonly wanted: unknown };
}

const ofEach = <T>(values: readonly T[], wanted: T): { found: readonly T[]; wanted: readonly T[] } => ({
  found: values,
  wanted: values.map(() => wanted),
});

export const crashClaims: readonly Claim[] = [
  ...activityNames.map((activity): Claim => ({
    title: `${activity} is reached, and its worker killed (seed ${seed})`,
    sides: ({ killed, points }) => {
      const point = points.find((one) => one.activity === activity);
      return { found: { point, isKilled: killed.includes(activity) }, wanted: { point, isKilled: true } };
    },
  })),
  {
    title: 'each operation ends as in a life without kills',
    sides: ({ calm, lives }) =>
      ofEach(
        lives.map(({ ends }) => ends),
        calm.ends,
      ),
  },
  {
    title: 'both sides of each member are as in a life without kills',
    sides: ({ calm, lives }) =>
      ofEach(
        lives.map(({ member }) => member),
        calm.member,
      ),
  },
  {
    title: 'each effect came once: entries of the journal, installation, starts of the unit',
    sides: ({ calm, lives }) =>
      ofEach(
        [calm, ...lives].map(({ repeats, installs, starts }) => ({ repeats, installs, starts })),
        { repeats: [], installs: calm.installs, starts: calm.starts },
      ),
  },
  {
    title: 'nothing is left of any machine, and each is as found',
    sides: ({ calm, lives }) =>
      ofEach(
        [calm, ...lives].map(({ left }) => left),
        [],
      ),
  },
];
