// /v1/models
import { sendForJson } from "./client";
import type { Model, Page } from "./objects";

/** What can be asked, presets first. With `key`, it is also how a key is tried. */
export async function listModels(key?: string): Promise<Model[]> {
  const { data } = await sendForJson<Page<Model>>("models", key === undefined ? {} : { key });
  return data.filter((model) => model.kind === "generate").sort((a, b) => Number(!!b.preset) - Number(!!a.preset));
}
