"""Files are replaced all or nothing, and told apart by what they are, not by their names."""

import errno
import os
import stat
import threading

import pytest

from vae_anomaly.files import check_distinct, is_stream, replacing

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(OSError) as full, replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert full.value.filename == str(path)


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_at_once_do_not_share_a_file(tmp_path):
    path = tmp_path / "model"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_of_a_file_is_kept_while_and_after_it_is_written(tmp_path):
    path = tmp_path / "secret"
    path.touch(0o600)
    with replacing(path) as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        part.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@as_root
def test_the_owner_of_a_file_is_kept(tmp_path):
    path = tmp_path / "model"
    path.touch()
    os.chown(path, 12345, 12346)
    with replacing(path) as part:
        part.write_text("new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_a_new_file_has_the_usual_mode(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "new") as part:
        part.write_text("new")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_target_is_written(exists, tmp_path):
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    if exists:
        target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_the_file_to_write_to_has_the_same_suffixes(tmp_path):
    with replacing(tmp_path / "table.csv.gz") as part:
        assert part.suffixes[-2:] == [".csv", ".gz"]


def test_a_name_as_long_as_allowed_can_be_written(tmp_path):
    path = tmp_path / ("x" * 255)
    with replacing(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"


def test_a_missing_folder_is_named_before_the_work(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"there is no folder .*mistyped"),
        replacing(tmp_path / "mistyped" / "model"),
    ):
        pytest.fail("the work began")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"), replacing(tmp_path):
        pytest.fail("the work began")


def test_a_pipe_is_written_through(tmp_path):
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_text()))
    reader.start()
    with replacing(path) as part:
        part.write_text("new")
    reader.join()
    assert got == ["new"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@as_root
def test_a_device_stays_a_device(tmp_path):
    path = tmp_path / "null"
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with replacing(path) as part:
        part.write_text("new")
    assert stat.S_ISCHR(path.stat().st_mode)


@pytest.mark.parametrize("path", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/null"])
def test_standard_output_is_a_stream_wherever_it_leads(path):
    assert is_stream(path)


def test_files_that_do_not_exist_are_no_streams(tmp_path):
    assert not is_stream(tmp_path / "new")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.touch()
    return path


@pytest.mark.parametrize("kind", ["name", "detour", "symlink", "hard link"])
def test_an_output_that_is_an_input_is_refused_however_it_is_spelled(kind, table):
    other = table.with_name("other.csv")
    match kind:
        case "name":
            other = table
        case "detour":
            other = table.parent / ".." / table.parent.name / table.name
        case "symlink":
            other.symlink_to(table)
        case "hard link":
            other.hardlink_to(table)
    with pytest.raises(ValueError, match="an input of this run: name another file"):
        check_distinct([table], [other])


def test_two_outputs_of_one_name_are_refused_before_they_exist(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ValueError, match=r"link/new.csv is the same file as .*another output"):
        check_distinct([], [tmp_path / "new.csv", tmp_path / "link" / "new.csv"])


def test_different_files_and_devices_are_allowed(table):
    check_distinct([table, "/dev/null"], [table.with_name("new.csv"), "/dev/null", "/dev/null"])
