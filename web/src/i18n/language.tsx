// Which language the page speaks: chosen, or the browser's.
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { useSetting } from "../ui/setting";
import { chinese } from "./chinese";
import { english, type Words } from "./english";

export type Language = "en" | "zh";

const TABLE: Record<Language, Words> = { en: english, zh: chinese };
const Spoken = createContext<{ language: Language; choose: (language: Language) => void }>({
  language: "en",
  choose: () => undefined,
});

export function Speaking({ children }: { children: ReactNode }) {
  const [language, choose] = useSetting<Language>("language", navigator.language.startsWith("zh") ? "zh" : "en");
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  }, [language]);
  return <Spoken value={{ language, choose }}>{children}</Spoken>;
}

export function useWords(): Words {
  return TABLE[useContext(Spoken).language];
}

export function useLanguage() {
  return useContext(Spoken);
}
