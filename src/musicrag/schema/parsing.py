"""A composed config becomes a :class:`RunConfig`, or one error that lists every wrong key."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, ValidationError

from musicrag.schema.component import Component, signature_model
from musicrag.schema.models import RunConfig
from musicrag.types import InputError, nearest


class _NoArguments(BaseModel):
    """What ``auto`` and ``none`` take."""

    model_config = ConfigDict(extra="forbid")


def parse(config: DictConfig) -> RunConfig:
    """Resolve and check a composed config.

    Raises:
        InputError: lists every unknown key, wrong type, bad value and impossible combination.
    """
    plain = OmegaConf.create({key: node for key, node in _nodes(config) if key != "hydra"})
    values = _plain_values(plain)
    try:
        run = RunConfig.model_validate(values)
        problems = []
    except ValidationError as error:
        problems = list(error.errors())
    problems += _component_problems(RunConfig, values, ())
    if problems:
        lines = [_explain(problem, values) for problem in problems]
        raise InputError("The configuration is wrong:\n" + "\n".join(lines))
    return run


def _plain_values(config: DictConfig) -> Any:
    """All interpolations replaced; a value that is still ``???`` is an error."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise InputError(
                f"Not set: {', '.join(missing)}. Give a value, such as "
                f"{missing[0]}=/path/to/folder."
            )
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).replace("\n", ";")
        raise InputError(f"The configuration cannot be resolved: {reason}.") from error


def _nodes(config: DictConfig) -> Iterator[tuple[str, Any]]:
    for key in config:
        yield str(key), config._get_node(key)


def _component_problems(
    model: type[BaseModel], values: Any, location: tuple[str, ...]
) -> list[Any]:
    """What the constructors behind all ``_target_`` nodes say about their arguments."""
    problems: list[Any] = []
    for name, info in model.model_fields.items():
        node = values.get(name) if isinstance(values, Mapping) else None
        if not isinstance(node, Mapping) or not inspect.isclass(info.annotation):
            continue
        here = (*location, name)
        if info.annotation is Component and "_target_" in node:
            problems += _signature_problems(node, here)
        elif issubclass(info.annotation, BaseModel):
            problems += _component_problems(info.annotation, node, here)
    return problems


def _signature_problems(node: Mapping[str, Any], location: tuple[str, ...]) -> list[Any]:
    arguments = {key: value for key, value in node.items() if key not in ("name", "_target_")}
    try:
        if node["_target_"] is None:
            _NoArguments.model_validate(arguments)
        else:
            signature_model(node["_target_"]).model_validate(arguments)
    except InputError as error:
        return [{"type": "value_error", "loc": location, "ctx": {"error": error}}]
    except ValidationError as error:
        return [{**problem, "loc": (*location, *problem["loc"])} for problem in error.errors()]
    return []


def _explain(problem: Mapping[str, Any], values: Any) -> str:
    """One line for one pydantic error: dotted key, what is wrong, what is allowed."""
    location = [str(part) for part in problem["loc"]]
    dotted = ".".join(location)
    siblings = _known_keys(location[:-1], values)
    if problem["type"] == "extra_forbidden":
        hint = nearest(location[-1], siblings)
        return f"  {dotted}: unknown key.{hint} Allowed here: {', '.join(sorted(siblings))}."
    if problem["type"] == "missing":
        return f"  {dotted}: this key is missing. Give it a value."
    if problem["type"] == "value_error":
        reason = str(problem["ctx"]["error"])
        return f"  {dotted or 'config'}: {reason}{'' if reason[-1] in '.?' else '.'}"
    if problem["type"] in ("model_type", "model_attributes_type"):
        return (
            f"  {dotted}: a section of keys, got {problem['input']!r}. Choose one with "
            f"{'/'.join(location)}=OPTION, or set a key inside."
        )
    if problem["type"] == "list_type":
        return (
            f"  {dotted}: needs a list, got {problem['input']!r}. "
            f"Write {dotted}=[{problem['input']}]."
        )
    if problem["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        hint = nearest(str(problem["input"]), allowed)
        return f"  {dotted}: {problem['input']!r} is not one of {', '.join(allowed)}.{hint}"
    return f"  {dotted}: {problem['msg']}, got {problem['input']!r}."


def _known_keys(location: list[str], values: Any) -> list[str]:
    """Keys allowed in the section ``location``."""
    model: type[BaseModel] = RunConfig
    node = values
    for part in location:
        if part not in model.model_fields:
            return []
        annotation = model.model_fields[part].annotation
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
        if annotation is Component:
            target = node.get("_target_")
            model = signature_model(target) if target else _NoArguments
        elif inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            model = annotation
        else:
            return []
    return list(model.model_fields)
