/** A plan as `meshlift check` prints it: one line a condition, the worst first, then what would be written. */
import type { Condition } from '../api/schemas/common.ts';
import type { Plan } from '../api/schemas/machine.ts';

const WIDTH = 100;

type Mark = 'STOP' | 'warn' | 'note' | 'ok';
const marks: readonly Mark[] = ['STOP', 'warn', 'note', 'ok'];

export function renderReport({ conditions, steps }: Plan, machine: string): string {
  const typeWidth = Math.max(0, ...conditions.map(({ type }) => type.length));
  const lines = marks.flatMap((mark) =>
    conditions
      .filter((condition) => markOf(condition) === mark)
      .flatMap(({ type, message }) => {
        const [first = '', ...rest] = wrapped(message, WIDTH - typeWidth - 8);
        const indent = ' '.repeat(typeWidth + 8);
        return [`${mark.padEnd(4)}  ${type.padEnd(typeWidth)}  ${first}`, ...rest.map((line) => `${indent}${line}`)];
      }),
  );
  const stops = conditions.filter((condition) => markOf(condition) === 'STOP').length;
  const would = steps.map(({ name, change, object }) => `  ${name}: ${change} ${object}`);
  const verdict =
    stops > 0
      ? `${machine} cannot join: ${stops} of ${conditions.length} conditions stop it. Nothing was changed.`
      : `${machine} can join. Nothing was changed.`;
  return [...lines, ...(would.length > 0 ? ['', 'An onboarding would:', ...would] : []), '', verdict, ''].join('\n');
}

export function markOf({ status, category }: Condition): Mark {
  if (status === 'True') return category === 'Advisory' ? 'note' : 'ok';
  return category === 'Critical' ? 'STOP' : category === 'Warning' ? 'warn' : 'note';
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
