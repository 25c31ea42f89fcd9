"""A first `preview.toml` for a repository, from what lies in it.

Guesses, each with its reason, for a person to read and correct. Nothing runs, and nothing is read
here: whoever calls brings the names of the files and the texts of the small ones.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | bool | tuple[str, ...] | Mapping[str, str]
Table = dict[str, Value]

_FRONT_DIRS = ("frontend", "web", "client", "ui", "app", "site", ".")
_STATIC_DIRS = ("public", "static", "site", "docs", "dist", ".")
_BACK_DIRS = ("backend", "server", "api", ".")
_OUTPUTS = {
    "next": "out",
    "react-scripts": "build",
    "@angular/cli": "dist",
    "@11ty/eleventy": "_site",
}
_PYTHON = ".venv/bin/python"
_PORT = {"PORT": "{port}"}


@dataclass(frozen=True, slots=True)
class Tree:
    """What is known of a repository: every path, and the texts of what was worth reading."""

    paths: frozenset[str]
    texts: Mapping[str, str]

    def has(self, directory: str, name: str) -> bool:
        """Whether there is such a file."""
        return within(directory, name) in self.paths

    def text(self, directory: str, name: str) -> str:
        """The text of a file; empty when there is none."""
        return self.texts.get(within(directory, name), "")

    def python(self, directory: str) -> list[tuple[str, str]]:
        """The Python files below a directory, shallow ones first: path relative to it, text."""
        prefix = "" if directory == "." else f"{directory}/"
        found = [
            (path.removeprefix(prefix), text)
            for path, text in self.texts.items()
            if path.startswith(prefix) and path.endswith(".py")
        ]
        return sorted(found, key=lambda item: (item[0].count("/"), item[0]))


@dataclass(slots=True)
class Proposal:
    """The tables of the file, and why each stands there."""

    frontend: Table = field(default_factory=dict)
    backend: Table = field(default_factory=dict)
    database: Table = field(default_factory=dict)
    smoke: Table = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The file."""
        parts = ["# Made by `ouroboros init`; read it before you trust it: docs/preview-toml.md"]
        tables = {"frontend": self.frontend, "backend": self.backend, "database": self.database}
        for name, table in tables.items():
            if table:
                parts.append("\n".join([f"[{name}]", *_lines(table)]))
        if self.smoke:
            parts.append("\n".join(["[[smoke]]", *_lines(self.smoke)]))
        return "\n\n".join(parts) + "\n"


def propose(tree: Tree) -> Proposal | None:
    """A proposal for a repository; None when nothing in it is known."""
    made = Proposal()
    _propose_backend(tree, made)
    _propose_frontend(tree, made)
    if not made.frontend and not made.backend:
        return None
    if made.frontend:
        made.smoke = {"path": "/", "contains": "<"}
    else:
        made.smoke = {"path": str(made.backend["health"])}
    return made


def within(directory: str, name: str) -> str:
    """The path of a name in a directory of the repository."""
    return name if directory == "." else f"{directory}/{name}"


def _propose_frontend(tree: Tree, made: Proposal) -> None:
    for directory in _FRONT_DIRS:
        package = _package(tree.text(directory, "package.json"))
        if "build" in package.get("scripts", {}):
            known = {**package.get("dependencies", {}), **package.get("devDependencies", {})}
            output = next((_OUTPUTS[name] for name in _OUTPUTS if name in known), "dist")
            locked = tree.has(directory, "package-lock.json")
            made.frontend = {
                "dir": directory,
                "install": ("npm", "ci") if locked else ("npm", "install"),
                "build": ("npm", "run", "build"),
                "output": output,
            }
            made.reasons.append(f"{within(directory, 'package.json')} has a script `build`")
            return
    for directory in _STATIC_DIRS:
        if tree.has(directory, "index.html"):
            made.frontend = {"dir": directory, "output": ".", "spa": False}
            made.reasons.append(f"{within(directory, 'index.html')} is served as it lies there")
            return


def _propose_backend(tree: Tree, made: Proposal) -> None:
    for directory in _BACK_DIRS:
        found = _python_backend(tree, directory, made) or _node_backend(tree, directory, made)
        if found is not None:
            made.backend = found
            return


