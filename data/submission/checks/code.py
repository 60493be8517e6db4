"""sft_utils.py, read but never run: what it imports and calls, and whether others can call it.

`uses.py` finds what it uses beyond its arguments, `syntax.py` what Python 3.10 cannot read.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator

from data.submission.checks import syntax, uses
from data.submission.checks.findings import Finding, shown
from data.submission.checks.uses import Fault, Resolve

NAME = "sft_utils.py"
TRAVELS = {"datasets", "transformers"}
# Also installed, as dependencies of the contract's versions; the contract promises only the two above.
DEPENDENCIES = {"torch", "numpy", "accelerate", "trl", "huggingface_hub", "tokenizers", "safetensors", "pyarrow"}
DEPENDENCIES |= {"pandas", "jinja2", "regex", "tqdm", "yaml", "requests", "packaging", "filelock", "fsspec", "dill"}
DEPENDENCIES |= {"multiprocess", "xxhash", "aiohttp", "psutil", "sympy", "mpmath", "networkx", "markupsafe", "rich"}
DEPENDENCIES |= {"dateutil", "pytz", "six", "typing_extensions", "tyro", "deepspeed", "flash_attn", "wandb"}
# Of the standard library, but not of Python 3.10's.
NEWER_MODULES = {"tomllib", "compression", "annotationlib"}
NEWER_NAMES = {
    ("typing", "Self"),
    ("typing", "override"),
    ("typing", "Never"),
    ("typing", "LiteralString"),
    ("typing", "NotRequired"),
    ("typing", "assert_never"),
    ("typing", "reveal_type"),
    ("datetime", "UTC"),
    ("enum", "StrEnum"),
    ("itertools", "batched"),
    ("contextlib", "chdir"),
    ("hashlib", "file_digest"),
    ("datasets", "List"),
    ("datasets", "Column"),
    ("datasets", "Json"),
    ("transformers", "TokenizersBackend"),
}
# Calls that run text, or hide what is run.
DYNAMIC = {"eval", "exec", "compile", "__import__", "globals", "breakpoint", "input"}
REDUCES = {"select", "shard", "take", "head", "sample", "train_test_split", "filter", "skip", "sort", "select_columns"}
RANDOM = {"random", "secrets", "uuid", "time", "datetime"}
SIGNATURES = {
    "get_tokenizer": ["model_name_or_path", "set_pad_token"],
    "load_datasets": ["dataset_name_or_path"],
    "apply_chat_template": ["example", "tokenizer", "task"],
}

# Whether these matter is seen when the functions are run: other counts than the files', another result the second time.
SEEN_WHEN_RUN = {"reduction", "random"}
TO_KNOW = SEEN_WHEN_RUN | {"dependency"}


def findings(text: str) -> list[Finding]:
    """What reading the file finds, in the order of its lines; each problem of a line once."""
    try:
        tree = ast.parse(text, feature_version=syntax.VERSION)
        newer = syntax.newer(text, tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        line = getattr(error, "lineno", None) or 1
        return [unreadable(line, getattr(error, "msg", type(error).__name__))]
    if newer:
        return [unreadable(*place) for place in newer]
    try:
        return of_tree(tree)
    except RecursionError:
        return [Finding("syntax", NAME, "expressions are nested too deeply to be checked", "simplify them")]


def of_tree(tree: ast.Module) -> list[Finding]:
    """Findings in code that Python 3.10 can read."""
    resolve = resolver(tree)
    found = dict.fromkeys((*imports(tree), *uses.faults(tree, resolve), *newer_attributes(tree, resolve)))
    found |= dict.fromkeys((*calls(tree), *reductions(tree), *signatures(tree)))
    return [
        Finding(check, f"{NAME}:{line}", problem, fix, check not in TO_KNOW)
        for check, line, problem, fix in sorted(found, key=lambda fault: fault[1])
    ]


def unreadable(line: int, what: str) -> Finding:
    problem = f"Python 3.10 cannot read this: {what}"
    return Finding("syntax", f"{NAME}:{line}", problem, "correct it, and use no syntax newer than Python 3.10")


def resolver(tree: ast.Module) -> Resolve:
    """A function that returns the full name behind an import: "subprocess.run" for `sp.run`."""
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {each.asname or each.name.split(".")[0]: _bound(each) for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            full |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}

    def resolve(node: ast.AST) -> str:
        first, dot, rest = dotted(node).partition(".")
        return full.get(first, f"<here>.{first}") + dot + rest

    return resolve


def _bound(alias: ast.alias) -> str:
    return alias.name if alias.asname else alias.name.split(".")[0]


def imports(tree: ast.Module) -> Iterator[Fault]:
    optional = {each for node in ast.walk(tree) for each in _guarded(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            problem = "a relative import needs a package that does not travel"
            yield "import", node.lineno, problem, "put the code in this file"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names if node not in optional else ():
                yield from import_fault(name, node.lineno)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names if node not in optional else ():
                    if (node.module, alias.name) in NEWER_NAMES:
                        problem = f"{node.module}.{alias.name} is newer than the stock versions"
                        yield "newer-name", node.lineno, problem, "write it without"
                    if alias.name == "*":
                        yield "import", node.lineno, f"`from {node.module} import *` hides what is used", "name it"


def _guarded(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes inside an `if TYPE_CHECKING`, or inside a `try` that continues without the import."""
    body: list[ast.stmt] = []
    if isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING"):
        body = node.body
    elif isinstance(node, ast.Try):
        caught = {dotted(each) for handler in node.handlers for each in ast.walk(handler.type or ast.Name("Exception"))}
        body = node.body if caught & {"ImportError", "ModuleNotFoundError", "Exception"} else []
    for statement in body:
        yield from ast.walk(statement)


