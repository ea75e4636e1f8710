"""A choice with a class behind it, checked against that class's constructor.

So a new source, encoder, layer, store or generator needs no line in the schema.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model, model_validator

from musicrag.types import InputError, nearest


class Component(BaseModel):
    """A choice with a class behind it: its name, the class path, and constructor arguments."""

    model_config = ConfigDict(frozen=True)

    name: str
    target: str | None
    params: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _split(cls, node: Any) -> Any:
        if not isinstance(node, Mapping) or "_target_" not in node:
            return node
        params = {key: value for key, value in node.items() if key not in ("name", "_target_")}
        return {"name": node.get("name"), "target": node["_target_"], "params": params}

    def build(self, **extra: Any) -> Any:
        """Construct the component; ``extra`` holds what the run, not the yaml, knows."""
        if self.target is None:
            raise InputError(f"{self.name!r} is no component to build.")
        return locate(self.target)(**self.params, **extra)


def locate(target: str) -> Callable[..., Any]:
    """Import the class that a ``_target_`` names; only musicrag's own and installed ones exist.

    Raises:
        InputError: there is no such module or class; names the nearest spelling.
    """
    module_name, _, attribute = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise InputError(f"_target_ {target!r} cannot be imported: {error}.") from error
    found = getattr(module, attribute, None)
    if not inspect.isclass(found):
        hint = nearest(attribute, (n for n, v in vars(module).items() if inspect.isclass(v)))
        raise InputError(f"_target_ {target!r}: {module_name} has no class {attribute!r}.{hint}")
    constructor: Callable[..., Any] = found
    return constructor


_INJECTED = frozenset({"embedding_dim", "num_relations", "graph", "item_ids"})
"""Arguments of layers and generators that the run fills in, so a yaml must not."""


def signature_model(target: str) -> type[BaseModel]:
    """Return a pydantic model of the constructor arguments of the class ``target``."""
    constructor = locate(target)
    hints = get_type_hints(constructor.__init__)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        if name in _INJECTED:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    return create_model(target.rpartition(".")[2], __config__=config, **fields)


def defaults_of(target: str) -> dict[str, Any]:
    """Constructor defaults of a component, for ``auto`` choices that no yaml spells out."""
    fields = signature_model(target).model_fields
    return {name: field.default for name, field in fields.items() if not field.is_required()}
