// Whether somebody looks at this window: at once when it is shown, and until a minute after it was hidden.
// A browser opens six connections to one host; a forgotten window must not keep one of them.
import { useEffect, useState } from "react";

const PATIENCE_MS = 60_000;

export function useAttention(): boolean {
  const [attended, setAttended] = useState(true);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onChange = () => {
      clearTimeout(timer);
      if (document.hidden) timer = setTimeout(() => setAttended(false), PATIENCE_MS);
      else setAttended(true);
    };
    document.addEventListener("visibilitychange", onChange);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onChange);
    };
  }, []);
  return attended;
}
