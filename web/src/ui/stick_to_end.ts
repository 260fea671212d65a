// Keeps the end of what grows in view, unless the reader has scrolled away from it.
import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from "react";

const NEAR_PX = 80;

export function useStickToEnd(scroll: RefObject<HTMLElement | null>, grows: unknown): [boolean, () => void] {
  const [atEnd, setAtEnd] = useState(true);
  const stuck = useRef(true);
  const toEnd = () => {
    stuck.current = true;
    setAtEnd(true);
    scroll.current?.scrollTo({ top: scroll.current.scrollHeight });
  };
  useEffect(() => {
    const area = scroll.current;
    if (!area) return undefined;
    const look = () => {
      stuck.current = area.scrollHeight - area.scrollTop - area.clientHeight < NEAR_PX;
      setAtEnd(stuck.current);
    };
    area.addEventListener("scroll", look, { passive: true });
    const resized = new ResizeObserver(() => stuck.current && area.scrollTo({ top: area.scrollHeight }));
    resized.observe(area);
    return () => {
      area.removeEventListener("scroll", look);
      resized.disconnect();
    };
  }, [scroll]);
  useLayoutEffect(() => {
    if (stuck.current) scroll.current?.scrollTo({ top: scroll.current.scrollHeight });
  }, [grows]);
  return [atEnd, toEnd];
}
