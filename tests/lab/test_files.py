from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.lab.files import FileError, Files, WindowsFiles, absolute, windows_absolute


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("a", "/root/a"),
        ("/a/../b", "/b"),
        ("//etc//x", "/etc/x"),
        ("/../../etc", "/etc"),
        (".", "/root"),
    ],
)
def test_paths_are_made_absolute(path, whole):
    assert absolute(path) == whole


@given(st.text(alphabet="a./"))
def test_no_path_leads_out(path):
    whole = absolute(path)
    assert whole.startswith("/")
    assert ".." not in whole.split("/")
    assert absolute(whole) == whole


def test_a_file_needs_its_folder():
    files = Files()
    with pytest.raises(FileError) as caught:
        files.create("/nowhere/x")
    assert caught.value.errno == errno.ENOENT


def test_exclusive_means_new():
    files = Files()
    files.create("/tmp/x", exclusive=True)
    with pytest.raises(FileError) as caught:
        files.create("/tmp/x", exclusive=True)
    assert caught.value.errno == errno.EEXIST


def test_a_rename_replaces_only_when_told_to():
    files = Files()
    files.add("/tmp/old", b"old")
    files.add("/tmp/new", b"new")
    with pytest.raises(FileError) as caught:
        files.rename("/tmp/new", "/tmp/old", replace=False)
    assert caught.value.errno == errno.EEXIST
    files.rename("/tmp/new", "/tmp/old", replace=True)
    assert files.file("/tmp/old").content == b"new"
    assert "new" not in files.names("/tmp")


@pytest.mark.parametrize(
    ("work", "number"),
    [
        (lambda f: f.file("/tmp/none"), errno.ENOENT),
        (lambda f: f.file("/tmp"), errno.EISDIR),
        (lambda f: f.create("/tmp"), errno.EISDIR),
        (lambda f: f.remove("/tmp/none"), errno.ENOENT),
        (lambda f: f.rename("/tmp/x", "/none/x", replace=True), errno.ENOENT),
        (lambda f: f.rename("/tmp/x", "/etc", replace=True), errno.EEXIST),
        (lambda f: f.make_folder("/tmp"), errno.EEXIST),
        (lambda f: f.make_folder("/none/x"), errno.ENOENT),
        (lambda f: f.remove_folder("/tmp"), errno.ENOTEMPTY),
        (lambda f: f.remove_folder("/"), errno.ENOTEMPTY),
        (lambda f: f.remove_folder("/none"), errno.ENOENT),
        (lambda f: f.names("/none"), errno.ENOENT),
        (lambda f: f.names("/tmp/x"), errno.ENOTDIR),
    ],
)
def test_what_a_real_file_system_refuses_is_refused(work, number):
    files = Files()
    files.add("/tmp/x", b"")
    with pytest.raises(FileError) as caught:
        work(files)
    assert caught.value.errno == number


def test_folders_are_made_listed_and_removed():
    files = Files(["/a/b"])
    files.make_folder("/a/c")
    assert files.names("/a") == ["b", "c"]
    files.remove_folder("/a/c")
    assert files.names("/a") == ["b"]
    assert "a" in files.names("/")


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("C:\\A\\b.TXT", "c:\\a\\b.txt"),
        ("c:/a/./x/../b", "c:\\a\\b"),
        ("%ProgramData%\\x", "c:\\programdata\\x"),
        ("$env:windir/System32/y", "c:\\windows\\system32\\y"),
        ("note.txt", "c:\\users\\drill\\note.txt"),
        ("D:\\..\\x", "d:\\x"),
    ],
)
def test_paths_of_windows_are_one_however_they_are_written(path, whole):
    assert windows_absolute(path) == whole


def test_a_disk_of_windows_does_not_mind_case_or_slashes():
    files = WindowsFiles()
    files.add("C:\\Data\\One.log", b"one")
    assert files.file("c:/data/ONE.LOG").content == b"one"
    assert files.is_folder("C:\\DATA\\")
    assert files.names("c:/data") == ["one.log"]
    with pytest.raises(FileError):
        files.create("c:\\nowhere\\x")
    files.remove("C:\\DATA\\one.log")
    files.remove_folder("C:\\Data")
    assert "data" not in files.names("C:\\")
