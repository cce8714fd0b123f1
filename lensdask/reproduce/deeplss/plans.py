"""How large a study of DeepLSS is, by its size."""

from dataclasses import dataclass, field, replace
from functools import cache

from lensdask.lss.inference.chains import ChainSettings
from lensdask.lss.inference.ensemble import EnsembleSettings
from lensdask.lss.networks.hybrid import HybridConfig
from lensdask.lss.networks.power import PowerConfig
from lensdask.lss.networks.recipe import Recipe, read_recipe
from lensdask.lss.simulation import SkyKind

__all__ = ["Plan", "plan_of"]


@dataclass(frozen=True)
class Plan:
    """Numbers of simulations, and recipes."""

    network: Recipe
    """Of the compressor that sees the maps; a hybrid goes on from that of signed spectra."""
    spectra: Recipe
    """Of those of spectra alone, which all see the same mosaics; a hybrid sees the first of them again."""
    cosmologies: int
    """Of the grid."""
    seeds: int
    """Simulations of each."""
    tiles: int
    """Tiles of a simulation."""
    calibration: int
    """Cosmologies of mocks at parameters drawn from the prior."""
    fiducial_tiles: int
    """Tiles of a simulation of the fiducial cosmology."""
    samples: int
    """Summaries that the likelihood is learned from."""
    mocks: int
    """Mocks drawn from the prior."""
    fiducial_mocks: int
    """Mocks at the fiducial parameters."""
    sky: SkyKind = "lognormal"
    """What makes the maps."""
    epochs: int | None = None
    """Of the likelihood; its own number when none."""
    chain: ChainSettings = field(default_factory=ChainSettings)
    """Of the observation."""
    ensemble: EnsembleSettings = field(default_factory=EnsembleSettings)
    """Of mocks."""

    @property
    def network_name(self) -> str:
        """What the network of maps is called in pictures."""
        return "hybrid" if "spectra" in self.network.network.inputs else "CNN"


def _of_side(recipe: Recipe, side: int, epochs: int) -> Recipe:
    training = replace(recipe.training, epochs=epochs)
    return replace(recipe, model=replace(recipe.model, side=side), training=training)


def _several_times(recipe: Recipe, mosaics: int, passes: int) -> Recipe:
    """Return the recipe of a network of spectra that sees so many mosaics several times: it has them in memory."""
    training = replace(recipe.training, epochs=passes, validate_every=-(-mosaics // recipe.training.batch))
    return replace(recipe, mosaics=mosaics, fresh=False, training=training)


def _tiny() -> Plan:
    network = replace(_of_side(read_recipe("lss-tiny"), 1, 1), network=HybridConfig(width=16, channels=2))
    spectra = _several_times(replace(network, network=PowerConfig(width=16, scaling="correlations")), 64, 2)
    # Chains shorter than any use has for them. Fourteen cosmologies have the hull of the whole grid.
    chain, ensemble = ChainSettings(20, 500, 1.0, 250), EnsembleSettings(20, 20, 50)
    return Plan(network, spectra, 14, 4, 2, 4, 2, 1000, 20, 20, epochs=1, chain=chain, ensemble=ensemble)


def _small() -> Plan:
    network = _of_side(read_recipe("lss-hybrid"), 2, 4)
    # It goes on from what is trained already.
    network = replace(network, training=replace(network.training, learning_rate=2e-4))
    # Beyond four times, what it learns of these mosaics no longer holds for others.
    spectra = _several_times(_of_side(read_recipe("lss-power"), 2, 1), 65_536, 4)
    return Plan(network, spectra, 57, 6, 32, 128, 200, 16_000, 250, 64)


def _paper() -> Plan:
    network, spectra = read_recipe("lss-cnn-paper"), read_recipe("lss-power-paper")
    return Plan(network, spectra, 57, 24, 200, 128, 1000, 7_615_200, 1000, 200, sky="nbody")


@cache
def plan_of(size: str) -> Plan:
    """Return the plan of a size: "tiny", "small" or "paper"."""
    return {"tiny": _tiny, "small": _small, "paper": _paper}[size]()
