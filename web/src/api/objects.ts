// What the API sends, as far as this page reads it. Source: docs/api.md.

export interface Conversation {
  id: string;
  created_at: number;
  title: string;
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
