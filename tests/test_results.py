"""Finding one's way in the folder of a result."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import freud
from freud import FreudError, UnknownNameError
from freud.editing import bundled_sae
from freud.results import Layout, open_index, open_sae

RESIDUAL, NEURONS = "encoder.blocks.0", "encoder.blocks.0.mlp.1"


def test_the_layout_is_that_of_what_discover_wrote(result: Path):
    layout = Layout(result)
    assert layout.list_indexes() == {
        (RESIDUAL, "latents"): layout.index(RESIDUAL, "latents"),
        (RESIDUAL, "neurons"): layout.index(RESIDUAL, "neurons"),
        (NEURONS, "neurons"): layout.index(NEURONS, "neurons"),
    }
    assert layout.list_saes() == {RESIDUAL: layout.sae(RESIDUAL)}
    for folder, kind in (
        (layout.corpus, "corpus"),
        (layout.activations, "collect"),
        (layout.sae(RESIDUAL), "train"),
        (layout.index(NEURONS, "neurons"), "index"),
    ):
        assert freud.artifacts.read(folder, kind).path == folder


def test_the_layout_of_a_single_index_has_nothing_in_it(result: Path):
    layout = Layout(Layout(result).index(NEURONS, "neurons"))
    assert not layout.has_indexes
    assert not layout.has_saes
    assert layout.list_indexes() == layout.list_saes() == {}


def test_names_may_be_elsewhere(result: Path, tmp_path: Path):
    assert Layout(result).names(NEURONS, "neurons").parents[2] == result
    elsewhere = Layout(result, tmp_path)
    assert elsewhere.names(NEURONS, "neurons") == tmp_path / NEURONS / "neurons"
    assert elsewhere.sound == tmp_path / "sound"


def test_open_index_chooses_latents_where_there_are_any(result: Path):
    assert open_index(result, RESIDUAL).basis == "latents"
    assert open_index(result, RESIDUAL, "neurons").basis == "neurons"
    assert open_index(str(result), NEURONS).basis == "neurons"
    assert open_index(result / "features" / NEURONS / "neurons").site == NEURONS
    assert open_index(result / "features" / NEURONS / "neurons", NEURONS, "neurons").site == NEURONS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None), rf"give a site; it has {RESIDUAL}, {NEURONS}$"),
        (("encoder.blocks.9", None), rf"no site 'encoder\.blocks\.9'; it has {RESIDUAL}, {NEURONS}$"),
        ((NEURONS, "latents"), rf"{NEURONS} has no latents; it has neurons$"),
    ],
)
def test_open_index_says_what_there_is(result: Path, arguments: tuple, message: str):
    with pytest.raises(UnknownNameError, match=message):
        open_index(result, *arguments)


def test_open_index_of_one_index_checks_what_is_asked(result: Path):
    folder = result / "features" / NEURONS / "neurons"
    for arguments in ((RESIDUAL, None), (None, "latents")):
        with pytest.raises(UnknownNameError, match=rf"is an index of the neurons of {NEURONS}"):
            open_index(folder, *arguments)


def test_a_site_need_not_be_given_where_there_is_one(result: Path, tmp_path: Path):
    shutil.copytree(result / "features" / NEURONS, tmp_path / "features" / NEURONS)
    assert open_index(tmp_path).site == NEURONS


def test_open_index_of_what_is_none(result: Path, tmp_path: Path):
    with pytest.raises(FreudError, match="no such folder; expected one written by `freud discover`"):
        open_index(tmp_path / "absent")
    with pytest.raises(FreudError, match=r"has no manifest\.json; expected a folder written by `freud index`"):
        open_index(tmp_path)
    with pytest.raises(FreudError, match="was written by `freud collect`; expected one written by `freud index`"):
        open_index(result / "activations")
    (tmp_path / "features").mkdir()
    with pytest.raises(FreudError, match="no index in it is finished"):
        open_index(tmp_path)


def test_where_saes_come_from(result: Path, tmp_path: Path):
    assert open_sae("bundled").metadata["site"] == "encoder.blocks.2" == open_sae(bundled_sae()).metadata["site"]
    assert open_sae(result).metadata["site"] == RESIDUAL
    with pytest.raises(UnknownNameError, match=r"no SAE of 'encoder\.blocks\.1'; it has those of encoder\.blocks\.0"):
        open_sae(result, "encoder.blocks.1")
    with pytest.raises(FreudError):
        open_sae(tmp_path)
