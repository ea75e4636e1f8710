"""Hydra composes a command line, and every way to misspell it gets an answer that helps.

Works inside ``initialize_config_dir``. What the values mean is checked by ``musicrag.schema``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from musicrag.types import InputError, nearest

_EXTRA_OF_PLUGIN = {"joblib": "cluster", "submitit_slurm": "cluster", "submitit_local": "cluster"}


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Read ``key=value`` words.

    Raises:
        InputError: one of them cannot be read.
    """
    parser = OverridesParser.create(config_loader=_loader())
    try:
        parsed: list[Override] = parser.parse_overrides(list(overrides))
    except HydraException as error:
        reason = str(error).split("\nSee ")[0].replace("\n", ": ")
        raise InputError(
            f"Cannot read the command line: {reason}. Write group=option or key=value."
        ) from error
    return parsed


def compose_checked(overrides: Sequence[str]) -> DictConfig:
    """Compose one configuration, Hydra's own section included.

    Raises:
        InputError: a group, an option or a key does not exist; names the nearest spelling.
    """
    try:
        return _compose(overrides)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        _diagnose(parse_overrides(overrides))
        raise InputError(_explain(error)) from error


def _compose(overrides: Sequence[str]) -> DictConfig:
    return compose("config", overrides=list(overrides), return_hydra_config=True)


def _diagnose(overrides: Sequence[Override]) -> None:
    """Find the override that Hydra stumbled over; groups first, for they decide on the keys."""
    defaults = _compose([]).hydra.runtime.choices
    choices = [override for override in overrides if _options(override.key_or_group)]
    for choice in choices:
        _check_choice(choice, choice.key_or_group in defaults)
    try:
        chosen = _compose([str(choice.input_line) for choice in choices])
    except (HydraException, OmegaConfBaseException, ValueError):
        return
    keys = _dotted(OmegaConf.to_container(chosen, resolve=False), "")
    for override in overrides:
        if override not in choices and not override.is_add():
            _check_key(override, keys, [*defaults, *_groups()])


def _check_choice(choice: Override, has_default: bool) -> None:
    """One ``group=option``: the option exists, and the plus stands where it must."""
    group, option = choice.key_or_group, choice.value()
    if choice.is_delete():
        return
    options = _options(group)
    for name in option if isinstance(option, list) else [option]:
        if name not in options:
            hint = nearest(str(name), options)
            raise InputError(
                f"{choice.input_line}: no such option.{hint} Allowed: {', '.join(options)}."
            )
    if not has_default and not choice.is_add():
        raise InputError(
            f"{group}={option}: no {group} is chosen by default, so it is added with a plus: "
            f"+{group}={option}"
        )
    if has_default and choice.is_add() and not choice.is_force_add():
        raise InputError(
            f"+{group}={option}: one {group} is chosen by default, so it is replaced without a "
            f"plus: {group}={option}"
        )


def _check_key(override: Override, keys: Sequence[str], groups: Sequence[str]) -> None:
    key = override.key_or_group
    if key in keys:
        return
    section = key.rpartition(".")[0]
    near = {name for name in keys if name.rpartition(".")[0] == section}
    if not section:
        near |= set(groups)
    if not key.startswith("hydra"):
        near = {name for name in near if not name.startswith("hydra")}
    hint = nearest(key, near) or nearest(key, keys)
    allowed = ", ".join(sorted(near))
    raise InputError(f"{override.input_line}: unknown key {key!r}.{hint} Allowed here: {allowed}.")


def _explain(error: Exception) -> str:
    """What Hydra said, on one line; a plugin that is not installed is named with its extra."""
    missing = re.search(r"Could not find 'hydra/launcher/(\w+)'", str(error))
    if missing and missing[1] in _EXTRA_OF_PLUGIN:
        return (
            f"The Hydra plugin for the launcher {missing[1]!r} is not installed. "
            f"Run `pip install 'musicrag[{_EXTRA_OF_PLUGIN[missing[1]]}]'`, or choose "
            f"launcher=basic."
        )
    text = str(error).split("Config search path:")[0]
    return re.sub(r"\s+", " ", text).strip()


def _loader() -> ConfigLoaderImpl:
    loader: ConfigLoaderImpl = GlobalHydra.instance().config_loader()  # type: ignore[assignment]
    return loader


def _options(group: str) -> list[str]:
    """Options of a config group, or an empty list where there is no such group."""
    found = _loader().get_group_options(group, ObjectType.CONFIG)
    return [option for option in found if not option.startswith("_")]


def _groups() -> list[str]:
    found: list[str] = _loader().get_group_options("", ObjectType.GROUP)
    return [group for group in found if group != "hydra"]


def _dotted(node: Any, prefix: str) -> list[str]:
    """Dotted keys of all values and sections."""
    if not isinstance(node, dict):
        return []
    found = []
    for key, value in node.items():
        found += [f"{prefix}{key}", *_dotted(value, f"{prefix}{key}.")]
    return found
