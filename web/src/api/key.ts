// The API key of this page: asked once, or brought along in the address as `#key=…`, and kept where the user wants it.
const NAME = "penstock.key";

export function savedKey(): string | null {
  return sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME);
}

export function saveKey(key: string, remember: boolean): void {
  forgetKey();
  (remember ? localStorage : sessionStorage).setItem(NAME, key);
}

export function forgetKey(): void {
  sessionStorage.removeItem(NAME);
  localStorage.removeItem(NAME);
}

/** Take the key out of the address, where it would be seen and copied. A fragment is never sent to a server. */
export function adoptKeyFromAddress(): void {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!key) return;
  saveKey(key, true);
  history.replaceState(null, "", location.pathname + location.search);
}
