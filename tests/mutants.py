"""Broken code, on purpose: change one place of a library function, run something, and put the function back.

A function is broken by giving it another `__code__`, so that every name under which it was imported is broken with it.
The text of its file is parsed again for that; the file itself is never touched.
"""

import ast
import gc
import inspect
import signal
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import _lru_cache_wrapper, cache
from pathlib import Path

import lorabook

PACKAGE = str(Path(lorabook.__file__).parent)
INNER = ".<locals>"


class TooLong(BaseException):
    """A broken function ran past its time: a loop may have lost its end. No `except Exception` on the way stops it."""


@dataclass(frozen=True)
class Place:
    """A function of the library: the file it is in, its qualified name, and its first line."""

    file: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.file.removeprefix(PACKAGE + '/')}:{self.line} {self.name}"


@dataclass(frozen=True)
class Mutant:
    """One change in one place: what was written there, what stands there now, and the code that results."""

    place: Place
    line: int
    was: str
    now: str
    code: types.CodeType

    def __str__(self) -> str:
        return f"{self.place}, line {self.line}: {self.was} → {self.now}"


def called_by(run: Callable[[], object]) -> dict[Place, set[int]]:
    """Return every function of the package that `run` enters, with the lines of it that were reached."""
    reached: dict[types.CodeType, set[int]] = {}

    def trace(frame: types.FrameType, event: str, argument: object):
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return None
        lines = reached.setdefault(code, set())

        def follow(frame: types.FrameType, event: str, argument: object):
            lines.add(frame.f_lineno)
            return follow

        return follow

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    places: dict[Place, set[int]] = {}
    for code, lines in reached.items():
        place = _outermost(code)
        if place is not None:
            places.setdefault(place, set()).update(lines)
    return places


def _outermost(code: types.CodeType) -> Place | None:
    """Return the module-level function or method that holds `code`: what is inside it is broken through it."""
    name = code.co_qualname.split(INNER)[0]
    for place in _functions(code.co_filename):
        if place.name == name and (INNER in code.co_qualname or _holds(place, code)):
            return place
    return None


def _holds(place: Place, code: types.CodeType) -> bool:
    return any(function.__code__ is code for function in _functions(place.file)[place])


@cache
def _all_functions() -> dict[str, dict[Place, list[types.FunctionType]]]:
    """Return every function object of the package that is no function's own, by file and place.

    Found among all objects: a function may be reached by a wrapper only, as under jaxtyping's import hook.
    """
    found: dict[str, dict[Place, list[types.FunctionType]]] = {}
    for thing in gc.get_objects():
        # Not isinstance: it asks the object for its class, and some answer with a warning.
        if type(thing) is types.FunctionType and thing.__code__.co_filename.startswith(PACKAGE):
            code = thing.__code__
            if INNER not in code.co_qualname:
                place = Place(code.co_filename, code.co_qualname, code.co_firstlineno)
                found.setdefault(code.co_filename, {}).setdefault(place, []).append(thing)
    return found


def _functions(file: str) -> dict[Place, list[types.FunctionType]]:
    return _all_functions().get(file, {})


@cache
def _caches() -> list[_lru_cache_wrapper]:
    return [
        thing for thing in gc.get_objects()
        if type(thing) is _lru_cache_wrapper and str(thing.__module__).startswith("lorabook")
    ]  # fmt: skip


def _forget() -> None:
    """Empty the library's caches: what a broken function computed must not outlive it, nor the other way round."""
    for kept in _caches():
        kept.cache_clear()


@contextmanager
def in_place(mutant: Mutant, seconds: float) -> Iterator[None]:
    """Break the function inside the block, at most for so long, and put it back whatever happens.

    Raises:
        TooLong: the block took longer.
    """
    functions = _functions(mutant.place.file)[mutant.place]
    whole = [function.__code__ for function in functions]

    armed = True

    def stop(*_) -> None:
        if armed:
            raise TooLong(str(mutant))

    _forget()
    before = signal.signal(signal.SIGALRM, stop)
    try:
        for function in functions:
            function.__code__ = mutant.code
        # Again and again: who catches everything on the way would otherwise be let go on for ever.
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.25)
        yield
    finally:
        armed = False  # first: an alarm in here would leave the function broken
        signal.setitimer(signal.ITIMER_REAL, 0)
        for function, code in zip(functions, whole, strict=True):
            function.__code__ = code
        signal.signal(signal.SIGALRM, before)
        _forget()


def by_hand(function: Callable, right: str, wrong: str) -> Mutant:
    """Return the mutant in which the text `right`, which stands once in the function, reads `wrong`.

    Raises:
        LookupError: the text is not there once. The function has changed: say its breakage anew.
    """
    code = inspect.unwrap(getattr(function, "fget", None) or function).__code__
    place = _outermost(code)
    tree = ast.parse(_text(place.file))
    node, top = _node(tree, place)
    lines = _text(place.file).splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno
    text = "".join(lines[first:last])
    if text.count(right) != 1:
        raise LookupError(f"{place}: {right!r} stands there {text.count(right)} times, and should once")
    changed = "".join(lines[:first]) + text.replace(right, wrong) + "".join(lines[last:])
    node, top = _node(ast.parse(changed), place)
    return Mutant(place, node.lineno, right, wrong, _compiled(top, place))


