// /v1/key and /v1/users/{user}/profile
import { sendForJson } from "./client";
import type { OwnKey, Profile } from "./objects";
import { problemOf } from "./problem";

export function ownKey(): Promise<OwnKey> {
  return sendForJson("key");
}

export function getProfile(user: string): Promise<Profile> {
  return sendForJson(pathOf(user));
}

/** Switched off, all that was learned is forgotten. */
export function switchLearning(user: string, learn: boolean): Promise<Profile> {
  return sendForJson(pathOf(user), { method: "PATCH", body: { learn } });
}

/** The profile without a learned fact. One that is not there any more is no failure. */
export async function forgetFact(user: string, name: string): Promise<Profile> {
  try {
    return await sendForJson(`${pathOf(user)}/learned/${encodeURIComponent(name)}`, { method: "DELETE" });
  } catch (error) {
    if (problemOf(error).code !== "fact_not_found") throw error;
    return getProfile(user);
  }
}

function pathOf(user: string): string {
  return `users/${encodeURIComponent(user)}/profile`;
}
