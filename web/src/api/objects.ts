// What the API sends, as far as this page reads it. Source: docs/api.md.

/** What a conversation's window has dropped, in few words. `until`: when the last turn began that it covers. */
export interface Summary {
  text: string;
  until: number;
  created_at: number;
}

export interface Conversation {
  id: string;
  created_at: number;
  title: string;
  summarize: boolean;
  summary: Summary | null;
}

/** A fact that conversations have told, and the last turn that it is from. */
export interface Learned {
  value: string;
  learned_at: number;
  conversation: string;
}

/** What is known of a user: `facts` that somebody registered, and what was `learned` where `learn` is on. */
export interface Profile {
  facts: Record<string, string>;
  learn: boolean;
  learned: Record<string, Learned>;
}

/** The key that asks. `user` is the one it is bound to, if any. */
export interface OwnKey {
  tenant: string;
  user: string | null;
}

export interface Annotation {
  type: "file_citation";
  filename?: string;
  index: number;
  title?: string;
  text?: string;
  score?: number;
}

export interface Part {
  type: string;
  text: string;
  annotations?: Annotation[];
}

export interface Item {
  id: string;
  role: "user" | "assistant";
  status: "completed" | "incomplete" | "in_progress";
  content: Part[];
  created_at: number;
  response_id?: string;
  push?: boolean;
  publisher?: string;
}

export type Status = "queued" | "in_progress" | "completed" | "incomplete" | "failed" | "cancelled";

export interface ResponseObject {
  id: string;
  status: Status;
  error: { code: string; message: string } | null;
  incomplete_details: { reason: string } | null;
  output: { content: Part[] }[];
  retrieval_skipped?: string;
}

/** What a conversation's stream says of the answer that runs in it. */
export interface RunningResponse {
  id: string;
  status: Status;
  text: string;
}

export interface Model {
  id: string;
  state: "ready" | "starting" | "no_workers";
  kind: string;
  preset?: { model: string; vector_stores: string[] };
}

export interface Page<T> {
  data: T[];
  last_id: string | null;
  has_more: boolean;
}
