"""The command line. Each command says what it takes; what it does stands in the module of its name."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

import typer

from penstock.errors import CommandError
from penstock.faq_commands import faq_app
from penstock.options import DEFAULT_DATA, AsJson, Data, Url

app = typer.Typer(
    name="penstock",
    help="LLM inference that is pulled: requests wait in Redis Streams until a worker has room.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="The settings of the services.", no_args_is_help=True)
letters_app = typer.Typer(help="Requests that were given up.", no_args_is_help=True)
users_app = typer.Typer(help="The end users of tenants.", no_args_is_help=True)
limits_app = typer.Typer(help="What each tenant may do, and what it has done.", no_args_is_help=True)
app.add_typer(faq_app, name="faq")
app.add_typer(config_app, name="config")
app.add_typer(letters_app, name="deadletters")
app.add_typer(limits_app, name="limits")
app.add_typer(users_app, name="users")

TenantName = Annotated[str, typer.Argument(help="The tenant, as its keys name it.")]
Assignments = Annotated[
    list[str], typer.Argument(help="Such as tokens_per_minute=200000; without a value it is as if it was never set.")
]
RequestToken = Annotated[str, typer.Argument(help="The request, such as s0_…; 'list' shows it.")]


@app.command()
def up(
    *,
    engine: Annotated[Literal["vllm", "openai", "scripted"] | None, typer.Option(help="What answers.")] = None,
    model: Annotated[str | None, typer.Option(help="Folder or hub name of another model for vLLM.")] = None,
    upstream_url: Annotated[str | None, typer.Option(help="With openai: base URL of the server to ask.")] = None,
    upstream_model: Annotated[str | None, typer.Option(help="With openai: what that server calls the model.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Inference workers.")] = 1,
    access: Annotated[int, typer.Option(min=1, max=64, help="Access processes, on the port and those after it.")] = 1,
    port: Annotated[int, typer.Option(help="Port of the first access process.")] = 8000,
    data: Data = DEFAULT_DATA,
) -> None:
    """Start everything on this machine, ask it one question, and run until Ctrl-C."""
    from penstock import plan, progress
    from penstock.up import up as start

    options = plan.Options(
        engine=engine,
        model=model,
        upstream_url=upstream_url,
        upstream_model=upstream_model,
        workers=workers,
        access=access,
        port=port,
        data=data,
    )
    start(options, progress.suited_to(sys.stdout))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    model: Annotated[str, typer.Option(help="A model or a preset.")] = "faq-bot",
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Ask one question; the answer streams, and what it cites follows."""
    from penstock import answers, target
    from penstock.chat.screen import harmless

    at = target.find(url, data)
    answer = answers.stream(answers.connect(at.url, at.key), model, question, lambda text: _write(harmless(text)))
    typer.echo(harmless(answers.footnotes(answer)))


@app.command()
def chat(
    *,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Ask this one question, and leave.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A model or a preset. Default: the first that is ready, presets before models.")
    ] = None,
    conversation: Annotated[str | None, typer.Option(help="Go on with this conversation, such as conv_s0_….")] = None,
    last: Annotated[bool, typer.Option("--last", help="Go on with the newest conversation.")] = False,
    user: Annotated[str, typer.Option(help="The end user to chat as; a key of one user needs none.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: one question, and one object with all there is of its answer.")
    ] = False,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Chat in the terminal; /help there lists what can be typed. In a pipe, all of standard input is one question.

    Ends with status 0 when it is answered or the chat is left, 1 when there is no answer, 2 for a wrong option or no
    question, 130 when the answer was interrupted.
    """
    from penstock import target
    from penstock.chat.start import Options, start

    options = Options(model, user, conversation, last, message, as_json)
    raise typer.Exit(start(target.find(url, data), options))


@app.command()
def status(url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Show what waits, who works and how fast."""
    from rich.console import Console

    from penstock import status as of_fleet
    from penstock import target

    of_fleet.show(target.find(url, data), Console())


