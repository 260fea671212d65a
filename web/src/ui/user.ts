// For whom this page speaks where its key leaves that open: the same in all windows of this device. Empty for nobody.
import { useEffect, useState } from "react";
import { savedUser, saveUser } from "../api/key";

export function useUser(): [string, (user: string) => void] {
  const [user, setUser] = useState(savedUser);
  useEffect(() => {
    const onStorage = () => setUser(savedUser());
    addEventListener("storage", onStorage);
    return () => removeEventListener("storage", onStorage);
  }, []);
  const choose = (chosen: string) => {
    saveUser(chosen);
    setUser(chosen);
  };
  return [user, choose];
}
