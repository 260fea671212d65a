// The facts of a profile as they are listed. Pure.
import type { Learned, Profile } from "../api/objects";

/** `unused`: a registered fact of the same name stands in its place. */
export interface LearnedFact extends Learned {
  name: string;
  unused: boolean;
}

export function learnedFacts({ facts, learned }: Profile): LearnedFact[] {
  return Object.entries(learned).map(([name, fact]) => ({ ...fact, name, unused: Object.hasOwn(facts, name) }));
}

/** A fact's name in words, such as `Favourite colour`, unless it is among those that are `known`. */
export function wordsFor(name: string, known: Record<string, string>): string {
  if (Object.hasOwn(known, name)) return known[name]!;
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
