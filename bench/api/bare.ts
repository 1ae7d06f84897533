/** What the bare side's processes agree on. */
export const bareQueue = 'bare';
/** The workflow that answers every GET. */
export const answerId = 'bare-answer';
/** The controls make this many calls where one is enough: they have to miss the targets. */
export const controlCalls = 4;
