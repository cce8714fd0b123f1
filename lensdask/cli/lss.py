"""``lensdask lss``: from tiles of sky to cosmological constraints."""

import typer

from lensdask.cli.lss_infer import infer

__all__ = ["lss"]

lss = typer.Typer(no_args_is_help=True, help="Large-scale structure: infer.")
"""The commands of the large-scale structure pillar."""

lss.command()(infer)


@lss.callback()
def _commands() -> None:
    """Large-scale structure: from maps of lensing and clustering to cosmological constraints."""
