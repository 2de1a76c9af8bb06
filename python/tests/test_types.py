"""Every public name has types, and the stub of the compiled module describes it."""

import ast
import dataclasses
import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

import sotalign
from sotalign import _core

PACKAGE = pathlib.Path(sotalign.__file__).parent


def missing(where, function):
    signature = inspect.signature(function)
    names = [f"{where}: {p.name}" for p in signature.parameters.values()
             if p.annotation is p.empty and p.name not in ("self", "cls")]
    return names + ([f"{where}: return"] if signature.return_annotation is signature.empty else [])


def untyped(where, thing):
    """The parameters, results and attributes of a public name that have no annotation."""
    if inspect.isfunction(thing):
        return missing(where, thing)
    if not inspect.isclass(thing) or issubclass(thing, Exception):
        return []
    found = []
    for name, member in vars(thing).items():
        if name.startswith("_") and (name != "__init__" or dataclasses.is_dataclass(thing)):
            continue
        member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(member):
            found += missing(f"{where}.{name}", member)
    return found


@pytest.mark.parametrize("module", ["sotalign", "sotalign.metrics", "sotalign.torch", "sotalign.released"])
def test_every_public_name_is_typed(module):
    if module in ("sotalign.torch", "sotalign.released"):
        pytest.importorskip("torch", reason="PyTorch is not installed")
    module = importlib.import_module(module)
    found = [line for name in module.__all__ for line in untyped(name, getattr(module, name))]
    assert not found


def test_untyped_names_are_found():
    class Class:
        def __init__(self, x, y: int) -> None: ...

        def method(self): ...

        @property
        def value(self): ...

    assert untyped("C", Class) == ["C.__init__: x", "C.method: return", "C.value: return"]


def stub():
    """The functions of _core.pyi by name, and the names of its classes."""
    tree, functions = ast.parse((PACKAGE / "_core.pyi").read_text()), {}
    for node in tree.body:
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, ast.FunctionDef):
                functions[f"{node.name}.{one.name}" if one is not node else one.name] = one
    return functions, {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def compiled():
    """The same of the compiled module, by the signatures that nanobind gives its functions."""
    functions, classes = {}, set()
    members = [(name, thing) for name, thing in vars(_core).items() if not name.startswith("__")]
    for name, thing in members:
        if not inspect.isclass(thing):
            functions[name] = thing
            continue
        classes.add(name)
        for inner, member in vars(thing).items():
            if not inner.startswith("__") or (inner == "__init__" and hasattr(member, "__nb_signature__")):
                functions[f"{name}.{inner}"] = member.fget if isinstance(member, property) else getattr(thing, inner)
    return functions, classes


def parameters(function):
    """Names of the parameters, with the types that both sides write alike; arrays and dictionaries are only counted."""
    simple = {"int", "float", "str", "bool", "int | None", "None"}
    typed = [(a.arg, ast.unparse(a.annotation) if a.annotation else "") for a in function.args.args]
    result = ast.unparse(function.returns)
    return [(name, kind if kind in simple else "") for name, kind in typed], result if result in simple else ""


def test_the_stub_describes_the_compiled_module():
    (written, classes), (functions, found) = stub(), compiled()
    assert classes == found
    assert set(written) == set(functions)
    for name, function in functions.items():
        signature = function.__nb_signature__[0][0].replace("def (", "def getter(")
        signature = re.sub(r"\\\d+", "None", signature)  # defaults
        signature = re.sub(r"[\w.]+\[dtype=[^\]]*\]", "ndarray", signature)
        assert parameters(ast.parse(f"{signature}: ...").body[0]) == parameters(written[name]), name


def test_mypy_accepts_a_users_program(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path)]
    program = pathlib.Path(__file__).parent / "typed_program.py"
    environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent) if "site-packages" not in str(PACKAGE) else ""}
    done = subprocess.run([*command, str(program)], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
