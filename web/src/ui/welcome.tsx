// What is shown before the first question: an invitation, and some questions to begin with.
import type { Model } from "../api/objects";
import type { Problem } from "../api/problem";
import { useWords } from "../i18n/language";
import { Banner } from "./banner";
import { Composer } from "./composer";
import { Icon } from "./icons";
import { ProblemNote } from "./problem_note";

interface Props {
  models: Model[];
  model: Model | null;
  reachable: boolean;
  problem: Problem | null;
  onModel: (model: string) => void;
  onAsk: (question: string) => void;
  onMenu: () => void;
}

export function Welcome(props: Props) {
  const words = useWords();
  const samples = props.model?.preset?.vector_stores.length ? words.samplesKnowledge : words.samplesGeneral;
  return (
    <main id="main" className="main" tabIndex={-1}>
      <header className="head">
        <button type="button" className="quiet only-phone" aria-label={words.menu} onClick={props.onMenu}>
          <Icon name="menu" />
        </button>
      </header>
      <Banner reachable={props.reachable} live model={props.model} />
      <div className="welcome">
        <Water />
        <h1>{words.welcome}</h1>
        <p>{words.welcomeMore}</p>
        <ul className="samples">
          {samples.map((sample) => (
            <li key={sample}>
              <button type="button" disabled={props.model === null} onClick={() => props.onAsk(sample)}>
                {sample}
              </button>
            </li>
          ))}
        </ul>
        {props.problem && <ProblemNote problem={props.problem} onRetry={null} />}
      </div>
      <Composer
        models={props.models}
        model={props.model}
        busy={false}
        held={false}
        onModel={props.onModel}
        onAsk={props.onAsk}
        onStop={() => undefined}
      />
    </main>
  );
}

/** Water held at a gate, and let through. */
function Water() {
  return (
    <svg className="water" viewBox="0 0 240 64" aria-hidden="true">
      <path className="flow" d="M4 20c12-8 24-8 36 0s24 8 36 0 24-8 36 0" />
      <path className="flow" d="M4 34c12-8 24-8 36 0s24 8 36 0 24-8 36 0" />
      <path className="gate" d="M120 6v38M113 6h14" />
      <path className="flow through" d="M120 50c18-6 24-6 38 0s24 6 38 0 24-6 40 0" />
    </svg>
  );
}
