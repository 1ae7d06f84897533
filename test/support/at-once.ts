/** Rows of one fault class run side by side; each is told by a test of its own, whatever became of the others. */

/** Runs the row of every title, at most `atOnce` together; what comes back gives a row's value, or throws what it threw. */
export async function runAtOnce<T, Title extends string = string>(
  titles: readonly Title[],
  run: (title: Title) => Promise<T>,
  atOnce = titles.length,
): Promise<(title: Title) => T> {
  const ended = new Map<Title, { readonly value: T } | { readonly error: unknown }>();
  const waiting = [...titles];
  const work = async (): Promise<void> => {
    for (let title = waiting.shift(); title !== undefined; title = waiting.shift()) {
      ended.set(
        title,
        await run(title).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        ),
      );
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return (title) => {
    const end = ended.get(title);
    if (end === undefined) throw new Error(`Row ${title} did not run`);
    if ('error' in end) throw end.error;
    return end.value;
  };
}
