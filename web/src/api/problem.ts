// What went wrong, as a person is told of it: which kind, whose words, and when to try again.

/**
 * `offline`: the server was not reached · `limited`: the caller's limit · `full`: the fleet's · `no_workers`: nobody
 * serves the model · `key`: the key is no longer good · `gone`: there is no such thing · `failed`: anything else.
 */
export type ProblemKind = "offline" | "limited" | "full" | "no_workers" | "key" | "gone" | "failed";

/** `retryAt` is in milliseconds of `Date.now()`. `message` is the server's sentence, empty if it said none. */
export interface Problem {
  kind: ProblemKind;
  message: string;
  code: string | null;
  retryAt: number | null;
}

export class RequestFailed extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message || problem.kind);
  }
}

export const OFFLINE: Problem = { kind: "offline", message: "", code: null, retryAt: null };

export function problemOf(error: unknown): Problem {
  return error instanceof RequestFailed ? error.problem : OFFLINE;
}

/** The problem of an error's code, for errors that come inside of a stream and have no status. */
export function problemOfCode(code: string | null, message: string): Problem {
  return { kind: kindOf(0, code), message, code, retryAt: null };
}

export function problemOfStatus(
  status: number,
  code: string | null,
  message: string,
  retryAfterMs: number | null,
  now: number,
): Problem {
  return { kind: kindOf(status, code), message, code, retryAt: retryAfterMs === null ? null : now + retryAfterMs };
}

function kindOf(status: number, code: string | null): ProblemKind {
  if (code === "no_workers") return "no_workers";
  if (status === 429 || code === "rate_limit_exceeded" || code === "quota_exceeded") return "limited";
  if (status === 401 || code === "invalid_api_key") return "key";
  if (status === 404 || status === 410) return "gone";
  if (status === 503 || FULL.has(code ?? "")) return "full";
  return "failed";
}

const FULL = new Set(["starting", "waiting_room_full", "patience_exhausted", "queue_full", "grant_expired"]);
