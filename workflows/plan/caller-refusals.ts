/**
 * Whether AuthorizationPolicies would refuse a caller of today once the machine's proxy judges it. Such a caller has no identity:
 * it comes in plaintext. What depends on the request itself counts as refused, since nobody can say before.
 */
import { isInCidr } from './cidr.ts';

export interface Caller {
  /** Absent: one that is not known. */
  readonly address?: string;
  readonly port?: number;
}

/** An AuthorizationPolicy that applies to the machine. */
export interface Authorization {
  readonly name: string;
  readonly spec: { readonly action?: string; readonly rules?: readonly Rule[] };
}

interface Rule {
  readonly from?: readonly { readonly source?: Fields }[];
  readonly to?: readonly { readonly operation?: Fields }[];
  readonly when?: readonly unknown[];
}

type Fields = Readonly<Record<string, readonly string[] | undefined>>;
type Match = 'never' | 'perhaps' | 'always';

/** Names of the policies that refuse the caller, or that may; none where it passes. */
export function refusalsOf(policies: readonly Authorization[], caller: Caller): string[] {
  const by = (action: string) => policies.filter(({ spec }) => (spec.action ?? 'ALLOW') === action);
  const matches = ({ spec }: Authorization): Match => best((spec.rules ?? []).map((rule) => matchRule(rule, caller)));
  const allowing = by('ALLOW');
  const isAllowed = allowing.length === 0 || best(allowing.map(matches)) === 'always';
  const refusing = [...by('DENY'), ...by('CUSTOM')].filter((policy) => matches(policy) !== 'never');
  return [...(isAllowed ? [] : allowing), ...refusing].map(({ name }) => name);
}

function matchRule({ from = [], to = [], when = [] }: Rule, caller: Caller): Match {
  return least([
    from.length === 0 ? 'always' : best(from.map(({ source = {} }) => matchSource(source, caller))),
    to.length === 0 ? 'always' : best(to.map(({ operation = {} }) => matchOperation(operation, caller))),
    when.length === 0 ? 'always' : 'perhaps',
  ]);
}

/** Fields of one source all have to match. */
function matchSource(source: Fields, { address }: Caller): Match {
  return least(
    given(source).map(([field, values]): Match => {
      switch (field) {
        // An identity by mTLS: plaintext has none, so it is nobody's, and never one that is not to be.
        case 'principals':
        case 'namespaces':
        case 'serviceAccounts':
          return 'never';
        case 'notPrincipals':
        case 'notNamespaces':
        case 'notServiceAccounts':
          return 'always';
        case 'ipBlocks':
          return address === undefined ? 'perhaps' : sure(isInBlocks(address, values));
        case 'notIpBlocks':
          return address === undefined ? 'perhaps' : sure(!isInBlocks(address, values));
        default:
          return 'perhaps';
      }
    }),
  );
}

function matchOperation(operation: Fields, { port }: Caller): Match {
  return least(
    given(operation).map(([field, values]): Match => {
      if (port === undefined) return 'perhaps';
      if (field === 'ports') return sure(values.includes(String(port)));
      return field === 'notPorts' ? sure(!values.includes(String(port))) : 'perhaps';
    }),
  );
}

const given = (fields: Fields) =>
  Object.entries(fields).filter((entry): entry is [string, readonly string[]] => (entry[1] ?? []).length > 0);

function isInBlocks(address: string, blocks: readonly string[]): boolean {
  return blocks.some((block) =>
    isInCidr(address, block.includes('/') ? block : `${block}/${block.includes(':') ? 128 : 32}`),
  );
}

const order: readonly Match[] = ['never', 'perhaps', 'always'];
const sure = (isMatch: boolean): Match => (isMatch ? 'always' : 'never');

/** All have to match. */
const least = (matches: readonly Match[]): Match => order.find((match) => matches.includes(match)) ?? 'always';

/** One has to match. */
const best = (matches: readonly Match[]): Match => order.findLast((match) => matches.includes(match)) ?? 'never';
