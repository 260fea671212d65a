// What is remembered about the user for whom this page speaks, and the say over it.
import { type FormEvent, useRef, useState } from "react";
import type { Profile } from "../api/objects";
import { type Problem, problemOf } from "../api/problem";
import { forgetFact, getProfile, ownKey, switchLearning } from "../api/profiles";
import { useWords } from "../i18n/language";
import { learnedFacts } from "../text/facts";
import { Dialog } from "./dialog";
import { LearnedFacts, RegisteredFacts } from "./facts";
import { type Loaded, useLoaded } from "./loaded";
import { ProblemNote } from "./problem_note";
import { Switch } from "./switch";

/** `user` is the one whom this device names; one that the key is bound to has the last word. */
interface Props {
  user: string;
  onUser: (user: string) => void;
  onOpen: (conversation: string) => void;
  onClose: () => void;
}

export function ProfileDialog({ user, onUser, onOpen, onClose }: Props) {
  const words = useWords();
  const key = useLoaded(ownKey);
  const whose = key.value?.user ?? user;
  return (
    <Dialog title={words.known} onClose={onClose}>
      <OnItsWay of={key} />
      {key.value && <Whose user={whose} isBound={key.value.user !== null} onUser={onUser} />}
      {key.value && whose && <Known key={whose} user={whose} onOpen={onOpen} />}
    </Dialog>
  );
}

function Whose({ user, isBound, onUser }: { user: string; isBound: boolean; onUser: (user: string) => void }) {
  const words = useWords();
  const [naming, setNaming] = useState(false);
  const [named, setNamed] = useState(false);
  const save = (name: string) => {
    onUser(name);
    setNaming(false);
    setNamed(true);
  };
  if (!user) {
    return (
      <>
        <p className="soft">{words.nobody}</p>
        <NameForm key="" user="" isNext={named} onSave={save} />
      </>
    );
  }
  return (
    <>
      <p className="soft">
        {words.keptUnder} <bdi className="whose">{user}</bdi>{" "}
        {!isBound && !naming && (
          <button type="button" className="link" autoFocus={named} onClick={() => setNaming(true)}>
            {words.otherName}
          </button>
        )}
      </p>
      {naming && <NameForm key={user} user={user} isNext onSave={save} />}
    </>
  );
}

/** What it takes is what can stand in an address: not dots alone. `isNext`: it has the focus at once. */
function NameForm({ user, isNext, onSave }: { user: string; isNext: boolean; onSave: (name: string) => void }) {
  const words = useWords();
  const [name, setName] = useState(user);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSave(name.trim());
  };
  return (
    <form onSubmit={submit}>
      <label className="field">
        <span>{words.yourName}</span>
        <input
          value={name}
          autoFocus={isNext}
          maxLength={128}
          pattern=".*[^.\s].*"
          title={words.nameRule}
          autoComplete="nickname"
          onChange={(event) => setName(event.target.value)}
        />
      </label>
      {user && <p className="soft">{words.noName}</p>}
      <div className="dialog-foot">
        <button type="submit" className="primary" disabled={name.trim() === user}>
          {words.save}
        </button>
      </div>
    </form>
  );
}

function Known({ user, onOpen }: { user: string; onOpen: (conversation: string) => void }) {
  const words = useWords();
  const profile = useLoaded(() => getProfile(user));
  const { problem, told, change } = useChanges(profile);
  const [asking, setAsking] = useState(false);
  const forgotten = useRef<HTMLHeadingElement>(null);
  const forget = async (name: string) => {
    if (await change(() => forgetFact(user, name), words.forgotten)) forgotten.current?.focus();
  };
  const turn = (on: boolean) => {
    setAsking(false);
    void change(() => switchLearning(user, on), "");
  };
  if (!profile.value) return <OnItsWay of={profile} />;
  const learned = learnedFacts(profile.value);
  return (
    <>
      <Switch
        label={words.learn}
        about={words.learnAbout}
        on={profile.value.learn}
        onSwitch={(on) => (!on && learned.length ? setAsking(true) : turn(on))}
      />
      {problem && <ProblemNote problem={problem} onRetry={null} />}
      <p className="hidden" role="status">
        {told}
      </p>
      <section className="known">
        <h3 ref={forgotten} tabIndex={-1}>
          {words.learned}
        </h3>
        {learned.length ? (
          <LearnedFacts facts={learned} onForget={(name) => void forget(name)} onOpen={onOpen} />
        ) : (
          <p className="soft">{profile.value.learn ? words.learnedNone : words.learnedOff}</p>
        )}
      </section>
      <section className="known">
        <h3>{words.registered}</h3>
        <p className="soft">{Object.keys(profile.value.facts).length ? words.registeredAbout : words.registeredNone}</p>
        <RegisteredFacts facts={profile.value.facts} />
      </section>
      {asking && <StopLearning count={learned.length} onSure={() => turn(false)} onClose={() => setAsking(false)} />}
    </>
  );
}

function StopLearning({ count, onSure, onClose }: { count: number; onSure: () => void; onClose: () => void }) {
  const words = useWords();
  return (
    <Dialog title={words.stopLearning} onClose={onClose}>
      <p>{words.stopLearningAsk(count)}</p>
      <div className="dialog-foot">
        <button type="button" data-first onClick={onClose}>
          {words.cancel}
        </button>
        <button type="button" className="primary danger" onClick={onSure}>
          {words.switchOff}
        </button>
      </div>
    </Dialog>
  );
}

/** Changes of the profile, one at a time: what a screen reader is told of the last one, or its problem. */
function useChanges(profile: Loaded<Profile>) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [told, setTold] = useState("");
  const working = useRef(false);
  const change = async (work: () => Promise<Profile>, done: string): Promise<boolean> => {
    if (working.current) return false;
    working.current = true;
    setProblem(null);
    setTold("");
    try {
      profile.put(await work());
      setTold(done);
      return true;
    } catch (error) {
      setProblem(problemOf(error));
      return false;
    } finally {
      working.current = false;
    }
  };
  return { problem, told, change };
}

function OnItsWay<T>({ of }: { of: Loaded<T> }) {
  const words = useWords();
  if (of.problem) return <ProblemNote problem={of.problem} onRetry={of.again} />;
  return of.value === null ? <p role="status">{`${words.loading} …`}</p> : null;
}