def _python_backend(tree: Tree, directory: str, made: Proposal) -> Table | None:
    start = _python_start(tree, directory, made)
    if start is None:
        return None
    table: Table = {"dir": directory}
    if tree.has(directory, "uv.lock"):
        table["install"] = ("uv", "sync", "--frozen", "--no-dev")
    elif tree.has(directory, "pyproject.toml"):
        table["install"] = ("uv", "sync", "--no-dev")
    elif not tree.has(directory, "requirements.txt"):
        start = (_bare(start[0]), *start[1:])
    else:
        made.reasons.append(
            f"{within(directory, 'requirements.txt')} is not installed: a pyproject.toml with a "
            "uv.lock makes an install repeatable (uv init; uv add -r requirements.txt)"
        )
    inherits = "{launcher.asgi}" in start
    texts = [text for _, text in tree.python(directory)]
    table |= {
        "start": start,
        "listen": "socket" if inherits else "port",
        "health": _health(texts),
    }
    if not inherits:
        table["env"] = _PORT
    _propose_database(tree, directory, made)
    return table


def _python_start(tree: Tree, directory: str, made: Proposal) -> tuple[str, ...] | None:
    if tree.has(directory, "manage.py"):
        made.reasons.append(f"{within(directory, 'manage.py')}: Django")
        return (_PYTHON, "manage.py", "runserver", "--noreload", "127.0.0.1:{port}")
    for kind in ("FastAPI", "Starlette", "Flask"):
        for path, text in tree.python(directory):
            named = re.search(rf"^(\w+)\s*(?::[^=\n]+)?=\s*{kind}\(", text, re.MULTILINE)
            # Else what a factory of the same module makes, by a name that says what it is.
            name = named or re.search(r"^ *(app|application|api)\s*=\s*\w+\(", text, re.MULTILINE)
            if name is None or f"{kind}(" not in text or "test" in path:
                continue
            module = path.removesuffix(".py").removeprefix("src/").replace("/", ".")
            module = module.removesuffix(".__init__")
            made.reasons.append(f"{within(directory, path)}: {kind} as `{name.group(1)}`")
            if kind == "Flask":
                where = ("--app", f"{module}:{name.group(1)}", "run", "--port", "{port}")
                return (_PYTHON, "-m", "flask", *where)
            return (_PYTHON, "{launcher.asgi}", f"{module}:{name.group(1)}")
    return None


def _node_backend(tree: Tree, directory: str, made: Proposal) -> Table | None:
    package = _package(tree.text(directory, "package.json"))
    scripts = package.get("scripts", {})
    if "start" not in scripts or "build" in scripts:
        return None
    made.reasons.append(f"{within(directory, 'package.json')} has a script `start`")
    table: Table = {"dir": directory}
    if package.get("dependencies"):
        locked = tree.has(directory, "package-lock.json")
        table["install"] = ("npm", "ci") if locked else ("npm", "install")
    return {**table, "start": ("npm", "start"), "listen": "port", "health": "/health", "env": _PORT}


def _propose_database(tree: Tree, directory: str, made: Proposal) -> None:
    if tree.has(directory, "alembic.ini"):
        made.database = {"migrate": (".venv/bin/alembic", "upgrade", "head")}
        made.reasons.append(f"{within(directory, 'alembic.ini')}: Alembic")
    elif tree.has(directory, "manage.py"):
        made.database = {"migrate": (_PYTHON, "manage.py", "migrate", "--noinput")}


def _health(texts: Iterable[str]) -> str:
    """The path that tells health: what the code names, else the root."""
    every = "\n".join(texts)
    named = [path for path in ("/health", "/healthz", "/api/health") if f'"{path}"' in every]
    return named[0] if named else "/"


def _bare(program: str) -> str:
    return "python3" if program == _PYTHON else program


def _package(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, dict)}


def _lines(table: Table) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in table.items()]


def _toml(value: Value) -> str:
    """TOML 1.0: its basic strings are JSON's."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            return f"[{', '.join(json.dumps(item, ensure_ascii=False) for item in value)}]"
        case _:
            pairs = (f"{key} = {json.dumps(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}"
