"""Make the tables of ``lensdask/sky/tables``: convergence power and mass function. Needs the extra ``theory``."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyccl

from lensdask.sky.cosmology import MASSIVENUS
from lensdask.sky.power import compute_convergence_power, pyccl_cosmology
from lensdask.sky.sources import SOURCES

TABLES = Path(__file__).parents[1] / "lensdask" / "sky" / "tables"

DESCRIPTION = {
    "zs1.0": "all galaxies at redshift 1.0",
    "zs1.5": "all galaxies at redshift 1.5",
    "zs2.5": "all galaxies at redshift 2.5",
    "lsst": "n(z) ~ z^2 exp(-(z / 0.11)^0.68), the year-10 source sample of the LSST DESC requirements (2018)",
    "cosmos": "n(z) ~ z^2 exp(-(z / 0.85)^1.5), of median 1.2",
}


def card(quantity: str, method: str) -> dict[str, object]:
    """Return what every table says of itself."""
    return {
        "quantity": quantity,
        "method": method,
        "cosmology": asdict(MASSIVENUS),
        "versions": {"pyccl": pyccl.__version__},
        "made_by": "docs/sky_tables.py",
    }


def rounded(values: np.ndarray, digits: int) -> list[float]:
    """Return numbers with so many significant digits, so that a table stays small."""
    return [float(f"{value:.{digits}g}") for value in values.ravel()]


def write(name: str, table: dict[str, object]) -> None:
    """Write a table as JSON, its numbers on one line."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in table.items())
    (TABLES / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")


def power_tables() -> None:
    """Write the power of the convergence for each distribution of sources."""
    for name, source in SOURCES.items():
        result = compute_convergence_power(source.redshift, source.share)
        about = card(
            "C(ell) of the convergence, steradian", "halofit (Takahashi et al. 2012) of CAMB's linear power; Limber"
        )
        write(
            f"power_{name}",
            {
                "card": about | {"source": DESCRIPTION[name]},
                "ell": rounded(result.ell, 8),
                "power": rounded(result.power, 6),
            },
        )


def mass_function_table() -> None:
    """Write the mass function of haloes."""
    redshift, log_mass = np.arange(0.0, 4.01, 0.1), np.arange(11.0, 16.01, 0.1)
    universe = pyccl_cosmology(MASSIVENUS)
    function = pyccl.halos.MassFuncTinker08(mass_def="200m")
    density = [np.log10(function(universe, 10.0**log_mass, 1 / (1 + z))) for z in redshift]
    about = card("log10 of haloes per comoving Mpc^3 and decade of M200m", "mass function of Tinker et al. (2008)")
    table = {"card": about, "redshift": rounded(redshift, 4), "log10_mass": rounded(log_mass, 4)}
    write("mass_function", table | {"log10_density": [rounded(row, 6) for row in density]})


if __name__ == "__main__":
    TABLES.mkdir(exist_ok=True)
    power_tables()
    mass_function_table()