@cache
def _text(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")


def _node(tree: ast.Module, place: Place) -> tuple[ast.AST, ast.stmt]:
    """Return the node of a function, and the top-level statement that holds it."""
    for top in tree.body:
        for node, name in _named(top, ""):
            decorators = getattr(node, "decorator_list", [])
            lines = {node.lineno, *(d.lineno for d in decorators)}
            if name == place.name and place.line in lines:
                return node, top
    raise LookupError(f"{place}: no such function in the file")


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[ast.AST, str]]:
    for child in ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign) else [node]:
        if isinstance(child, ast.Lambda):
            yield child, f"{prefix}<lambda>"
    if isinstance(node, ast.FunctionDef):
        yield node, prefix + node.name
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            yield from _named(child, f"{prefix}{node.name}.")


def _compiled(top: ast.stmt, place: Place) -> types.CodeType:
    """Compile one top-level statement and return the code of the function in it."""
    module = compile(ast.Module([top], []), place.file, "exec", dont_inherit=True)
    waiting = [module]
    while waiting:
        code = waiting.pop()
        if code.co_qualname == place.name and (place.name != "<lambda>" or code.co_firstlineno == place.line):
            return code
        waiting += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    raise LookupError(f"{place}: no such function in the compiled file")


def mutants_of(place: Place, lines: set[int]) -> Iterator[Mutant]:
    """Give every mutant of a function with a change on one of these lines, the plainest mistakes first."""
    node, top = _node(ast.parse(_text(place.file)), place)
    free = _functions(place.file)[place][0].__code__.co_freevars
    for _, change in sorted(_changes(node, lines), key=lambda pair: pair[0]):
        was = ast.unparse(change.target)
        with change.made():
            try:
                code = _compiled(ast.fix_missing_locations(top), place)
            except (SyntaxError, ValueError):
                continue
        # Python can swap the code of a function only for one that closes over as many names.
        if code.co_freevars == free:
            yield Mutant(place, change.target.lineno, was, ast.unparse(change.new), code)


@dataclass
class Change:
    """Put another node in the place of one: `owner.field`, or `owner.field[index]`."""

    owner: ast.AST
    field: str
    index: int | None
    target: ast.AST
    new: ast.AST

    def _put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.index] = node

    @contextmanager
    def made(self) -> Iterator[None]:
        self._put(self.new)
        try:
            yield
        finally:
            self._put(self.target)


OTHER = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Add,
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def _changes(function: ast.AST, lines: set[int]) -> Iterator[tuple[int, Change]]:
    """Give every change that can be made inside a function, with how plain a mistake it is (0 the plainest)."""
    body = function.body if isinstance(function.body, list) else [function.body]
    waiting = [(function, "body", i if isinstance(function.body, list) else None, n) for i, n in enumerate(body)]
    while waiting:
        owner, field, index, node = waiting.pop(0)
        if isinstance(node, ast.Raise | ast.Assert):
            continue
        if getattr(node, "lineno", None) in lines:
            for rank, new in _wrong(node):
                yield rank, Change(owner, field, index, node, ast.copy_location(new, node))
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            if isinstance(value, ast.AST):
                waiting.append((node, name, None, value))
            elif isinstance(value, list):
                waiting += [(node, name, i, v) for i, v in enumerate(value) if isinstance(v, ast.AST)]


def _wrong(node: ast.AST) -> Iterator[tuple[int, ast.AST]]:
    """Give what a mistake could have put in the place of a node."""
    match node:
        case ast.BinOp(left, ast.MatMult(), right):
            yield 3, ast.BinOp(right, ast.MatMult(), left)
        case ast.BinOp(left, op, right) if type(op) in OTHER:
            yield 0, ast.BinOp(left, OTHER[type(op)](), right)
            yield 2, left
            yield 2, right
        case ast.AugAssign(target, op, value) if type(op) in OTHER:
            yield 0, ast.AugAssign(target, OTHER[type(op)](), value)
        case ast.Compare(left, [op], comparators) if type(op) in OTHER:
            yield 1, ast.Compare(left, [OTHER[type(op)]()], comparators)
        case ast.BoolOp(op, values):
            yield 2, ast.BoolOp(OTHER[type(op)](), values)
        case ast.UnaryOp(_, operand):
            yield 1, operand
        case ast.Constant(bool(value)):
            yield 1, ast.Constant(not value)
        case ast.Constant(int(value)) | ast.Constant(float(value)):
            yield 1, ast.Constant(value + 1)
            yield 2, ast.Constant(value - 1)
        case ast.Attribute(value, "T" | "mT" | "mH" | "real"):
            yield 2, value
        case ast.Call(ast.Attribute(value, _), _, _):
            yield 1, value
        case ast.IfExp(test, yes, no):
            yield 1, ast.IfExp(test, no, yes)
        case ast.Return(value) if value is not None:
            yield 2, ast.Return(ast.UnaryOp(ast.USub(), value))
            yield 2, ast.Return(ast.BinOp(ast.Constant(2), ast.Mult(), value))
            yield 2, ast.Return(ast.BinOp(value, ast.Add(), ast.Constant(1)))
        case ast.Expr(ast.Call()):
            yield 1, ast.Pass()
        case ast.If(test, body, orelse):
            yield 2, ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
    if isinstance(node, ast.Call) and len(node.args) >= 2:
        first, second, *rest = node.args
        yield 2, ast.Call(node.func, [second, first, *rest], node.keywords)
    if isinstance(node, ast.Call) and node.keywords:
        yield 3, ast.Call(node.func, node.args, node.keywords[:-1])
    if isinstance(node, ast.Call) and node.args:
        yield 3, ast.Call(node.func, node.args[:-1], node.keywords)
    if isinstance(node, ast.Slice) and node.upper is not None:
        yield 1, ast.Slice(node.upper, node.lower, node.step)
