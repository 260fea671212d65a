// What a conversation's model reads in place of the oldest messages: said where that ends, and switched for the whole.
import { useState } from "react";
import { summarizeConversation } from "../api/conversations";
import type { Conversation, Summary } from "../api/objects";
import { type Problem, problemOf } from "../api/problem";
import type { Chat } from "../chat/chat";
import { useWords } from "../i18n/language";
import { Dialog } from "./dialog";
import { ProblemNote } from "./problem_note";
import { Switch } from "./switch";

export function SummaryNote({ summary }: { summary: Summary }) {
  const words = useWords();
  return (
    <li>
      <details className="summarised">
        <summary>{words.summarised}</summary>
        <SummaryText summary={summary} />
      </details>
    </li>
  );
}

interface Props {
  conversation: string;
  chat: Chat;
  onUpdated: (conversation: Conversation) => void;
  onClose: () => void;
}

export function SummaryDialog({ conversation, chat, onUpdated, onClose }: Props) {
  const words = useWords();
  const [problem, setProblem] = useState<Problem | null>(null);
  const change = async (summarize: boolean) => {
    try {
      onUpdated(await summarizeConversation(conversation, summarize));
      setProblem(null);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <Dialog title={words.summary} onClose={onClose}>
      <Switch
        label={words.summarise}
        about={words.summariseAbout}
        on={chat.summarize}
        onSwitch={(on) => void change(on)}
      />
      {problem && <ProblemNote problem={problem} onRetry={null} />}
      {chat.summary && <SummaryText summary={chat.summary} />}
      {chat.summarize && !chat.summary && <p className="soft">{words.summaryNone}</p>}
    </Dialog>
  );
}

/** A model wrote it from what users and others said: it is shown as text. */
function SummaryText({ summary }: { summary: Summary }) {
  return (
    <blockquote className="summary-text" dir="auto">
      {summary.text.trim()}
    </blockquote>
  );
}
