"""What every module keeps to. The arrows between rooms are import-linter's, in `make lint`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.schedule import make_schedule

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "edudiff"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST_MODULE = 260
EXCEPTIONS = {"unet.py": 300}  # one network, to be read from top to bottom
LONGEST_FUNCTION = 40
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Functions, classes and methods whose name, and whose class's name, has no underscore."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def lines_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= first.end_lineno - first.lineno + 1
    return length


@pytest.fixture(params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def test_the_package_is_found():
    assert len(MODULES) > 20


def test_every_module_says_what_it_is(tree):
    assert ast.get_docstring(tree)


def test_every_public_definition_has_a_docstring(tree):
    bare = [name for name, node in public(tree.body) if not ast.get_docstring(node)]
    assert bare == []


def test_no_module_is_too_long_to_hold_in_the_head(module):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= EXCEPTIONS.get(
        module.name, LONGEST_MODULE
    )


def test_no_function_is_too_long_to_hold_in_the_head(tree):
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [f.name for f in functions if lines_without_docstring(f) > LONGEST_FUNCTION]
    assert long == []


def test_annotations_are_real_objects_that_the_shape_hook_can_check(tree):
    futures = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    ]
    assert "annotations" not in futures


def test_nothing_is_imported_with_a_star(tree):
    stars = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]
    assert stars == []


def test_a_module_has_a_test_file_of_its_name(module):
    if module.name != "__init__.py":
        test = Path(name_of(module)).with_name(f"test_{module.name}")
        assert (ROOT / "tests" / test).is_file()


def test_shapes_in_signatures_are_checked_while_tests_run(request):
    if not request.config.getoption("--jaxtyping-packages"):
        pytest.skip("run without the shape hook")
    x0, one_for_all = torch.zeros(2, 3), torch.zeros(1, 3)
    with pytest.raises(jaxtyping.TypeCheckError):
        add_noise(x0, one_for_all, torch.tensor([0, 1]), make_schedule())
