"""The table of installs takes a row for each, and forgets the older of two."""

from tests.vm.table import Row, note, read

ROW = Row("test_layout[lvm-uefi-nvme,8G,sector=4096-12]", "failed", 431, "2026-11-20")
BETTER = Row(ROW.name, "passed", 400, "2026-11-21")
OTHER = Row("test_data_stays", "passed", 1200, "2026-11-21")


def test_rows_are_kept_by_name(tmp_path):
    file = tmp_path / "matrix.md"
    for row in (ROW, OTHER, BETTER):
        note(file, row)
    assert read(file.read_text()) == [OTHER, BETTER]
    assert file.read_text().startswith("# What was installed")
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.md"]
