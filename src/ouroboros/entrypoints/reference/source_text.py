"""The source as syntax trees, and what an expression in it may be.

Apart from what is looked for in it. A text that is computed is followed to the constants it is made
from; one that cannot be followed is an error, so nothing is left out in silence.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from ouroboros.domain.errors import Failed
from ouroboros.domain.reset import Strategy

_RELAYED = ("error", "code")
"""An error that is handed on has its code from a field of one of these names."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class SourceText:
    """All modules of a package."""

    def __init__(self, package: Path) -> None:
        paths = sorted(package.rglob("*.py"))
        self._trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
        self._calls: dict[str, list[ast.Call]] = {}
        self._attributes: dict[str, set[str]] = {}
        for tree in self._trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    self._calls.setdefault(name_of(node.func), []).append(node)
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                    known = self._attributes.setdefault(node.targets[0].attr, set())
                    known.update(_texts([node.value]))

    def calls_with_scope(self) -> Iterator[tuple[ast.AST, ast.Call]]:
        """Every call, with the module or the innermost function that it stands in."""
        for tree in self._trees:
            for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, _Function))]:
                for call in _own_calls(scope):
                    yield scope, call

    def constants(self, node: ast.expr, scope: ast.AST) -> set[str]:
        """What an expression may be; empty for what is handed on from another error.

        Raises `code_not_followed`.
        """
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.IfExp():
                return self.constants(node.body, scope) | self.constants(node.orelse, scope)
            case ast.JoinedStr():
                # The one thing that codes are made with is the strategy of a reset.
                return {_joined(node, strategy.value) for strategy in Strategy}
            case ast.Name():
                return self._of_variable(node.id, scope)
            case _ if _is_relayed(node):
                return set()
            case ast.Call(func=ast.Name(id="str"), args=[ast.Attribute(attr=name)]):
                return self._attributes[name]
        raise _not_followed(node)

    def _of_variable(self, name: str, scope: ast.AST) -> set[str]:
        """Follow a variable: its assignment, its loop over constants, or what callers give."""
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and name_of(node.targets[0]) == name:
                return self.constants(node.value, scope)
            if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
                firsts = [each.elts[0] for each in node.iter.elts if isinstance(each, ast.Tuple)]
                return _texts(firsts)
        if isinstance(scope, _Function):
            names = [argument.arg for argument in scope.args.args if argument.arg != "self"]
            at = names.index(name)
            given = [call.args[at] for call in self._calls[scope.name] if len(call.args) > at]
            return _texts(given)
        raise _not_followed(ast.Name(name))


def told(node: ast.expr) -> str:
    """A text as far as the source tells it; what is filled in stands in braces."""
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return _joined(node, None)
        case ast.IfExp():
            return f"{told(node.body)} / {told(node.orelse)}"
        case ast.BinOp(op=ast.Add()):
            return told(node.left) + told(node.right)
    return f"{{{_word(node)}}}"


def name_of(node: ast.expr) -> str:
    """The last name of `a` or `x.a`; empty for anything else."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
    return ""


def _own_calls(scope: ast.AST) -> Iterator[ast.Call]:
    """The calls of a scope that are not in a function inside of it."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, _Function):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _own_calls(child)


def _joined(node: ast.JoinedStr, filled: str | None) -> str:
    parts = []
    for each in node.values:
        if isinstance(each, ast.FormattedValue):
            parts.append(filled if filled is not None else f"{{{_word(each.value)}}}")
        elif isinstance(each, ast.Constant):
            parts.append(str(each.value))
    return "".join(parts)


def _word(node: ast.expr) -> str:
    """A word for what is filled in."""
    match node:
        case ast.Name() | ast.Attribute():
            return name_of(node)
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript():
            return _word(node.value)
        case ast.BinOp():
            return _word(node.left)
        case ast.Call(args=[first, *_]):
            return _word(first)
    return "…"


def _texts(nodes: list[ast.expr]) -> set[str]:
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return {value for value in values if isinstance(value, str)}


def _is_relayed(node: ast.expr) -> bool:
    return any(
        (isinstance(part, ast.Attribute) and part.attr in _RELAYED)
        or (isinstance(part, ast.Constant) and part.value in _RELAYED)
        for part in ast.walk(node)
    )


def _not_followed(node: ast.expr) -> Failed:
    return Failed(
        "code_not_followed",
        f"the source does not tell what {ast.unparse(node)} may be",
        "teach it to ouroboros/entrypoints/reference/source_text.py",
    )
