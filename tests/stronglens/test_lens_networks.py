"""Networks do not notice turns of the image, before training and after; their sizes are the published ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ring_images import ring_images

from lensdask.errors import InputError
from lensdask.stronglens import simulate
from lensdask.stronglens.nets.architectures import ARCHITECTURES, BASES, build_network, network_outputs
from lensdask.stronglens.nets.inputs import standardised
from lensdask.training import describe_network, network_of_config

IMAGES = ring_images(12)
EQUIVARIANT = ("lens-net", "c8", "harmonic")


def network(name, base="small", seed=0, **settings):
    torch.manual_seed(seed)
    return network_of_config(replace(BASES[name][base], **settings), ARCHITECTURES)


def count(model):
    return sum(p.numel() for p in model.parameters())


def settled(model, images=IMAGES):
    """Return a network whose batch normalisation knows the images, ready to be used."""
    model.train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = 0.7
    with torch.no_grad():
        for _ in range(5):
            model(images)
    return model.eval()


def trained(name, images, steps, seed=0):
    """Return a network after some steps; after none its batch normalisation has seen the images, but nothing else."""
    model = network(name, seed=seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), torch.arange(len(images)) % 3).backward()
        optimizer.step()
    return settled(model, images)


def spread(values):
    return values.sub(values.mean(0)).square().mean().sqrt()


@pytest.fixture(scope="module")
def turned_lenses():
    """Return noiseless images of lenses, and of the same lenses simulated again, turned by 45 degrees."""
    made = (simulate(images=12, signal="as-coded", noise=False, seed=3, angle=angle) for angle in (0, 45))
    return [torch.from_numpy(lenses["image"].values)[:, None] for lenses in made]


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("name", EQUIVARIANT)
@pytest.mark.parametrize("seed", range(3))
def test_turns_are_not_noticed(turned_lenses, name, steps, seed):
    images, turned = turned_lenses
    model = trained(name, images, steps, seed)
    with torch.no_grad():
        plain = model(images)
        quarter = model(torch.rot90(images, 1 + seed, (-1, -2)))
        assert (quarter - plain).abs().max() < 1e-5 * spread(plain)
        if name != "lens-net" or steps:
            # By 45 degrees filters and pooling are approximate, and so are images of so few pixels.
            assert (model(turned) - plain).square().mean().sqrt() < 0.2 * spread(plain)


def test_lens_net_does_not_notice_mirrors():
    model = trained("lens-net", IMAGES, 0)
    with torch.no_grad():
        plain = model(IMAGES)
        assert (model(IMAGES.flip(-1)) - plain).abs().max() < 3e-5 * spread(plain)


def test_mirrors_of_the_steerable_network():
    torch.manual_seed(0)
    model = settled(network("c8", turns=4, mirrors=True, fields=(2, 2), kernels=(5, 3), pooled=(0,)))
    with torch.no_grad():
        plain = model(IMAGES)
        assert (model(IMAGES.flip(-1)) - plain).abs().max() < 1e-5 * spread(plain)


def test_the_transformer_without_poses_does_not_notice_turns():
    model = settled(network("et", poses=()))
    with torch.no_grad():
        plain = model(IMAGES)
        assert (model(torch.rot90(IMAGES, 1, (-1, -2))) - plain).abs().max() < 1e-4 * spread(plain)


def test_published_sizes():
    assert count(network("resnet50", "paper", maps=3, outputs=1000)) == 25_557_032
    assert count(network("resnet50", "paper")) == 25_557_032 - 2 * 64 * 49 - 997 * 2049


@pytest.mark.parametrize(
    ("name", "number"),
    [("lens-net", 55_115), ("resnet50", 2_796_515), ("c8", 33_135), ("harmonic", 15_163), ("et", 34_567)],
)
def test_small_networks_are_of_the_size_that_recipes_say(name, number):
    assert count(network(name)) == number


@pytest.mark.parametrize("name", BASES)
def test_cards_describe_networks(name):
    model = network(name, outputs=2)
    built = build_network(describe_network(model.config, ARCHITECTURES))
    assert built.config == model.config
    built.load_state_dict(model.state_dict())


@pytest.mark.parametrize("name", BASES)
def test_every_weight_learns(name):
    model = network(name).train()
    if name == "et":
        # Poses start at none, with scores that nothing before them changes.
        for predictor in model.poses.predictors:
            torch.nn.init.normal_(predictor.score.weight)
    torch.nn.functional.cross_entropy(model(IMAGES[:6]), torch.arange(6) % 3).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_lens_has_the_same_outputs_in_any_batch():
    model, images = network("lens-net"), IMAGES.numpy()
    whole = network_outputs(model, images, batch=4)
    np.testing.assert_array_equal(network_outputs(model, images[5:6], batch=4), whole[5:6])
    assert model.training


def test_inputs_are_in_units_of_the_noise():
    random = torch.Generator().manual_seed(0)
    noise = 3 * torch.randn(2, 1, 64, 64, generator=random) + 7
    seen = standardised(noise, 2).sinh()
    assert abs(seen.std() - 1) < 0.05
    torch.testing.assert_close(standardised(5 * noise - 2, 2), standardised(noise, 2), atol=1e-4, rtol=1e-4)
    assert torch.equal(standardised(noise.rot90(1, (-1, -2)), 2), standardised(noise, 2).rot90(1, (-1, -2)))
    assert not standardised(torch.ones(1, 1, 4, 4), 2).any()
    noise[0] *= 100
    torch.testing.assert_close(standardised(noise, 2)[1], standardised(noise[1:], 2)[0])


@pytest.mark.parametrize("shape", [(2, 64, 64), (2, 1, 64, 32), (2, 1, 60, 60), (2, 1, 63, 63)])
def test_images_that_are_refused(shape):
    with pytest.raises(InputError, match=r"images: shape .* a multiple of 8 pixels"):
        network("c8")(torch.zeros(shape))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("c8", {"kernels": (5,)}),
        ("c8", {"kernels": (4, 5, 5, 5, 5)}),
        ("c8", {"turns": 0}),
        ("c8", {"pooled": (9,)}),
        ("harmonic", {"kernel": 2}),
        ("harmonic", {"pooled": (9,)}),
        ("et", {"angles": 40}),
        ("et", {"poses": ("twist",)}),
        ("et", {"inner": 2.0}),
        ("lens-net", {"angles": 40}),
        ("lens-net", {"dropout": 1.0}),
        ("resnet50", {"blocks": (2, 0)}),
    ],
)
def test_what_is_no_network_is_refused(name, settings):
    with pytest.raises(InputError, match="expected"):
        network(name, **settings)
