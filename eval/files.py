"""Small files for people and programs: YAML mappings read with one sentence for what is wrong, JSON written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from eval.records import UserError


def read_mapping(path: Path, advice: str = "name a file that is there") -> dict[str, Any]:
    """The YAML mapping in `path`. Raises UserError where there is none; `advice` says what to name where it cannot be read."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {advice}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}: {error.reason}); save it as UTF-8.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}; mend that line.") from None
    if not isinstance(settings, dict):
        raise UserError(f"{path} holds {type(settings).__name__}, not a mapping; write one `key: value` a line.")
    return settings


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes beside `path`, then renames: the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