@app.command()
def doctor(
    as_json: AsJson = False,
    port: Annotated[int, typer.Option(help="Port that access is to take.")] = 8000,
    model: Annotated[str | None, typer.Option(help="Folder or hub name of the model to serve.")] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Check this machine; ends with status 1 when something would keep Penstock from starting."""
    from penstock import doctor as of_machine

    checks = of_machine.examine(port, model, data)
    typer.echo(of_machine.as_json(checks) if as_json else of_machine.as_text(checks))
    raise typer.Exit(1 if of_machine.has_failed(checks) else 0)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context, name: Annotated[str, typer.Argument(help="For example: engine.")]) -> None:
    """Run a benchmark; further arguments are its own."""
    from penstock import bench as benchmarks

    raise typer.Exit(benchmarks.run(name, context.args))


@letters_app.command("list")
def deadletters_list(url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Show which requests were given up and why, newest first; nothing of what they asked."""
    from rich.console import Console

    from penstock import deadletters, target

    Console().print(deadletters.newest(target.find(url, data)))


@letters_app.command("show")
def deadletters_show(request: RequestToken, url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Show one of them with its whole request, prompt included, as JSON."""
    from penstock import deadletters, target

    typer.echo(deadletters.show(target.find(url, data), request))


@letters_app.command("requeue")
def deadletters_requeue(request: RequestToken, url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Run it again, under a new id, since its own has ended, and outside of its conversation, which has gone on.

    The letter is dropped. Asked twice, it runs once.
    """
    from penstock import deadletters, target

    again = deadletters.requeue(target.find(url, data), request)
    typer.echo(f"{request} runs again as {again}.")


@letters_app.command("drop")
def deadletters_drop(request: RequestToken, url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Forget it; letters that nobody drops are kept for 30 days."""
    from penstock import deadletters, target

    deadletters.drop(target.find(url, data), request)
    typer.echo(f"{request} is forgotten.")


@limits_app.command("show")
def limits_show(tenant: TenantName, as_json: AsJson = False, url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Show a tenant's limits, its ledger for each model (granted = settled + reserved + refunded), and what it has used
    today and this month (UTC)."""
    from penstock import limits, target

    _print_limits(limits.show(target.find(url, data), tenant), as_json=as_json)


@limits_app.command("set")
def limits_set(
    tenant: TenantName,
    assignments: Assignments,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Change some of a tenant's limits; the others stay. In force within a second.

    tokens_per_minute, requests_per_minute and concurrency bound the tenant; with user_ or key_ in front, each of its
    users and keys. tokens_per_day, tokens_per_month, usd_per_day and usd_per_month are quotas. wait_seconds is the
    longest wait, weight the share against others who wait. on_full=batch lets requests overflow into the batch class,
    fail_open=true lets them go on while no limiter answers.
    """
    from penstock import limits, target

    chosen = limits.parse(assignments)
    _print_limits(limits.change(target.find(url, data), tenant, chosen), as_json=as_json)


@limits_app.command("clear")
def limits_clear(tenant: TenantName, as_json: AsJson = False, url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Give a tenant the limiter's defaults; what it has used stays."""
    from penstock import limits, target

    _print_limits(limits.clear(target.find(url, data), tenant), as_json=as_json)


@users_app.command("erase")
def users_erase(
    tenant: TenantName,
    user: Annotated[str, typer.Argument(help="The user, as the tenant calls it.")],
    as_json: AsJson = False,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Erase everything of a user: profile, conversations, responses, keys. There is no way back.

    Shows what was erased and what remains. Ends with status 1 when something did not stop in time: call it again.
    """
    from rich.console import Console

    from penstock import target, users

    found = users.erase(target.find(url, data), tenant, user)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for table in users.tables(found):
            Console().print(table)
    raise typer.Exit(0 if found["complete"] else 1)


@config_app.command("show")
def config_show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
) -> None:
    """Show every setting; secrets are starred."""
    from penstock import config

    typer.echo(config.show(origin=origin))


def main() -> None:
    """The entry point: what a command cannot do is one sentence, not a traceback."""
    try:
        app()
    except CommandError as error:
        typer.echo(f"penstock: {error}", err=True)
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_limits(found: dict[str, Any], *, as_json: bool) -> None:
    from rich.console import Console

    from penstock import limits

    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for table in limits.tables(found):
        Console().print(table)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
