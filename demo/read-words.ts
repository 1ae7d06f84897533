/** What a script was told on its command line. */
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** Ends the process with 2 and says why, with the usage. */
export function refuseWords(why: string, usage: string): never {
  process.stderr.write(`${why}\nusage: ${usage}\n`);
  process.exit(2);
}

/** `parseArgs`; of an option that is not known the caller hears in a line, and nothing is done. */
export function readWords<Config extends ParseArgsConfig>(
  config: Config,
  usage: string,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config);
  } catch (error) {
    return refuseWords((error as Error).message, usage);
  }
}
