import numpy as np

from gnnformd.evaluation.liquid.thermo_table import ThermoSeries


def write(path, rows) -> None:
    header = "step,time_fs,temperature_K,potential_energy,total_energy,conserved_energy\n"
    path.write_text(header + "".join(",".join(map(str, row)) + "\n" for row in rows))


def test_a_long_series_is_thinned_and_keeps_its_ends(tmp_path):
    write(tmp_path / "t.csv", [(10 * k, 5 * k, k, 2 * k, 3 * k, 0) for k in range(4001)])
    series = ThermoSeries.read(tmp_path / "t.csv").downsampled(500)
    assert len(series["step"]) == 500
    assert (series["step"][0], series["step"][-1]) == (0, 40000)
    assert series["temperature"] == [step / 10 for step in series["step"]]
    assert np.allclose(series["total_energy"], np.array(series["step"]) * 0.3)


def test_a_last_line_that_is_cut_off_is_left_out_and_an_empty_cell_is_no_number(tmp_path):
    write(tmp_path / "t.csv", [(0, 0, 300, "", 1, 2)])
    with (tmp_path / "t.csv").open("a") as file:
        file.write("10,5,30")
    columns = ThermoSeries.read(tmp_path / "t.csv").columns
    assert columns["step"].tolist() == [0]
    assert np.isnan(columns["potential_energy"]).all()
