"""What may stand where: rules that the import graph alone cannot say, read from the source as a syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("access", "contracts", "inference_worker", "limiter", "memory", "penstock", "rag")
_KEY = re.compile(r"penstock:(?![/ ])|^penstock:$")
_CLIENTS = {"Redis", "StrictRedis", "RedisCluster", "Sentinel", "ConnectionPool", "BlockingConnectionPool"}


@dataclass(frozen=True)
class Rule:
    """``found`` says what a file has of the thing; ``allowed`` names the files and folders where it may be."""

    sentence: str
    allowed: tuple[str, ...]
    found: Callable[[ast.Module], Iterator[str]]


def violations(root: Path, rule: Rule) -> list[str]:
    """Where the packages under ``root`` break ``rule``: ``file: what``."""
    broken: list[str] = []
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            if not name.startswith(rule.allowed):
                broken += [f"{name}: {what}" for what in rule.found(ast.parse(file.read_text(encoding="utf-8")))]
    return broken


def imports_of(library: str) -> Callable[[ast.Module], Iterator[str]]:
    """Imports of a library or of a part of it, wherever in the file they stand."""

    def found(tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (f"imports {name}" for name in names if name.split(".")[0] == library)

    return found


def key_strings(tree: ast.Module) -> Iterator[str]:
    """Strings that spell a Redis key of ours; a docstring may."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documentation]
    for node in constants:
        if isinstance(node.value, str) and _KEY.search(node.value):
            yield f"line {node.lineno} spells {node.value!r}"


def redis_clients(tree: ast.Module) -> Iterator[str]:
    """Calls that make a Redis client or a pool of connections."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            made = ast.unparse(node.func).split(".")
            if made[-1] in _CLIENTS or (made[-1] == "from_url" and made[-2:-1] != ["cls"]):
                yield f"line {node.lineno} makes {ast.unparse(node.func)}"


RULES = {
    "vllm": Rule(
        "vLLM is imported by its engine and its plugin", ("inference_worker/engines/vllm",), imports_of("vllm")
    ),
    "pymilvus": Rule("Milvus is known to rag alone", ("rag/",), imports_of("pymilvus")),
    "fastapi": Rule("the web framework is known to access alone", ("access/",), imports_of("fastapi")),
    "torch": Rule("torch lives in workers only", ("inference_worker/engines/",), imports_of("torch")),
    "keys": Rule("contracts/keys.py alone spells keys", ("contracts/keys.py",), key_strings),
    "clients": Rule("contracts/connection.py alone makes Redis clients", ("contracts/connection.py",), redis_clients),
}
