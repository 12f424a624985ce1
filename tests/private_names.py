"""A search of the package for the private names of other people's libraries: `search`."""

# What counts as a use, and of what
#
#   object._name, getattr(object, "_name")   where the object is not `self`. It is ours if the module's own classes define
#                   the name; in a module that imports no library of LIBRARIES, if any class of the package does.
#   self._name, def _name, _name = ...       in a class that inherits from somebody else's, where that has the name, too.
#                   So a name of ours that a new release begins to use is found as well.
#   import package._module                   and names from it.
#
# Names such as `__name__` are no private ones, but pydantic's are.

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator
from functools import cache

from tests import package_code
from tests.package_code import FILES, ROOT, walk, without_collector

DOCUMENTED = {"sys._getframe", "os._exit", "libc._exit"}
"""Private by their look only."""

LIBRARIES = ("aiohttp", "http", "httpx", "httpx_aiohttp", "requests", "socket", "ssl", "tenacity", "urllib3", "uvicorn")
"""A module that imports one holds its objects: there, a private name is ours only if the module itself defines it."""

NAMED_TUPLE = {"_asdict", "_fields", "_replace"}
"""Documented methods of every named tuple."""

LOOKS = {"getattr", "hasattr", "setattr", "delattr"}


def is_private(name: str) -> bool:
    if name in NAMED_TUPLE:
        return False
    special = name.startswith("__") and name.endswith("__")
    return name.startswith("__pydantic_") if special else name.startswith("_")


def is_self(node: ast.AST) -> bool:
    """Whether it is `self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def looked_up(node: ast.AST) -> tuple[ast.AST, str] | None:
    """The object and the name of `object.name` or of `getattr(object, "name")`."""
    if isinstance(node, ast.Attribute):
        return node.value, node.attr
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOOKS:
        name = node.args[1]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return node.args[0], name.value
    return None


@cache
def walked(node: ast.AST) -> list[ast.AST]:
    """A module or a class, and all in it."""
    return walk(node)


@cache
def members(node: ast.AST) -> frozenset[str]:
    """The private names that a class, or all classes of a module, define: methods, class attributes, slots, `self.x`."""
    found: set[str] = set()
    for inner in walked(node):
        if isinstance(inner, ast.ClassDef):
            for statement in inner.body:
                if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(statement.name)
                elif isinstance(statement, ast.Assign | ast.AnnAssign):
                    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                    names = {target.id for target in targets if isinstance(target, ast.Name)}
                    found |= names
                    if "__slots__" in names and statement.value is not None:
                        found |= set(re.findall(r"\w+", ast.unparse(statement.value)))
        elif isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and is_self(inner.value):
            found.add(inner.attr)
    return frozenset(filter(is_private, found))


def used_on_itself(node: ast.ClassDef) -> set[str]:
    """The private names that a class defines, or takes from itself."""
    taken = {found[1] for inner in walked(node) if (found := looked_up(inner)) and is_self(found[0])}
    return members(node) | {name for name in taken if is_private(name)}


@cache
def classes_of(module: str) -> dict[str, ast.ClassDef]:
    """The classes that a module defines, by name; none for a module in C."""
    try:
        source = inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return {}
    return {node.name: node for node in walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}


@cache
def foreign_members(class_: type) -> frozenset[str]:
    """The private names that a class inherits from others than ours."""
    found: set[str] = set()
    for base in class_.__mro__:
        if base.__module__.partition(".")[0] not in ("llmclients", "builtins", "typing", "abc"):
            found |= {name for name in vars(base) if is_private(name) and not name.startswith("_abc_")}
            written = classes_of(base.__module__).get(base.__name__)
            found |= members(written) if written is not None else set()
    return frozenset(found)


def imports(node: ast.AST) -> set[str]:
    """The modules that a module imports when it runs."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            found.add(child.module or "")
        elif isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.expr):  # has no statement inside
            continue
        elif not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            found |= imports(child)
    return found


def uses(name: str, tree: ast.Module, ours: Collection[str], class_of: Callable[[str], type | None]) -> Iterator[str]:
    """Each private name of a library that the module `name` uses.

    `ours`: what classes of the package define; `class_of`: the class of a name in the module, None if there is none.
    """
    imported = imports(tree)
    yield from (path for path in imported if not path.startswith(("llmclients", "__")) and "._" in f".{path}")
    if name.startswith("transports.") or any(path.partition(".")[0] in LIBRARIES for path in imported):
        ours = members(tree)
    for node in walked(tree):
        if (found := looked_up(node)) and is_private(found[1]) and not is_self(found[0]):
            is_ours = isinstance(node, ast.Attribute) and found[1] in ours
            if not is_ours and ast.unparse(node) not in DOCUMENTED:
                yield found[1]
        if isinstance(node, ast.ClassDef):
            class_ = class_of(node.name)
            if class_ is not None and (foreign := foreign_members(class_)):
                yield from used_on_itself(node) & foreign
            elif class_ is None and any(not isinstance(base, ast.Name) for base in node.bases):
                yield from used_on_itself(node)  # a class that a function makes, of a base that it is given


@without_collector()
def search() -> set[tuple[str, str]]:
    """Every private name that the package uses, with the module that does."""
    trees = {path: package_code.tree(path) for path in FILES}
    ours = frozenset[str]().union(*map(members, trees.values()))
    found: set[tuple[str, str]] = set()
    for path, tree in trees.items():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if name != "__main__":  # runs when it is imported
            module = importlib.import_module(f"llmclients.{name}".removesuffix(".__init__"))
            found |= {(name, used) for used in uses(name, tree, ours, lambda class_: getattr(module, class_, None))}  # noqa: B023
    for remembered in (walked, members):  # half a million objects
        remembered.cache_clear()
    return found