def import_fault(name: str, line: int) -> Iterator[Fault]:
    top = name.split(".")[0]
    if top in NEWER_MODULES:
        yield "newer-name", line, f"{name} is not in Python 3.10", "write it without"
    elif top in DEPENDENCIES:
        problem = f"{name} is installed with the contract's versions, but the contract promises only datasets and transformers"
        yield "dependency", line, problem, "keep it only if you need it"
    elif top not in TRAVELS and top not in sys.stdlib_module_names:
        problem = f"{name} does not travel: the standard library, datasets and transformers are all there is"
        yield "import", line, problem, "put the code in this file, or write it without"


def newer_attributes(tree: ast.Module, resolve: Resolve) -> Iterator[Fault]:
    """Names such as `typing.Self`, resolved through their import."""
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.Attribute)):
        module, _, last = resolve(node).rpartition(".")
        if (module, last) in NEWER_NAMES:
            yield "newer-name", node.lineno, f"{module}.{last} is newer than the stock versions", "write it without"


def calls(tree: ast.Module) -> Iterator[Fault]:
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = dotted(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in DYNAMIC:
            yield "dynamic", node.lineno, f"{name}(…) runs what cannot be read here", "write the code itself"
        if truthy(keywords.get("trust_remote_code")):
            yield "network", node.lineno, "trust_remote_code runs code from a hub", "leave it out"
        if (name in ("open", "Path.open") and opens_for_writing(node, keywords)) or name.endswith(
            (".write_text", ".write_bytes")
        ):
            yield "write", node.lineno, f"{name}(…) writes a file", "a submission only reads"
        if name.endswith("load_dataset") and node.args and is_hub_id(node.args[0]):
            source = shown(ast.literal_eval(node.args[0]))
            yield "network", node.lineno, f"load_dataset({source}) asks the hub", uses.SHIP
        if name.endswith(".shuffle") and "seed" not in keywords and not node.args:
            yield "random", node.lineno, f"{name}() shuffles anew each time", "give it a seed, or leave it out"
        if name.split(".")[0] in RANDOM and not (name.endswith((".seed", ".Random")) and node.args):
            yield "random", node.lineno, f"{name}(…) gives another result each time", "make it a constant"
        if name.endswith("from_pretrained") and "dtype" in keywords:
            yield (
                "newer-name",
                node.lineno,
                "from_pretrained(dtype=…) is newer than the stock versions",
                "torch_dtype=…",
            )


def reductions(tree: ast.Module) -> Iterator[Fault]:
    """What makes fewer rows of the files inside load_datasets; that the counts differ is seen when it is run."""
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "load_datasets"):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REDUCES:
                problem = f".{node.func.attr}(…) in load_datasets changes which rows are trained on, out of sight"
                yield (
                    "reduction",
                    node.lineno,
                    problem,
                    "do it when the dataset is built, so that the files hold what is trained on",
                )
            split = (
                isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\[.*:.*\]$", node.value)
            )
            if isinstance(node, ast.Slice) or split:
                problem = "a slice in load_datasets leaves rows out, out of sight"
                yield (
                    "reduction",
                    getattr(node, "lineno", function.lineno),
                    problem,
                    "build the dataset with fewer rows",
                )


def signatures(tree: ast.Module) -> Iterator[Fault]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for name, wanted in SIGNATURES.items():
        node = functions.get(name)
        if node is None:
            if name not in assigned:
                yield "signature", 1, f"there is no function {name}", f"def {name}({', '.join(wanted)})"
            continue
        given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        needed = len(given) - len(node.args.defaults)
        kwonly = sum(default is None for default in node.args.kw_defaults)
        most = 1 if name == "get_tokenizer" else len(wanted)
        if given[: len(wanted)] != wanted or needed > most or kwonly or node.args.posonlyargs:
            problem = f"{name}({', '.join(given)}) is not called like that by other trainers"
            yield (
                "signature",
                node.lineno,
                problem,
                f"def {name}({', '.join(wanted)}), further parameters with a default",
            )


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute or a name; "" before the first dot where that is a call or a value."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def truthy(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and bool(node.value)


def opens_for_writing(node: ast.Call, keywords: dict[str | None, ast.expr]) -> bool:
    mode = keywords.get("mode") or (node.args[1] if len(node.args) > 1 else None)
    return isinstance(mode, ast.Constant) and any(letter in str(mode.value) for letter in "wax+")


def is_hub_id(node: ast.AST) -> bool:
    """Whether the first argument of load_dataset is a name on a hub, not one of the readers of files."""
    readers = {"json", "csv", "text", "parquet", "arrow", "pandas", "xml"}
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in readers
