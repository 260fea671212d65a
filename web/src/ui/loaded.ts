// Something that is read when a part of the page is opened: null while it is on its way, or the problem why it is not.
import { useEffect, useState } from "react";
import { type Problem, problemOf } from "../api/problem";

export interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
  again: () => void;
  put: (value: T) => void;
}

export function useLoaded<T>(read: () => Promise<T>): Loaded<T> {
  const [value, setValue] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let left = false;
    setProblem(null);
    read().then(
      (found) => left || setValue(found),
      (error: unknown) => left || setProblem(problemOf(error)),
    );
    return () => {
      left = true;
    };
  }, [tries]);
  return { value, problem, again: () => setTries(tries + 1), put: setValue };
}
