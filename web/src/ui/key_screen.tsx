// Asks for the API key, and tries it before it is kept.
import { type FormEvent, useState } from "react";
import { listModels } from "../api/models";
import { problemOf } from "../api/problem";
import { useWords } from "../i18n/language";
import { Sign } from "./icons";
import { sentenceOf } from "./problem_note";

export function KeyScreen({ refused, onKey }: { refused: boolean; onKey: (key: string, remember: boolean) => void }) {
  const words = useWords();
  const [key, setKey] = useState("");
  const [remember, setRemember] = useState(true);
  const [wrong, setWrong] = useState(refused ? words.badKey : "");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await listModels(key.trim());
      onKey(key.trim(), remember);
    } catch (error) {
      setWrong(sentenceOf(problemOf(error), words));
    }
  };
  return (
    <main className="key-screen">
      <form className="card" onSubmit={(event) => void submit(event)}>
        <Sign />
        <h1>{words.keyTitle}</h1>
        <p>{words.keyText}</p>
        <label>
          <span>{words.key}</span>
          <input
            type="password"
            autoComplete="current-password"
            autoFocus
            required
            value={key}
            aria-describedby="wrong"
            aria-invalid={wrong !== ""}
            onChange={(event) => setKey(event.target.value)}
          />
        </label>
        <label className="check">
          <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.target.checked)} />
          <span>{words.keepKey}</span>
        </label>
        <p id="wrong" className="wrong" role="alert">
          {wrong}
        </p>
        <button type="submit" className="primary">
          {words.enter}
        </button>
      </form>
    </main>
  );
}
