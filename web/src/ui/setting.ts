// A small choice of the user's, kept on this device and the same in all its windows.
import { useEffect, useState } from "react";

export function useSetting<T extends string>(name: string, otherwise: T): [T, (value: T) => void] {
  const key = `penstock.${name}`;
  const read = () => (localStorage.getItem(key) as T | null) ?? otherwise;
  const [value, setValue] = useState(read);
  useEffect(() => {
    const onStorage = (event: StorageEvent) => event.key === key && setValue(read());
    addEventListener("storage", onStorage);
    return () => removeEventListener("storage", onStorage);
  });
  const choose = (chosen: T) => {
    localStorage.setItem(key, chosen);
    dispatchEvent(new StorageEvent("storage", { key })); // other windows are told by the browser, this one is not
  };
  return [value, choose];
}
