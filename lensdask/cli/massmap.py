"""``lensdask massmap``: simulate, bin, train, reconstruct, evaluate."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lensdask.cli.options import (
    AsJson,
    Fields,
    MassMethod,
    OnProcessors,
    Overwrite,
    Running,
    Seed,
    SkyAndSurvey,
    with_groups,
)
from lensdask.cli.root import check_place, finish, in_flags, report_store, unmeasured
from lensdask.cli.training import Config, Model, Training, train_and_report

__all__ = ["massmap"]

massmap = typer.Typer(no_args_is_help=True, help="Mass maps: simulate, bin, train, reconstruct, evaluate.")
"""The commands of the mass map pillar."""

ShearMapStore = Annotated[Path, typer.Argument(metavar="MAPS", help="Store of shear maps.")]
"""What is reconstructed."""


@massmap.command()
@with_groups
def simulate(
    maps: Annotated[Path, typer.Argument(metavar="MAPS", help="Store of shear maps to write.")],
    *,
    fields: Fields,
    simulation: SkyAndSurvey,
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Simulate convergence fields and the noisy shear of their galaxies."""
    from lensdask.massmap.runs import simulate_run

    options = running.options
    result = simulate_run(maps, fields=fields, sky=simulation.sky, survey=simulation.survey, seed=seed, options=options)
    report_store(maps, result, "fields", as_json)


