"""The ``lensdask`` command."""

from lensdask.cli import general
from lensdask.cli.lss import lss
from lensdask.cli.massmap import massmap
from lensdask.cli.root import app
from lensdask.cli.shear import shear
from lensdask.cli.stronglens import stronglens

__all__ = ["app", "general", "main"]

app.add_typer(shear, name="shear")
app.add_typer(massmap, name="massmap")
app.add_typer(lss, name="lss")
app.add_typer(stronglens, name="stronglens")


def main() -> None:
    """Run the command."""
    app()
