"""A person at a terminal: *prompt → question or command → answer*, until they leave."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock.chat import said, screen
from penstock.chat.api import Api, Question, Refused
from penstock.chat.asking import Asking, GaveUp
from penstock.chat.commands import Command, Nothing, Typed, Wrong
from penstock.chat.hearing import Hearing
from penstock.chat.said import Answer, Citation, Conversation, Ended, Item, Lost, Model, Queued, Text, Voided
from penstock.chat.terminal import Terminal
from penstock.errors import CommandError

HISTORY = 10
RECALLED = 2
"""How many messages are shown when an earlier conversation is opened: what was asked last, and its answer."""


class Chat:
    """One person's chat. A conversation begins with its first question; until then there is only its title."""

    def __init__(self, api: Api, model: Model, conversation: Conversation | None):
        self._api = api
        self._model = model
        self._conversation = conversation
        self._title = ""
        self._last_question = ""
        self._listed: Sequence[Conversation] = ()
        self._hearing: Hearing | None = None
        self._asked: set[str] = set()
        self._answered: set[str] = set()
        self._terminal = Terminal(sys.stdout)
        self._commands: dict[str, Callable[[str], None]] = {
            "help": self._help,
            "new": self._new,
            "list": self._list,
            "switch": self._switch,
            "title": self._rename,
            "history": self._history,
            "delete": self._delete,
            "model": self._choose_model,
            "export": self._export,
            "retry": self._retry,
        }

    def run(self) -> None:
        """Talk until the person leaves."""
        self._terminal.note(screen.greeting(self._api.url, self._model))
        if self._conversation is not None:
            self._open(self._conversation)
        while (typed := self._terminal.read()) is not None and typed != Command("quit"):
            try:
                self._do(typed)
            except CommandError as error:
                self._terminal.problem(str(error))
            except KeyboardInterrupt:
                self._terminal.note("Stopped.")
        self._leave()

    def _do(self, typed: Typed) -> None:
        if isinstance(typed, Command):
            self._commands[typed.name](typed.argument)
        elif isinstance(typed, Wrong):
            self._terminal.problem(screen.harmless_line(typed.hint))
        elif not isinstance(typed, Nothing):
            self._ask(typed.text)

    def _ask(self, text: str) -> None:
        """One question and its answer. Ctrl-C takes the question back."""
        self._last_question = text
        conversation = self._begun(text)
        asking = Asking(self._api, Question(text, self._model.name, conversation.id, secrets.token_hex(16)))
        try:
            answer = self._shown(asking)
        except KeyboardInterrupt:
            answer = self._cancelled(asking)
        except GaveUp as gave_up:
            raise GaveUp(
                f"{gave_up} What becomes of the answer is shown here when Penstock is back; /history shows it too."
            ) from gave_up
        except Refused as refused:
            if refused.code == "conversation_not_found":
                self._forget()
            raise
        if answer is not None:
            self._answered.add(asking.response)
            self._end(answer)

    def _shown(self, asking: Asking) -> Answer:
        """Show an answer as it comes."""
        self._terminal.status("…")
        with contextlib.closing(asking.events()) as events:
            for told in events:
                self._asked.add(asking.response)
                match told:
                    case Text(text):
                        self._terminal.piece(screen.harmless(text))
                    case Queued():
                        self._terminal.status(screen.waiting_line(told))
                    case Lost():
                        self._terminal.status("the connection broke, trying again …")
                    case Voided():
                        self._terminal.note("What came so far is void; the answer begins anew.")
                    case Ended(answer):
                        return answer
                    case _:
                        continue
        raise AssertionError("events end with Ended")

    def _cancelled(self, asking: Asking) -> Answer | None:
        self._terminal.status("taking it back …")
        answer = asking.cancel()
        self._asked.add(asking.response)
        if answer is not None and answer.status != "cancelled":
            self._terminal.note("It had ended already.")  # and is shown whole, by what is heard of it
            return None
        self._terminal.note(
            "Cancelled." if answer else "It waits for another answer, and is taken back when its turn comes."
        )
        return answer

    def _end(self, answer: Answer) -> None:
        """What is to be said under an answer."""
        self._terminal.note(*screen.footnotes(answer))
        if not answer.answered and answer.status != "cancelled":
            self._terminal.problem(screen.failure(answer))

    def _begun(self, question: str) -> Conversation:
        """The conversation, made now if this is its first question."""
        if self._conversation is None:
            self._conversation = self._api.create(self._title or screen.title_from(question))
            self._hear("")
        return self._conversation

    def _open(self, conversation: Conversation) -> None:
        """Go on with a conversation: show where it was, and hear of it."""
        items = self._api.items(conversation.id, RECALLED)
        self._leave()
        self._conversation = conversation
        self._last_question = next((item.text for item in reversed(items) if item.role == "user"), "")
        self._terminal.note(screen.opened_line(conversation))
        self._show(items)
        self._hear(items[-1].id if items else "")

    def _hear(self, last_known: str) -> None:
        if self._conversation is not None:
            where = self._conversation.id
            self._hearing = Hearing(self._api, where, last_known, self._heard, self._heard_of_its_end)
            self._hearing.start()

    def _leave(self) -> None:
        if self._hearing is not None:
            self._hearing.stop()
            self._hearing = None

    def _forget(self) -> None:
        """The next question begins another conversation."""
        self._conversation, self._title = None, ""

    def _heard(self, item: Item) -> None:
        """Called by ``Hearing``, in its thread."""
        self._terminal.later(lambda: [] if self._is_ours(item) else screen.item_lines(item))

    def _heard_of_its_end(self) -> None:
        """Likewise."""
        self._forget()
        self._terminal.later(lambda: ["This conversation was deleted elsewhere; the next question begins another."])

    def _is_ours(self, item: Item) -> bool:
        """Whether this terminal has shown an item when it was typed, or as it was generated."""
        return item.response in (self._asked if item.role == "user" else self._answered) and bool(item.response)

    def _help(self, _: str) -> None:
        self._terminal.say(screen.help_lines())

    def _new(self, title: str) -> None:
        self._leave()
        self._conversation, self._title, self._last_question = None, title, ""
        self._terminal.note("Another conversation begins with the next question.")

    def _list(self, _: str) -> None:
        self._listed = self._api.conversations()
        self._terminal.say(screen.conversation_lines(self._listed, self._conversation.id if self._conversation else ""))

    def _switch(self, which: str) -> None:
        self._open(self._numbered(which) if which.isdecimal() else self._api.conversation(which))

    def _numbered(self, number: str) -> Conversation:
        """The conversation that has this number in the list that was shown last."""
        self._listed = self._listed or self._api.conversations()
        at = int(number[:9]) - 1
        if not 0 <= at < len(self._listed):
            raise CommandError(f"There is no conversation {number}. /list shows them with their numbers.")
        return self._listed[at]

    def _rename(self, title: str) -> None:
        self._title = title
        if self._conversation is not None:
            self._conversation = self._api.rename(self._conversation.id, title)
        self._terminal.note(f"The title is: {screen.harmless_line(title)}")

    def _history(self, count: str) -> None:
        self._show(self._api.items(self._current().id, int(count or HISTORY)))

    def _delete(self, _: str) -> None:
        conversation = self._current()
        if not self._terminal.confirms(f"Delete {screen.title_of(conversation)} and all that was said in it?"):
            self._terminal.note("Nothing is deleted.")
            return
        self._leave()
        self._api.delete(conversation.id)
        self._listed = ()
        self._new("")

    def _choose_model(self, name: str) -> None:
        models = self._api.models()
        if not name:
            self._terminal.say(screen.model_lines(models, self._model.name))
            return
        self._model = said.named(models, name)
        self._terminal.note(f"From now on {screen.model_line(self._model)} is asked.")

    def _export(self, file: str) -> None:
        conversation = self._current()
        path = Path(file or screen.file_name(conversation.title)).expanduser()
        items = [item for item in self._api.items(conversation.id) if item.text]
        text = screen.markdown(self._api.conversation(conversation.id), items, self._citations(items))
        try:
            with path.open("x", encoding="utf-8", errors="replace") as opened:
                opened.write(text)
        except FileExistsError as error:
            raise CommandError(f"There is a file {path} already. Name another: /export FILE") from error
        except OSError as error:
            raise CommandError(f"Cannot write {path}: {error.strerror}. Name another file: /export FILE") from error
        self._terminal.note(f"{len(items)} messages are in {path}.")

    def _retry(self, _: str) -> None:
        if not self._last_question:
            raise CommandError("There is no question yet that could be asked again.")
        self._terminal.note("Asked again, as a new question: the first one and its answer stay in the history.")
        self._ask(self._last_question)

    def _current(self) -> Conversation:
        if self._conversation is None:
            raise CommandError("There is no conversation yet: it begins with the first question.")
        return self._conversation

    def _show(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.text:
                self._terminal.say(screen.item_lines(item))

    def _citations(self, items: Sequence[Item]) -> dict[str, Sequence[Citation]]:
        """What answers cite, as far as their responses are still stored."""
        found: dict[str, Sequence[Citation]] = {}
        for item in items:
            if item.role == "assistant" and item.response and said.cites(item.text):
                with contextlib.suppress(Refused):
                    found[item.id] = self._api.response(item.response).citations
        return found
