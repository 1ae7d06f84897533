/** Reads a validator's findings into one line per field: where, and what it must be. Pure. */
import type { Problem } from './schemas/common.ts';

interface Finding {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
}
type Fault = NonNullable<Problem['errors']>[number];

/** `context` is fastify's: body, querystring, params or headers. Paths of a body are JSON pointers. */
export function faultsOf(findings: readonly Finding[], context: string | undefined): Fault[] {
  const faults = chooseBranches(findings).flatMap(faultsOfFinding);
  const prefix = context === undefined || context === 'body' ? '' : context;
  const byLine = new Map(faults.map((fault) => [`${fault.path} ${fault.message}`, fault]));
  return [...byLine.values()].map(({ path, message }) => ({ path: `${prefix}${path}` || '/', message }));
}

function faultsOfFinding(finding: Finding): Fault[] {
  const { keyword, instancePath: path, message = 'is not valid' } = finding;
  switch (keyword) {
    case 'required':
      return namesIn(finding, 'requiredProperties').map((name) => ({
        path: `${path}/${escapePointer(name)}`,
        message: 'is required',
      }));
    case 'additionalProperties':
      return namesIn(finding, 'additionalProperties').map((name) => ({
        path: `${path}/${escapePointer(name)}`,
        message: 'is not a known field',
      }));
    case 'boolean':
      // The schema `false` of an unknown field; said by additionalProperties as well.
      return [];
    case 'contains':
      return [{ path, message: 'must hold exactly one Deployment' }];
    case 'oneOfFields':
      return [{ path, message: `must hold exactly one of ${namesIn(finding, 'fields').join(', ')}` }];
    default:
      return [{ path, message }];
  }
}

/**
 * A union reports every branch the value does not match. The branch that was meant is the one whose own fields are all
 * there; where there is none, the union says which fields tell its branches apart.
 */
function chooseBranches(findings: readonly Finding[]): Finding[] {
  const union = /^(?<union>.*?\/anyOf)\/(?<branch>\d+)/;
  const plain = findings.filter(({ schemaPath, keyword }) => !union.test(schemaPath) && keyword !== 'anyOf');
  const unions = Map.groupBy(
    findings.filter(({ schemaPath }) => union.test(schemaPath)),
    ({ schemaPath }) => union.exec(schemaPath)?.groups?.['union'] ?? '',
  );
  const chosen = [...unions].flatMap(([prefix, inside]) => {
    const branches = Map.groupBy(inside, ({ schemaPath }) => union.exec(schemaPath)?.groups?.['branch'] ?? '');
    return chooseBranch(prefix, [...branches.values()]);
  });
  return [...plain, ...chosen];
}

function chooseBranch(union: string, branches: readonly Finding[][]): Finding[] {
  const isOwn = ({ schemaPath }: Finding): boolean => schemaPath.slice(union.length + 1).split('/').length === 1;
  const lacks = (branch: readonly Finding[]): boolean =>
    branch.some((finding) => isOwn(finding) && finding.keyword === 'required');
  const meant = branches.filter((branch) => !lacks(branch)).sort((a, b) => a.length - b.length)[0];
  if (meant !== undefined) return meant;
  const own = branches.flat().filter((finding) => isOwn(finding) && finding.keyword === 'required');
  const fields = own.flatMap((finding) => namesIn(finding, 'requiredProperties'));
  return [{ keyword: 'oneOfFields', instancePath: own[0]?.instancePath ?? '', schemaPath: union, params: { fields } }];
}

function namesIn({ params }: Finding, key: string): string[] {
  const names = params[key];
  return Array.isArray(names) ? names.map(String) : [];
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