@massmap.command("bin")
def bin_(
    catalogue: Annotated[Path, typer.Argument(help="Table of galaxies: FITS, LDAC, Parquet, HDF5, ECSV or CSV.")],
    maps: Annotated[Path, typer.Argument(metavar="MAPS", help="Store of shear maps to write.")],
    pixel_scale: Annotated[float, typer.Option(help="Pixel scale, arcmin; the shipped networks need 0.82.")] = 0.41,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Column names, in this order; weight and measurement error are optional. Default: those of --survey, "
            "or ra,dec,g1,g2,weight."
        ),
    ] = None,
    survey: Annotated[
        str | None,
        typer.Option(help="Columns and signs of kids, des-y3, hsc-y3, cosmos or metadetect; columns of anacal."),
    ] = None,
    flat: Annotated[bool, typer.Option(help="Positions are x and y in arcmin, not RA and Dec in degrees.")] = False,
    flip_g1: Annotated[
        bool | None, typer.Option(help="Flip the sign of g1, or not whatever the survey. Default: as --survey has it.")
    ] = None,
    flip_g2: Annotated[
        bool | None, typer.Option(help="Flip the sign of g2, for catalogues whose x grows with RA, or not.")
    ] = None,
    response: Annotated[
        float | None, typer.Option(help="Mean response of the ellipticities, by which they are divided.")
    ] = None,
    sigma_e: Annotated[
        float | None, typer.Option(help="Ellipticity dispersion per component. Default: measured from the catalogue.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Source redshifts, for the Wiener filter: lsst or cosmos, for example.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="Y,X", help="Pixels of a field or tile. Default: one field around all galaxies."),
    ] = None,
    centre: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y",
            help="Field centre, in the units of the positions. Default: of mask or galaxies.",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="FITS or .npy mask centred on --centre: 1 inside the survey, 0 outside."),
    ] = None,
    drop_outside: Annotated[
        bool, typer.Option(help="Drop galaxies outside the field or mask instead of stopping.")
    ] = False,
    tiles: Annotated[
        bool, typer.Option(help="Cover a wide catalogue with fields of --shape, each projected about its own centre.")
    ] = False,
    drop_bad: Annotated[
        bool, typer.Option(help="Drop galaxies with values that are not finite instead of stopping.")
    ] = False,
    hdu: Annotated[
        str | None,
        typer.Option(
            help="Table of the file: number or name of an extension, path in HDF5. Default: the first with the columns."
        ),
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Minimum overlap of neighbouring tiles, arcmin; trim half from each edge.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Bin a shear catalogue into the pixels of one field, or of tiles that cover the sky."""
    from lensdask.cli.binning import Grid, bin_table, check_hdu, used_galaxies
    from lensdask.cli.terminal import counted
    from lensdask.data import write
    from lensdask.data.tables import ShearCatalogue
    from lensdask.massmap.signs import check_signs
    from lensdask.sky.sources import find_source

    if source is not None:
        find_source(source)
    check_place(maps, overwrite)
    check_hdu(catalogue, hdu)
    galaxies = ShearCatalogue(
        catalogue,
        None if columns is None else [name.strip() for name in columns.split(",")],
        survey=survey,
        flip_g1=flip_g1,
        flip_g2=flip_g2,
        response=response,
        sky=not flat,
        hdu=int(hdu) if hdu and hdu.isdecimal() else hdu,
        drop_bad=drop_bad,
        warn=_tell,
    )
    grid = Grid(pixel_scale, not flat, shape, centre, mask, drop_outside, tiles, overlap)
    dataset = bin_table(galaxies, grid, sigma_e=sigma_e, source=source, warn=_tell)
    write(dataset, maps, overwrite=overwrite)
    check_signs(dataset, warn=_tell)
    facts = {
        "store": str(maps),
        "fields": dataset.sizes["field"],
        "galaxies": used_galaxies(galaxies, dataset, grid),
        "pixels": [dataset.sizes["y"], dataset.sizes["x"]],
        **{name: dataset.attrs[name] for name in ("pixel_scale", "density", "sigma_e", "source")},
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    size = "{} x {} pixels of {:g} arcmin".format(*facts["pixels"], facts["pixel_scale"])
    fields = f"{counted(facts['fields'], 'fields')}, " * tiles
    print(f"{maps}: {fields}{facts['galaxies']} galaxies, {size}, {facts['density']:.1f} galaxies per arcmin²")


def _tell(line: str) -> None:
    print(f"lensdask: {in_flags(line, {'flip_g1', 'flip_g2'})}", file=sys.stderr)


@massmap.command()
@with_groups
def reconstruct(
    maps: ShearMapStore,
    mass: Annotated[Path, typer.Argument(metavar="MASS", help="Store of mass maps to write.")],
    *,
    method: MassMethod = "wiener",
    b_mode: Annotated[bool, typer.Option(help="Also map the B mode, a null test.")] = False,
    noise_realisations: Annotated[
        int,
        typer.Option(
            "--noise-realisations",
            "--significance",
            help="Also map the significance, S/N, from this many random rotations of the shear; of aperture, whose "
            "noise is known without them, from none, whatever the number.",
        ),
    ] = 0,
    n_eff: Annotated[bool, typer.Option(help="Also map the effective number density, galaxies per arcmin².")] = False,
    symmetrised: Annotated[
        bool, typer.Option(help="Average over the eight rotations and reflections of the field; eight times slower.")
    ] = False,
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Reconstruct the convergence of shear maps."""
    from lensdask.massmap.products import Products
    from lensdask.massmap.runs import reconstruct_run

    result = reconstruct_run(
        maps,
        mass,
        method=method,
        products=Products(b_mode, noise_realisations, n_eff),
        symmetrised=symmetrised,
        seed=seed,
        options=running.options,
        warn=_tell,
    )
    report_store(mass, result, "fields", as_json)


@massmap.command()
@with_groups
def evaluate(
    mass: Annotated[
        list[Path],
        typer.Argument(
            metavar="MASS...", help="Stores of mass maps of the same fields; all are compared with the first."
        ),
    ],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Directory of the results.")],
    *,
    truth: Annotated[Path, typer.Option(metavar="MAPS", help="Store of shear maps with the true convergence.")],
    smoothing: Annotated[float, typer.Option(help="Gaussian sigma of the smoothed statistics, arcmin.")] = 1.0,
    running: OnProcessors,
    as_json: AsJson = False,
) -> None:
    """Compare mass maps with the truth: errors, slopes, power."""
    from lensdask.cli.terminal import print_evaluation
    from lensdask.massmap.evaluation import evaluate as evaluated

    result = evaluated(out_dir, mass, truth=truth, smoothing=smoothing, options=running.options)
    pictures = _draw(result, out_dir, mass, truth)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_evaluation(result)
        print(f"pictures: {', '.join(map(str, pictures))}")
    finish(result["run"]["quarantined"], unmeasured(result["rows"]))


def _draw(result: dict[str, Any], out_dir: Path, mass: list[Path], truth: Path) -> tuple[Path, ...]:
    """Draw the first field by every method, and the power of the maps over the true one."""
    import numpy as np

    from lensdask.data import open as open_store
    from lensdask.plots.massmap import Curve, plot_maps, plot_power

    series = list(dict.fromkeys(row["series"] for row in result["rows"]))
    if not series:
        return ()
    known = open_store(truth).isel(field=0)
    found = {name: open_store(path)["kappa"][0].values for name, path in zip(series, mass, strict=True)}
    pictures = out_dir / "evaluation.png", out_dir / "power.png"
    maps = {"truth": known["kappa"].values} | found
    plot_maps(maps, pictures[0], pixel_scale=known.attrs["pixel_scale"], mask=known["mask"].values)
    curves = {}
    for name in series:
        rows = [row for row in result["rows"] if row["series"] == name and row["quantity"].startswith("power ratio")]
        x, y, e = np.array([[row["x"], row["measured"], row["error"]] for row in rows], dtype=np.float64).T
        curves[name] = Curve(x, y, y - e, y + e)
    plot_power(curves, pictures[1])
    return pictures


@massmap.command()
@with_groups
def train(
    model: Model,
    *,
    config: Config = "massmap-cha",
    maps: Annotated[
        Path | None, typer.Option(help="Store of shear maps to learn from; fields simulated on the way without it.")
    ] = None,
    fields: Annotated[int | None, typer.Option(help="Simulated fields per epoch.")] = None,
    training: Training,
    as_json: AsJson = False,
) -> None:
    """Train a network on simulated fields, or on those of a store."""
    from functools import partial

    from lensdask.massmap import read_recipe
    from lensdask.massmap import train as train_network

    train_and_report(
        partial(train_network, maps=maps),
        model,
        read_recipe(config),
        training,
        begins_with="simulating fields",
        as_json=as_json,
        fields=fields,
    )
