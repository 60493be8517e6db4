"""What sft_utils.py uses beyond its arguments: the network, processes, the environment, paths and addresses.

An import or a constant alone does nothing, so only uses count; the audit hook sees the rest when the code is run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from data.submission.checks.findings import shown

Fault = tuple[str, int, str, str]
Resolve = Callable[[ast.AST], str]

SHIP = "ship the rows in the dataset's folder"
# Full names, or their beginnings where they end in a dot.
NETWORK: tuple[str, ...] = (
    "socket.",
    "ssl.",
    "http.client.",
    "http.server.",
    "urllib.request.",
    "ftplib.",
    "smtplib.",
    "poplib.",
)
NETWORK += ("imaplib.", "telnetlib.", "xmlrpc.", "asyncio.open_connection", "asyncio.start_server", "requests.")
NETWORK += ("aiohttp.", "httpx.", "urllib3.", "wandb.", "huggingface_hub.hf_hub_download", "huggingface_hub.HfApi")
NETWORK += ("huggingface_hub.snapshot_download", "huggingface_hub.login", "huggingface_hub.HfFileSystem")
NETWORK += ("datasets.load_dataset_builder", "datasets.get_dataset_split_names")
PROCESSES: tuple[str, ...] = (
    "subprocess.",
    "ctypes.",
    "pty.",
    "os.system",
    "os.popen",
    "os.fork",
    "os.forkpty",
    "os.kill",
)
PROCESSES += ("os.killpg", "os.startfile")
STARTS = re.compile(r"os\.(exec|spawn|posix_spawn)\w*$")
DYNAMIC = ("importlib.import_module", "importlib.reload", "importlib.util.", "importlib.machinery.")
MACHINE = {"os.getcwd", "os.getlogin", "os.uname", "socket.gethostname", "platform.node", "platform.uname"}
MACHINE |= {"pathlib.Path.home", "pathlib.Path.cwd"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv"}
# Settings of libraries: they decide how something is computed, not what is trained on.
LIBRARIES = re.compile(
    r"((TOKENIZERS|HF|HUGGINGFACE|TRANSFORMERS|DATASETS|OMP|MKL|OPENBLAS|NUMEXPR|KMP|RAYON|CUDA|CUBLAS|NCCL|TORCH"
    r"|PYTORCH|TF|ACCELERATE|DEEPSPEED|DS|WANDB|TQDM|ARROW|TRITON|BITSANDBYTES|NVIDIA)_|PYTHON)\w+\Z"
)

# What takes a path or an address and opens it, by the last part of its name.
OPENERS = {"open", "Path", "PurePath", "PosixPath", "load_dataset", "load_from_disk", "from_pretrained", "urlopen"}
OPENERS |= {"read_csv", "read_json", "read_parquet", "read_table", "read_text", "read_lines", "read_pickle", "listdir"}
OPENERS |= {"scandir", "glob", "iglob", "walk", "exists", "isfile", "isdir", "urlretrieve", "Request", "from_file"}
OPENERS |= {"from_json", "from_csv", "from_parquet", "from_text", "loadtxt", "memory_map", "ZipFile", "expanduser"}
OPENERS |= {"hf_hub_download", "snapshot_download", "chdir", "load", "joinpath"}
OPENERS_BY_FULL_NAME = {"os.path.join", "sys.path.append", "sys.path.insert"}
MACHINE_PATH = re.compile(r"(/(home|root|data|mnt|tmp|work|users|Users|scratch|opt|var)/\S|~/|[A-Za-z]:\\)")
ADDRESS = re.compile(r"(https?|s3|gs|hf|ftp)://")


def faults(tree: ast.Module, resolve: Resolve) -> Iterator[Fault]:
    """Everything that the code uses beyond its arguments."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    constants = assigned_texts(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            yield from of_name(node, resolve(node), parents)
        elif isinstance(node, ast.Call) and opens(resolve(node.func)):
            yield from of_texts(node, constants)


