// The list of conversations beside the one that is shown.
import { useEffect, useState } from "react";
import { createConversation } from "../api/conversations";
import { listModels } from "../api/models";
import type { Model } from "../api/objects";
import { type Problem, problemOf } from "../api/problem";
import { newPending, remember } from "../chat/pending";
import { countUnread } from "../chat/unread";
import { useWords } from "../i18n/language";
import { useAddress } from "./address";
import { useAttention } from "./attention";
import { useEvery } from "./every";
import { useConversations } from "./conversations";
import { ProfileDialog } from "./profile";
import { useSetting } from "./setting";
import { Settings } from "./settings";
import { Sidebar } from "./sidebar";
import { Thread } from "./thread";
import { useUser } from "./user";
import { Welcome } from "./welcome";

const MODELS_EVERY_MS = 20_000;
const UNREAD_EVERY_MS = 20_000;

export function Workspace({ onBadKey, onSignOut }: { onBadKey: () => void; onSignOut: () => void }) {
  const words = useWords();
  const [shown, show] = useAddress();
  const attended = useAttention();
  const [models, reachable] = useModels(onBadKey);
  const [chosen, choose] = useSetting<string>("model", "");
  const model = models.find((one) => one.id === chosen) ?? models[0] ?? null;
  const [user, setUser] = useUser();
  const { list, more, loadMore, refresh, put, drop } = useConversations(user);
  const [unread, setUnread] = useState<ReadonlyMap<string, number>>(new Map());
  const [drawer, setDrawer] = useState(false);
  const [dialog, setDialog] = useState<"settings" | "profile" | null>(null);
  const [wrong, setWrong] = useState<Problem | null>(null);

  const live = attended ? shown : null;
  useEvery(
    UNREAD_EVERY_MS,
    () => void countUnread(list, live).then((counts) => setUnread((known) => merged(known, counts, live)), ignore),
    live,
    list.length === 0,
  );
  const total = [...unread.values()].reduce((sum, count) => sum + count, 0);
  const title = list.find((one) => one.id === shown)?.title;
  useEffect(() => {
    document.title = `${total ? `(${total}) ` : ""}${title ? `${title} · ` : ""}Penstock`;
  }, [total, title]);

  const open = (conversation: string | null) => {
    show(conversation);
    setDrawer(false);
    setWrong(null);
  };
  const begin = async (question: string) => {
    try {
      const made = await createConversation(titleOf(question));
      remember(newPending(model?.id ?? "", question, made.id));
      put(made);
      open(made.id);
    } catch (error) {
      setWrong(problemOf(error));
    }
  };
  return (
    <div className={drawer ? "workspace drawer-open" : "workspace"}>
      <a className="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        {words.skip}
      </a>
      <Sidebar
        conversations={list}
        more={more}
        shown={shown}
        unread={unread}
        drawer={drawer}
        onOpen={open}
        onMore={() => void loadMore()}
        onSettings={() => setDialog("settings")}
        onClose={() => {
          setDrawer(false);
          document.getElementById("main")?.focus();
        }}
      />
      {shown === null ? (
        <Welcome
          models={models}
          model={model}
          reachable={reachable}
          problem={wrong}
          onModel={choose}
          onAsk={(question) => void begin(question)}
          onMenu={() => setDrawer(true)}
        />
      ) : (
        <Thread
          key={shown}
          conversation={shown}
          attended={attended}
          models={models}
          model={model}
          reachable={reachable}
          onModel={choose}
          onMenu={() => setDrawer(true)}
          onBadKey={onBadKey}
          onUnseen={(count) => setUnread((known) => (known.get(shown) === count ? known : new Map(known).set(shown, count)))}
          onUpdated={put}
          onGone={() => {
            drop(shown);
            void refresh();
            open(null);
          }}
        />
      )}
      {dialog === "settings" && (
        <Settings onProfile={() => setDialog("profile")} onSignOut={onSignOut} onClose={() => setDialog(null)} />
      )}
      {dialog === "profile" && (
        <ProfileDialog
          user={user}
          onUser={(chosen) => {
            setUser(chosen);
            open(null);
          }}
          onOpen={(conversation) => {
            setDialog(null);
            open(conversation);
          }}
          onClose={() => setDialog(null)}
        />
      )}
    </div>
  );
}

function useModels(onBadKey: () => void): [Model[], boolean] {
  const [models, setModels] = useState<Model[]>([]);
  const [reachable, setReachable] = useState(true);
  const look = async () => {
    try {
      setModels(await listModels());
      setReachable(true);
    } catch (error) {
      const { kind } = problemOf(error);
      if (kind === "key") onBadKey();
      if (kind === "offline") setReachable(false);
    }
  };
  useEvery(reachable ? MODELS_EVERY_MS : 2000, () => void look());
  return [models, reachable];
}

/** The title of a conversation: the beginning of its first question. */
function titleOf(question: string): string {
  const line = question.trim().replace(/\s+/g, " ");
  return line.length <= 60 ? line : `${line.slice(0, 59).trimEnd()}…`;
}

/** What is on the screen counts for itself. */
function merged(known: ReadonlyMap<string, number>, counts: Map<string, number>, live: string | null) {
  const own = live === null ? undefined : known.get(live);
  return live !== null && own !== undefined ? counts.set(live, own) : counts;
}

function ignore(): void {
  // what counts unread messages is asked again soon
}
