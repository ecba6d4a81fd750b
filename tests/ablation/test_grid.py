"""The grid: parallel or not, killed or not, the same cells."""

import numpy as np
import pytest
from ablation_sample import silent, small_params

from zerostart.ablation import grid as ablation_grid
from zerostart.ablation.cells import Cell
from zerostart.ablation.grid import all_cells, digest, read_cell, run_grid


def grid_params(**changes):
    epochs = small_params().experiment.epochs.model_copy(update={"warmup": 2, "head": 1})
    few = {"arms": ["text_descriptive", "shuffled", "no_text"], "fraction_arms": ["no_text"], "fractions": [0.5]}
    return small_params(epochs=epochs).model_copy(update=few | changes)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_processes_and_batches_do_not_change_the_result(tmp_path):
    given = silent()
    folders = [tmp_path / name for name in ("one", "two", "together")]
    for folder, changes in zip(folders, ({}, {"jobs": 2}, {"arms_at_once": 2}), strict=True):
        folder.mkdir()
        run_grid(given, grid_params(**changes), folder)
    one, two, together = map(files, folders)
    assert sorted(one) == ["no_text@0.5.npz", "no_text@1.npz", "shuffled@1.npz", "text_descriptive@1.npz"]
    assert one == two
    assert together["no_text@1.npz"] == one["no_text@1.npz"]
    for arm in ("shuffled", "text_descriptive"):  # another shape of the matrix products: equal up to rounding
        for name, values in read_cell(folders[0], Cell(arm, 1.0)).items():
            np.testing.assert_allclose(read_cell(folders[2], Cell(arm, 1.0))[name], values, atol=1e-3)


def test_a_killed_grid_repeats_no_finished_arm(tmp_path, monkeypatch):
    given, params = silent(), grid_params()
    ran = []

    def killed_at_the_third(cells, *rest, run=ablation_grid.run_cells):
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.extend(cells)
        return run(cells, *rest)

    monkeypatch.setattr(ablation_grid, "run_cells", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_grid(given, params, tmp_path)
    assert len(files(tmp_path)) == 2
    finished = ran.copy()
    ran.clear()
    run_grid(given, params, tmp_path)
    assert set(ran) == set(all_cells(params)) - set(finished)
    assert len(files(tmp_path)) == len(all_cells(params)) == 4


def test_the_digest_follows_inputs_and_parameters_but_not_the_number_of_processes(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"1")
    first = digest(tmp_path, grid_params())
    assert digest(tmp_path, grid_params(jobs=7)) == first
    assert digest(tmp_path, grid_params(seeds=7)) != first
    (tmp_path / "a.npy").write_bytes(b"2")
    assert digest(tmp_path, grid_params()) != first
