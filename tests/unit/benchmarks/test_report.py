"""The page of results keeps what others have written on it."""

from pathlib import Path

from benchmarks.report import read_section, write_head, write_section


def test_the_head_is_replaced_and_sections_stay(tmp_path: Path):
    page = tmp_path / "RESULTS.md"
    write_head("# Benchmarks\n\nold\n", page)
    write_section("One", "first\n", page)
    write_section("Two", "second", page)
    write_head("# Benchmarks\n\nnew\n", page)
    write_section("One", "third", page)

    assert page.read_text() == "# Benchmarks\n\nnew\n\n## One\n\nthird\n\n## Two\n\nsecond\n"


def test_a_section_that_was_written_twice_stands_once(tmp_path: Path):
    page = tmp_path / "RESULTS.md"
    write_section("One", "first", page)
    before = page.read_text()
    write_section("One", "first", page)

    assert page.read_text() == before


def test_a_section_is_read_by_its_whole_title(tmp_path: Path):
    page = tmp_path / "RESULTS.md"
    write_head("# Benchmarks\n", page)
    write_section("One", "first", page)
    write_section("One more", "second", page)

    assert read_section("One", page).strip() == "first"
    assert read_section("One more", page).strip() == "second"
    assert read_section("On", page) == ""
