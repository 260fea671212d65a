// The page: a key first, then the conversations.
import { useState } from "react";
import { forgetKey, saveKey, savedKey } from "../api/key";
import { KeyScreen } from "./key_screen";
import { useTheme } from "./theme";
import { Workspace } from "./workspace";

export function App() {
  useTheme();
  const [key, setKey] = useState(savedKey);
  const [refused, setRefused] = useState(false);
  const enter = (given: string, remember: boolean) => {
    saveKey(given, remember);
    setRefused(false);
    setKey(given);
  };
  const leave = (bad: boolean) => {
    forgetKey();
    setRefused(bad);
    setKey(null);
  };
  if (key === null) return <KeyScreen refused={refused} onKey={enter} />;
  return <Workspace onBadKey={() => leave(true)} onSignOut={() => leave(false)} />;
}
