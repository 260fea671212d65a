// Light, dark, or as the system is.
import { useEffect } from "react";
import { useSetting } from "./setting";

export type Theme = "system" | "light" | "dark";

export function useTheme() {
  const [theme, choose] = useSetting<Theme>("theme", "system");
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  return [theme, choose] as const;
}
