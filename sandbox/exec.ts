/** Runs a program to its end, arguments as an array; a failure names the program, its exit and its last words. */
import { execFile } from 'node:child_process';

export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Buffer;
}

export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return await new Promise((resolve, reject) => {
    const child = execFile(
      file,
      [...args],
      { cwd: options.cwd, env: { ...process.env, ...options.env }, maxBuffer: 256 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) resolve({ stdout, stderr });
        else {
          const lastWords = `${stderr}\n${stdout}`.trim().split('\n').slice(-8).join('\n');
          reject(
            new Error(`${file} ${args.slice(0, 4).join(' ')} failed (${error.code ?? 'signal'}): ${lastWords}`, {
              cause: error,
            }),
          );
        }
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}