def of_name(node: ast.Attribute | ast.Name, name: str, parents: dict[ast.AST, ast.AST]) -> Iterator[Fault]:
    """A name that stands for something beyond this process."""
    line = node.lineno
    if name in MACHINE:
        yield "environment", line, f"{name} differs from machine to machine", "take it from the argument"
    elif isinstance(node, ast.Name) and node.id == "__file__":
        problem = "__file__ depends on where a trainer puts this file"
        yield "environment", line, problem, "take paths from dataset_name_or_path"
    elif name in ENVIRONMENT and not is_setting(node, parents):
        problem = f"the value of {name} differs from machine to machine"
        yield "environment", line, problem, "write the value here, or take it from the argument"
    elif reaches(name, NETWORK):
        yield "network", line, f"{name} uses the network", SHIP
    elif reaches(name, PROCESSES) or STARTS.match(name):
        yield "process", line, f"{name} reaches beyond this process", "write it without"
    elif reaches(name, DYNAMIC):
        yield "dynamic", line, f"{name} hides what is imported", "import by name"
    elif passed_on(node, name, parents):
        yield (
            "dynamic",
            line,
            f"{name} is passed on as a whole, which hides what is used of it",
            f"use {name}.<name> directly",
        )


def reaches(name: str, table: tuple[str, ...]) -> bool:
    """Whether a full name is in the table; constants and exceptions of a module use nothing."""
    last = name.rpartition(".")[2]
    harmless = last in ("PIPE", "STDOUT", "DEVNULL") or last.endswith(("Error", "Exception", "Expired"))
    return not harmless and any(name == row or (row.endswith(".") and name.startswith(row)) for row in table)


def passed_on(node: ast.AST, name: str, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether a module that reaches outside is used other than by `module.name`."""
    modules = {row[:-1] for row in NETWORK + PROCESSES + DYNAMIC if row.endswith(".")} | {"os", "importlib"}
    return name in modules and not isinstance(parents.get(node), ast.Attribute)


def is_setting(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether this use of the environment sets something, or reads a library's setting with a default."""
    parent = parents.get(node)
    if isinstance(parent, ast.Subscript):  # os.environ["X"]
        return not isinstance(parent.ctx, ast.Load)
    if isinstance(parent, ast.AugAssign):  # os.environ |= {…}
        return parent.target is node
    if isinstance(parent, ast.Compare):  # "X" in os.environ
        return is_library(parent.left)
    method, call = "get", parent
    if isinstance(parent, ast.Attribute):  # os.environ.get("X", "0")
        method, call = parent.attr, parents.get(parent)
    if not isinstance(call, ast.Call) or node in call.args:
        return False
    alone = isinstance(parents.get(call), ast.Expr)
    reads = method in ("get", "setdefault", "pop") and bool(call.args) and is_library(call.args[0])
    return reads or (alone and method in ("setdefault", "update", "pop", "clear"))


def is_library(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(LIBRARIES.match(node.value))


def assigned_texts(tree: ast.Module) -> dict[str, list[str]]:
    """Name -> the texts that are assigned to it anywhere in the file."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign | ast.NamedExpr) else targets
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                found.setdefault(target.id, []).extend(texts_in(value))
    return found


def texts_in(node: ast.AST) -> list[str]:
    """The texts in an expression, without those that are arguments of another call."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    parts = [node.func] if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    return [text for part in parts for text in texts_in(part)]


def opens(name: str) -> bool:
    return name.rpartition(".")[2] in OPENERS or name in OPENERS_BY_FULL_NAME


def of_texts(call: ast.Call, constants: dict[str, list[str]]) -> Iterator[Fault]:
    """Paths of one machine and addresses among what is opened, written there or by the name of a constant."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    names = [each.id for part in given for each in ast.walk(part) if isinstance(each, ast.Name)]
    texts = [text for part in given for text in texts_in(part)]
    for text in (*texts, *(text for name in names for text in constants.get(name, ()))):
        if MACHINE_PATH.match(text):
            fix = "take it from the argument"
            yield "absolute-path", call.lineno, f"{shown(text)} exists on this machine only", fix
        elif text.startswith("../") or "/../" in text or text == "..":
            yield "outside-path", call.lineno, f"{shown(text)} leaves the submission", "write a path without `..`"
        elif ADDRESS.match(text):
            yield "network", call.lineno, f"{shown(text)} is an address", SHIP
