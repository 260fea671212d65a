// One conversation: its head, its turns, and the place for the next question.
import { Fragment, useCallback, useEffect, useRef, useState } from "react";
import type { Conversation, Model } from "../api/objects";
import { openTurn } from "../chat/chat";
import type { Removal } from "../chat/removal";
import { markSeen, seenUntil } from "../chat/seen";
import { covered } from "../chat/summary";
import { isOpen, type Turn } from "../chat/turn";
import { useChat } from "../chat/use_chat";
import { useWords } from "../i18n/language";
import { Announcer } from "./announcer";
import { Banner } from "./banner";
import { Composer } from "./composer";
import { Icon } from "./icons";
import { useRemoval } from "./removal";
import { SummaryNote } from "./summary";
import { ThreadHead } from "./thread_head";
import { TurnView } from "./turn_view";
import { useStickToEnd } from "./stick_to_end";

interface Props {
  conversation: string;
  attended: boolean;
  models: Model[];
  model: Model | null;
  reachable: boolean;
  onModel: (model: string) => void;
  onMenu: () => void;
  onBadKey: () => void;
  onUnseen: (count: number) => void;
  onUpdated: (conversation: Conversation) => void;
  onGone: () => void;
}

export function Thread(props: Props) {
  const words = useWords();
  const [chat, doing] = useChat(props.conversation, props.attended, props.onBadKey);
  const busy = openTurn(chat) !== null;
  const model = props.model?.id ?? "";
  const scroll = useRef<HTMLDivElement>(null);
  const [atEnd, toEnd] = useStickToEnd(scroll, chat.turns);
  const unseen = useUnseen(props.conversation, chat.turns, chat.phase === "shown", atEnd, props.onUnseen);
  const ask = (question: string) => {
    doing.ask(question, model);
    toEnd();
  };
  const removing = useRemoval(chat.turns, doing.remove, ask);
  const held = removing.working || chat.turns.some((turn) => isOpen(turn) && turn.item === null);
  const latest = useRef({ doing, removing });
  useEffect(() => {
    latest.current = { doing, removing };
  });
  const remove = useCallback((removal: Removal) => latest.current.removing.wish(removal), []);
  const cite = useCallback((response: string) => latest.current.doing.cite(response), []);
  const note = chat.summary && <SummaryNote summary={chat.summary} />;
  const noted = chat.summary ? covered(chat.summary, chat.turns) : -1;
  return (
    <main id="main" className="main" tabIndex={-1}>
      <ThreadHead
        conversation={props.conversation}
        chat={chat}
        onMenu={props.onMenu}
        onUpdated={(changed) => {
          doing.update(changed);
          props.onUpdated(changed);
        }}
        onGone={props.onGone}
      />
      <Banner reachable={props.reachable} live={chat.live || chat.phase !== "shown"} model={props.model} />
      <div className="scroll" ref={scroll} tabIndex={-1}>
        {chat.phase === "loading" && chat.turns.length === 0 && <p className="nothing" role="status">{`${words.loading} …`}</p>}
        {chat.phase === "gone" && (
          <p className="nothing" role="alert">
            {words.gone}{" "}
            <button type="button" className="link" onClick={props.onGone}>
              {words.newChat}
            </button>
          </p>
        )}
        {chat.phase !== "gone" && (
          <>
            {chat.earlier && (
              <p className="nothing">
                <button type="button" className="link" onClick={() => void doing.reachBack().catch(() => undefined)}>
                  {words.showEarlier}
                </button>
              </p>
            )}
            <ol className="turns">
              {chat.turns.map((turn, at) => (
                <Fragment key={turn.id}>
                  {at === noted && note}
                  <TurnView turn={turn} held={held} onRemove={remove} onCite={cite} />
                </Fragment>
              ))}
              {chat.turns.length === noted && note}
            </ol>
          </>
        )}
      </div>
      <Announcer turns={chat.turns} />
      {removing.told}
      {!atEnd && (
        <button type="button" className="to-end" onClick={toEnd}>
          <Icon name="down" />
          {unseen > 0 ? words.newMessages(unseen) : <span className="hidden">{words.latest}</span>}
        </button>
      )}
      {chat.phase !== "gone" && (
        <Composer
          models={props.models}
          model={props.model}
          busy={busy}
          held={removing.working}
          onModel={props.onModel}
          onAsk={ask}
          onStop={doing.stop}
        />
      )}
    </main>
  );
}

/** How many pushes came while nobody looked at the end of the conversation. */
function useUnseen(
  conversation: string,
  turns: Turn[],
  shown: boolean,
  atEnd: boolean,
  onUnseen: (count: number) => void,
): number {
  const [seen, setSeen] = useState(() => seenUntil(conversation) ?? Date.now() / 1000);
  const visible = useVisible();
  const newest = turns.findLast((turn) => turn.push)?.at ?? 0;
  const unseen = turns.filter((turn) => turn.push && turn.at > seen).length;
  useEffect(() => {
    if (!shown || !visible || !atEnd) return;
    const until = Math.max(newest, Date.now() / 1000);
    markSeen(conversation, until);
    setSeen(until);
  }, [shown, visible, atEnd, newest]);
  useEffect(() => onUnseen(unseen), [unseen]);
  return unseen;
}

function useVisible(): boolean {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const onChange = () => setVisible(!document.hidden);
    document.addEventListener("visibilitychange", onChange);
    return () => document.removeEventListener("visibilitychange", onChange);
  }, []);
  return visible;
}
