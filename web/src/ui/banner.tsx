// One line above the conversation when something stands in the way of every question.
import type { Model } from "../api/objects";
import { useWords } from "../i18n/language";

export function Banner({ reachable, live, model }: { reachable: boolean; live: boolean; model: Model | null }) {
  const words = useWords();
  const sentence = !reachable || !live ? words.reconnecting : stateOf(model, words);
  return (
    <div role="status" className="banner-place">
      {sentence && <p className={!reachable || !live ? "banner late" : "banner"}>{sentence}</p>}
    </div>
  );
}

function stateOf(model: Model | null, words: ReturnType<typeof useWords>): string {
  if (model?.state === "no_workers") return words.modelDown(model.id);
  if (model?.state === "starting") return words.modelStarting(model.id);
  return "";
}
