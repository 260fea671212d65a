// Requests to access. Every failure is a RequestFailed; what is aborted stays an AbortError.
import { savedKey } from "./key";
import { OFFLINE, problemOfStatus, RequestFailed } from "./problem";

export interface Sent {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  key?: string;
}

const API = new URL("../v1/", document.baseURI);

/** The answer, with its body unread. */
export async function send(path: string, sent: Sent = {}): Promise<Response> {
  const response = await reach(path, sent);
  if (!response.ok) throw new RequestFailed(await problemIn(response));
  return response;
}

export async function sendForJson<T>(path: string, sent: Sent = {}): Promise<T> {
  return (await (await send(path, sent)).json()) as T;
}

async function reach(path: string, sent: Sent): Promise<Response> {
  try {
    return await fetch(new URL(path, API), {
      method: sent.method ?? "GET",
      headers: {
        authorization: `Bearer ${sent.key ?? savedKey() ?? ""}`,
        ...(sent.body === undefined ? {} : { "content-type": "application/json" }),
        ...sent.headers,
      },
      body: sent.body === undefined ? null : JSON.stringify(sent.body),
      signal: sent.signal ?? null,
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (sent.signal?.aborted) throw error;
    throw new RequestFailed(OFFLINE);
  }
}

async function problemIn(response: Response) {
  const said = (await response.json().catch(() => ({}))) as { error?: { message?: string; code?: string | null } };
  const after = Number(response.headers.get("retry-after-ms") ?? NaN);
  return problemOfStatus(
    response.status,
    said.error?.code ?? null,
    said.error?.message ?? "",
    Number.isFinite(after) ? after : null,
    Date.now(),
  );
}
