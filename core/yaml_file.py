"""YAML files written by people: every fault at once, each with its dotted path and its line."""

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

_Shape = TypeVar("_Shape", bound=BaseModel)


class ConfigError(Exception):
    """A file or an option cannot be used; `faults` holds one line for each thing that is wrong."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read(shape: type[_Shape], text: str, name: str) -> tuple[_Shape, yaml.Node | None]:
    """Makes a `shape` of YAML text; also gives the nodes, whose lines `line` finds.

    An empty text is an empty mapping. Raises `ConfigError` with every fault and its line; opens nothing.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" ({name}:{mark.line + 1})" if mark else f" ({name})"
        raise ConfigError([f"not YAML: {getattr(error, 'problem', None) or error}{where}"]) from None
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ConfigError([f"must be a mapping, got {type(data).__name__} ({name}:1)"])
    faults = _twice(node, name)
    try:
        value = shape.model_validate(data)
    except ValidationError as error:
        raise ConfigError(faults + [_fault(detail, node, name) for detail in error.errors()]) from None
    if faults:
        raise ConfigError(faults)
    return value, node


def line(node: yaml.Node | None, path: list[Any]) -> int:
    """Line of the deepest part of `path` that the file has; sequences count from 0."""
    found_line = 1 if node is None else node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if str(key.value) == str(part)]
            if not found:
                break
            found_line, node = found[-1][0].start_mark.line + 1, found[-1][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            found_line = node.start_mark.line + 1
        else:
            break
    return found_line


def _fault(detail: Any, node: yaml.Node | None, name: str) -> str:
    unknown = detail["type"] == "extra_forbidden"
    message = "unknown option" if unknown else str(detail["msg"]).removeprefix("Value error, ")
    # The value of an unknown option is not shown: it may be a secret typed into the wrong place.
    shown = "" if unknown or isinstance(detail["input"], dict | list) else f", got {detail['input']!r}"
    path = list(detail["loc"])
    where = f"{'.'.join(str(part) for part in path)}: " if path else ""
    return f"{where}{message[:1].lower()}{message[1:]}{shown} ({name}:{line(node, path)})"


def _twice(node: yaml.Node | None, name: str, path: str = "") -> list[str]:
    """YAML silently keeps the last of two equal keys; we do not."""
    faults: list[str] = []
    if isinstance(node, yaml.SequenceNode):
        for k, value in enumerate(node.value):
            faults += _twice(value, name, f"{path}{k}.")
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                faults.append(f"{path}{key.value}: given twice ({name}:{key.start_mark.line + 1})")
            seen.add(str(key.value))
            faults += _twice(value, name, f"{path}{key.value}.")
    return faults
