// Does something now, again and again, and whenever the window is shown again.
import { useEffect, useRef } from "react";

export function useEvery(ms: number, work: () => void, ...when: unknown[]): void {
  const latest = useRef(work);
  useEffect(() => {
    latest.current = work;
  });
  useEffect(() => {
    const run = () => latest.current();
    const onShown = () => !document.hidden && run();
    run();
    const timer = setInterval(run, ms);
    document.addEventListener("visibilitychange", onShown);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", onShown);
    };
  }, [ms, ...when]);
}
