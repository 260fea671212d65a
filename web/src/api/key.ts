// The API key of this page: asked once, or brought along in the address as `#key=…`, and kept where the user wants it;
// and beside it for whom the page speaks, where a key leaves that open. A key that is bound to a user has the last word.
const NAME = "penstock.key";
const USER = "penstock.user";

export function savedKey(): string | null {
  return sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME);
}

export function saveKey(key: string, remember: boolean): void {
  const user = key === savedKey() ? savedUser() : "";
  forgetKey();
  (remember ? localStorage : sessionStorage).setItem(NAME, key);
  saveUser(user);
}

export function forgetKey(): void {
  for (const storage of [sessionStorage, localStorage]) {
    storage.removeItem(NAME);
    storage.removeItem(USER);
  }
}

/** Empty for nobody in particular. */
export function savedUser(): string {
  return keeper().getItem(USER) ?? "";
}

export function saveUser(user: string): void {
  if (user) keeper().setItem(USER, user);
  else keeper().removeItem(USER);
}

/** Take the key out of the address, where it would be seen and copied. A fragment is never sent to a server. */
export function adoptKeyFromAddress(): void {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!key) return;
  saveKey(key, true);
  history.replaceState(null, "", location.pathname + location.search);
}

/** Where the key is: the name is forgotten with it. */
function keeper(): Storage {
  return sessionStorage.getItem(NAME) === null ? localStorage : sessionStorage;
}
