"""What the ``train`` commands of all pillars share: their options, and the body."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensdask.cli.options import Device, Overwrite
from lensdask.errors import InputError

if TYPE_CHECKING:
    from lensdask.training import Trained

__all__ = ["Config", "Model", "Training", "train_and_report"]

Config = Annotated[
    str, typer.Option(metavar="NAME|FILE.toml", help="Recipe: one that comes with lensdask, or a TOML file.")
]
"""How the network is trained."""

Model = Annotated[Path, typer.Argument(help="File of the weights to write, *.safetensors.")]
"""What is written."""


@dataclass(frozen=True)
class Training:
    """Options of all commands that train a network."""

    start: Annotated[Path | None, typer.Option(help="Weights to start from, of the same network.")] = None
    epochs: Annotated[int | None, typer.Option(help="Maximum number of passes over the training set.")] = None
    seed: Annotated[int | None, typer.Option(help="Seed of weights, simulations and noise.")] = None
    device: Device = "auto"
    resume: Annotated[bool, typer.Option(help="Continue an interrupted training.")] = False
    overwrite: Overwrite = False


def train_and_report(
    train: "Callable[..., Trained]",
    model: Path,
    recipe: Any,
    options: Training,
    *,
    begins_with: str,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a network, show the progress, and print what the card of its weights says.

    Parameters
    ----------
    train
        The pillar's function, called as ``train(model, recipe, start=..., on_epoch=..., ...)``.
    model
        File of the weights.
    recipe
        Recipe of the pillar.
    options
        What the command line says.
    begins_with
        What is done before the first epoch.
    as_json
        Whether to print the whole card as JSON.
    **settings
        Settings of the recipe that the command line replaces; those that are None it does not.
    """
    from lensdask.cli.terminal import epochs_shown

    if options.resume and options.overwrite:
        raise InputError("--resume and --overwrite: expected one of them")
    loop = recipe.training if options.epochs is None else replace(recipe.training, epochs=options.epochs)
    given = {name: value for name, value in {"seed": options.seed, **settings}.items() if value is not None}
    recipe = replace(recipe, training=loop, **given)
    with epochs_shown(loop.epochs, begins_with) as on_epoch:
        card = train(
            model,
            recipe,
            start=options.start,
            device=options.device,
            resume=options.resume,
            overwrite=options.overwrite,
            on_epoch=on_epoch,
        ).card
    if as_json:
        print(json.dumps(card, indent=2))
    else:
        print(f"{model}: {card['parameters']} parameters, {card['epochs_done']} epochs, {card['wall_s']} s")
