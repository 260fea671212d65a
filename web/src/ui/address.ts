// Which conversation is shown stands in the address, so reload, back and forward work.
import { useEffect, useState } from "react";

export function useAddress(): [string | null, (conversation: string | null) => void] {
  const [shown, setShown] = useState(read);
  useEffect(() => {
    const onChange = () => setShown(read());
    addEventListener("popstate", onChange);
    return () => removeEventListener("popstate", onChange);
  }, []);
  const show = (conversation: string | null) => {
    history.pushState(null, "", conversation ? `#${conversation}` : location.pathname + location.search);
    setShown(conversation);
  };
  return [shown, show];
}

function read(): string | null {
  const id = location.hash.slice(1);
  return /^conv_[\w-]{1,80}$/.test(id) ? id : null;
}
